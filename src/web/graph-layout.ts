// Where the boxes and arrows of a graph go, computed here so that the page needs no layout library.

import { createRequire } from "node:module";
import type { Graph, GraphNode } from "./protocol.ts";

/** What is used of dagre, whose own declarations do not resolve under TypeScript's NodeNext. */
interface Dagre {
  Graph: new (options: { multigraph: boolean }) => Drawing;
  layout(drawing: Drawing): void;
}
interface Drawing {
  setGraph(options: Record<string, string | number>): void;
  graph(): { width: number; height: number };
  setNode(id: string, size: { width: number; height: number }): void;
  node(id: string): Point;
  setEdge(from: string, to: string, label: object, id: string): void;
  edge(from: string, to: string, id: string): { points: Point[] };
}
interface Point {
  x: number;
  y: number;
}

const dagre: Dagre = createRequire(import.meta.url)("@dagrejs/dagre");

const box = { head: 38, row: 17, cell: 62, padding: 10 };
/** At most so many rows and columns of a tensor's values are shown. */
const MOST = 6;
/** The width of a letter of the head, on average. */
const LETTER = 7.5;

type Placed = "grid" | "x" | "y" | "width" | "height";
export type Unplaced = Omit<GraphNode, Placed>;

/** Nodes and edges with their places. */
export function placed(
  nodes: readonly Unplaced[],
  links: readonly (readonly [from: number, to: number])[],
  direction: "LR" | "TB",
): Omit<Graph, "steps"> {
  const drawing = new dagre.Graph({ multigraph: true });
  drawing.setGraph({ rankdir: direction, nodesep: 22, ranksep: 46, marginx: 12, marginy: 12 });
  const boxes = nodes.map((node) => ({ ...node, ...sizeOf(node) }));
  for (const [i, { width, height }] of boxes.entries())
    drawing.setNode(String(i), { width, height });
  for (const [i, [from, to]] of links.entries())
    drawing.setEdge(String(from), String(to), {}, String(i));
  dagre.layout(drawing);
  const { width, height } = drawing.graph();
  return {
    box,
    width: Math.ceil(width),
    height: Math.ceil(height),
    nodes: boxes.map((node, i) => {
      const { x, y } = drawing.node(String(i));
      return { ...node, x: round(x), y: round(y) };
    }),
    edges: links.map(([from, to], i) => {
      const { points } = drawing.edge(String(from), String(to), String(i));
      return {
        from,
        to,
        points: points.map(({ x, y }): [number, number] => [round(x), round(y)]),
      };
    }),
  };
}

/** The room that a node needs: for its names, its values, and as much again for its gradient. */
function sizeOf(node: Unplaced): Pick<GraphNode, "grid" | "width" | "height"> {
  const { label, op, detail, shape, values, requiresGrad } = node;
  const inner = shape.at(-1) ?? 1;
  const grid: GraphNode["grid"] = [Math.min(values.length / inner, MOST), Math.min(inner, MOST)];
  const upper = label.length + (shape.length ? 3 * shape.length + 2 : 0);
  const lower = (op ?? "constant").length + (detail ? detail.length + 1 : 0);
  const letters = Math.max(upper, lower) * LETTER;
  const rows = grid[0] * (requiresGrad ? 2 : 1);
  return {
    grid,
    width: Math.ceil(Math.max(letters, grid[1] * box.cell) + 2 * box.padding),
    height: box.head + rows * box.row + (requiresGrad ? 2 : 1) * box.padding,
  };
}

function round(x: number): number {
  return Math.round(x * 10) / 10;
}
