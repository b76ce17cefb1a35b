// The layout of a graph: positions of its boxes and arrows. The dashboard computes it on its
// server, so that its page needs no layout library.

import * as dagre from "@dagrejs/dagre";
import type { Graph, GraphNode } from "./protocol.ts";

// all sizes are in pixels
const box: Graph["box"] = { head: 38, row: 17, cell: 62, padding: 10 };
/** The average width of a character in the head of a box. */
const CHARACTER_WIDTH = 7.5;
/** The maximum number of rows, and of columns, of a tensor's values that are shown. */
const MAX_CELLS = 6;

/** A node without its layout. */
export type NodeContent = Omit<GraphNode, "grid" | "x" | "y" | "width" | "height">;

/** Returns nodes and edges with their positions. */
export function layOut(
  nodes: readonly NodeContent[],
  edges: readonly { from: number; to: number }[],
  direction: "LR" | "TB",
): Omit<Graph, "steps"> {
  const graph = new dagre.Graph({ multigraph: true });
  graph.setGraph({ rankdir: direction, nodesep: 22, ranksep: 46, marginx: 12, marginy: 12 });
  const sizes = nodes.map(measureNode);
  for (const [i, { width, height }] of sizes.entries()) graph.setNode(String(i), { width, height });
  for (const [i, { from, to }] of edges.entries())
    graph.setEdge(String(from), String(to), {}, String(i));
  dagre.layout(graph);

  const { width, height } = graph.graph();
  return {
    box,
    width: Math.ceil(width),
    height: Math.ceil(height),
    nodes: nodes.map((node, i) => {
      const { x, y } = graph.node(String(i));
      return { ...node, ...sizes[i], x: round(x), y: round(y) };
    }),
    edges: edges.map(({ from, to }, i) => {
      const { points } = graph.edge(String(from), String(to), String(i));
      return {
        from,
        to,
        points: points.map(({ x, y }): [x: number, y: number] => [round(x), round(y)]),
      };
    }),
  };
}

/** Returns the size of a node's box: its head, its values, and its gradient if it has one. */
function measureNode(node: NodeContent): Pick<GraphNode, "grid" | "width" | "height"> {
  const { label, op, detail, shape, values, requiresGrad } = node;
  const allColumns = shape.at(-1) ?? 1;
  const rows = Math.min(values.length / allColumns, MAX_CELLS);
  const columns = Math.min(allColumns, MAX_CELLS);
  // the head has two lines: label and shape; op and detail
  const firstLine = label.length + (shape.length ? 3 * shape.length + 2 : 0);
  const secondLine = (op ?? "constant").length + (detail ? detail.length + 1 : 0);
  const headWidth = Math.max(firstLine, secondLine) * CHARACTER_WIDTH;
  const grids = requiresGrad ? 2 : 1; // values and gradient
  return {
    grid: [rows, columns],
    width: Math.ceil(Math.max(headWidth, columns * box.cell) + 2 * box.padding),
    height: box.head + grids * (rows * box.row + box.padding),
  };
}

/** Rounds to a tenth of a pixel. */
function round(x: number): number {
  return Math.round(x * 10) / 10;
}
