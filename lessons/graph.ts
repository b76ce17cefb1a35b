// Computation graphs: as a tree in the terminal, as boxes and arrows in an SVG, and in Graphviz's
// DOT language.

import { COLORS, type Figure, GREY, svgDocument, svgText } from "./figure.ts";

/** Accessors for a graph with nodes of any type. */
export interface NodeView<T> {
  inputs(node: T): readonly T[];
  /** The op that computed the node; an empty string for a leaf. */
  op(node: T): string;
  label(node: T): string;
}

/** Draws everything that `root` was computed from. A node that is used twice is drawn once. */
export function drawGraph<T>(root: T, view: NodeView<T>): Figure {
  return { text: toTree(root, view).join("\n"), svg: toSvg(root, view) };
}

/** Returns the graph in DOT, with an edge from each input to the node computed from it. */
export function toDot<T>(root: T, view: NodeView<T>): string {
  const ids = new Map<T, number>();
  for (const node of reachable(root, view)) ids.set(node, ids.size);
  const lines = [...ids].flatMap(([node, id]) => {
    const label = [view.label(node), view.op(node)].filter(Boolean).join(" | ");
    const edges = view.inputs(node).map((input) => `  v${ids.get(input)} -> v${id};`);
    return [`  v${id} [shape=box label="${label}"];`, ...edges];
  });
  return ["digraph {", "  rankdir=LR;", ...lines, "}"].join("\n");
}

function reachable<T>(root: T, view: NodeView<T>): Set<T> {
  const nodes = new Set([root]);
  for (const node of nodes) {
    for (const input of view.inputs(node)) nodes.add(input); // the loop visits these too
  }
  return nodes;
}

/** Returns one line per node, with its inputs indented below it. */
function toTree<T>(node: T, view: NodeView<T>, visited = new Set<T>()): string[] {
  const inputs = view.inputs(node);
  if (visited.has(node) && inputs.length > 0) return [`${view.label(node)}   (see above)`];
  visited.add(node);
  const op = view.op(node);
  const branches = inputs.map((input) => toTree(input, view, visited));
  const indented = branches.flatMap((branch, i) => {
    const isLast = i === branches.length - 1;
    const firstIndent = isLast ? "└─ " : "├─ ";
    const indent = isLast ? "   " : "│  ";
    return branch.map((line, j) => (j === 0 ? firstIndent : indent) + line);
  });
  return [op ? `${view.label(node)}   (${op})` : view.label(node), ...indented];
}

/** Draws boxes in columns with the root at the right, and each op in an oval before its result. */
function toSvg<T>(root: T, view: NodeView<T>): string {
  const { column, row, rowCount } = layOut(root, view);
  const nodes = [...column.keys()];
  const boxWidth = 16 + 6.6 * Math.max(...nodes.map((node) => view.label(node).length));
  const boxHeight = 26;
  const opWidth = Math.max(26, ...nodes.map((node) => 14 + 6.6 * view.op(node).length));
  const gap = 36 + opWidth; // room for an op and its two lines
  const lastColumn = Math.max(...column.values());
  const left = (node: T) => 12 + (lastColumn - (column.get(node) ?? 0)) * (boxWidth + gap);
  const middle = (node: T) => 24 + (row.get(node) ?? 0) * 38;

  const elements = nodes.flatMap((node) => {
    const x = left(node);
    const y = middle(node);
    const size = `width="${boxWidth}" height="${boxHeight}" rx="4"`;
    const box = `<rect x="${x}" y="${y - 13}" ${size} fill="none" stroke="${COLORS[0]}"/>`;
    const label = svgText(x + boxWidth / 2, y + 4, view.label(node), "middle");
    if (!view.op(node)) return [box, label];
    const edges = view.inputs(node).map((input) => {
      const startX = left(input) + boxWidth;
      const startY = middle(input);
      const endX = x - 8 - opWidth;
      const curve = `M${startX} ${startY}C${startX + 16} ${startY} ${endX - 12} ${y} ${endX} ${y}`;
      return `<path fill="none" stroke="${GREY}" d="${curve}"/>`;
    });
    const line = `<path stroke="${GREY}" d="M${x - 8} ${y}H${x}"/>`;
    const opBox = `x="${x - 8 - opWidth}" y="${y - 13}" width="${opWidth}" height="26" rx="13"`;
    const outline = `<rect ${opBox} fill="none" stroke="${COLORS[1]}"/>`;
    const op = svgText(x - 8 - opWidth / 2, y + 4, view.op(node), "middle");
    return [...edges, line, outline, op, box, label];
  });
  return svgDocument(left(root) + boxWidth + 12, 12 + rowCount * 38, elements);
}

/**
 * Assigns each node a column (its distance from the root) and a row (leaves from top to bottom,
 * other nodes centered on their inputs).
 */
function layOut<T>(root: T, view: NodeView<T>) {
  const column = new Map<T, number>([[root, 0]]);
  const row = new Map<T, number>();
  let rowCount = 0;
  const visit = (node: T): number => {
    const inputs = view.inputs(node);
    const next = (column.get(node) ?? 0) + 1;
    for (const input of inputs) column.set(input, Math.max(column.get(input) ?? 0, next));
    const known = row.get(node);
    const inputRows = inputs.map(visit);
    if (known !== undefined) return known;
    const center = (Math.min(...inputRows) + Math.max(...inputRows)) / 2;
    const assigned = inputRows.length > 0 ? center : rowCount++;
    row.set(node, assigned);
    return assigned;
  };
  visit(root);
  return { column, row, rowCount };
}
