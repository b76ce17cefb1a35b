// The picture of a graph: a box for each tensor with its names, its values and its gradients, and
// how far backward() has come.

import type { Graph, GraphNode, JSONNumber } from "../protocol.ts";
import { svgElement } from "./element.ts";

export interface Picture {
  root: SVGSVGElement;
  /** Shows the graph after so many steps of backward(), the last of them lit. */
  show(steps: number): void;
}

/** `picked` is told of a node that was clicked. */
export function picture(graph: Graph, picked: (node: number) => void): Picture {
  const edges = graph.edges.map(({ points }) =>
    svgElement("path", { class: "edge", d: curveThrough(points), "marker-end": "url(#arrow)" }),
  );
  const boxes = graph.nodes.map((node) => nodeBox(node, graph.box));
  for (const [i, box] of boxes.entries()) box.root.addEventListener("click", () => picked(i));
  const { width, height } = graph;
  const root = svgElement(
    "svg",
    { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", class: "graph" },
    svgElement("defs", {}, arrowHead("arrow"), arrowHead("arrow-lit")),
    ...edges,
    ...boxes.map((each) => each.root),
  );
  root.setAttribute("aria-label", `the graph of ${graph.nodes.length} tensors`);
  return {
    root,
    show(count) {
      const done = graph.steps.slice(0, count);
      const now = done.at(-1);
      const changed = new Set(now?.gradients.map(({ node }) => node));
      const gradients = new Map(
        done.flatMap((step) => step.gradients.map(({ node, values }) => [node, values])),
      );
      for (const [i, box] of boxes.entries()) {
        box.gradient(gradients.get(i) ?? null);
        box.root.classList.toggle("turn", i === now?.node);
        box.root.classList.toggle("changed", changed.has(i));
      }
      for (const [i, { from, to }] of graph.edges.entries()) {
        const isLit = to === now?.node && changed.has(from);
        edges[i].classList.toggle("lit", isLit);
        edges[i].setAttribute("marker-end", `url(#arrow${isLit ? "-lit" : ""})`);
      }
    },
  };
}

/** Four digits; an exponent where they would not say much. */
export function digits(value: JSONNumber): string {
  const x = Number(value);
  if (!Number.isFinite(x)) return String(value).replace("Infinity", "∞").replace("-", "−");
  const isOdd = x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5);
  const text = isOdd ? x.toExponential(2) : String(Number(x.toPrecision(4)));
  return text.replaceAll("-", "−");
}

function nodeBox(
  node: GraphNode,
  box: Graph["box"],
): { root: SVGGElement; gradient(values: JSONNumber[] | null): void } {
  const { label, op, detail, shape, values, requiresGrad, isVariable, grid, width, height } = node;
  const [left, top] = [node.x - width / 2, node.y - height / 2];
  const text = (x: number, y: number, kind: string, content: string) =>
    svgElement("text", { x: left + x, y: top + y, class: kind }, content);
  const made = [op ?? (requiresGrad ? "leaf" : "constant"), detail].filter(Boolean).join(" ");
  const name = text(box.padding, 17, `label${isVariable ? " variable" : ""}`, label);
  const half = grid[0] * box.row + box.padding / 2;
  const cells = (from: number, kind: string) =>
    shown(values, shape, grid).map((row, i) =>
      row.map((_, j) => {
        const start = (width - grid[1] * box.cell) / 2;
        return text(start + (j + 0.5) * box.cell, from + i * box.row + 12, kind, "");
      }),
    );
  const upper = cells(box.head, "value");
  const lower = requiresGrad ? cells(box.head + half + box.padding / 2, "gradient") : [];
  const fill = (texts: SVGTextElement[][], content: JSONNumber[]) => {
    const written = shown(content.map(digits), shape, grid);
    for (const [i, row] of texts.entries())
      for (const [j, cell] of row.entries()) cell.textContent = written[i][j];
  };
  fill(upper, values);
  const kind = op ? "result" : requiresGrad ? "leaf" : "constant";
  const line = top + box.head + half;
  const glow = { x: left + 1, y: line, width: width - 2, height: top + height - line - 1 };
  const root = svgElement(
    "g",
    { class: `node ${kind}` },
    svgElement("rect", { class: "box", x: left, y: top, width, height, rx: 7 }),
    ...(requiresGrad ? [svgElement("rect", { class: "glow", ...glow, rx: 6 })] : []),
    name,
    text(width - box.padding, 17, "shape", shape.join("×")),
    text(box.padding, 32, "op", made),
    ...upper.flat(),
    ...lower.flat(),
  );
  return {
    root,
    gradient(content) {
      if (content) fill(lower, content);
      else for (const cell of lower.flat()) cell.textContent = "·";
      root.classList.toggle("known", content !== null);
    },
  };
}

/** The rows and columns of values that there is room for; the last ones say … if there are more. */
function shown<T>(values: T[], shape: number[], [rows, columns]: GraphNode["grid"]) {
  const inner = shape.at(-1) ?? 1;
  const outer = values.length / inner;
  return Array.from({ length: rows }, (_, i) =>
    Array.from({ length: columns }, (_, j) => {
      const isCut = (rows < outer && i === rows - 1) || (columns < inner && j === columns - 1);
      return isCut ? "…" : values[i * inner + j];
    }),
  ) as (T | "…")[][];
}

/** A smooth path: a parabola around each point between the first and the last. */
function curveThrough(points: [number, number][]): string {
  const [first, ...rest] = points;
  const middle = ([x, y]: [number, number], [p, q]: [number, number]) =>
    `${(x + p) / 2} ${(y + q) / 2}`;
  const curves = rest
    .slice(0, -1)
    .map((point, i) => `Q${point.join(" ")} ${middle(point, rest[i + 1])}`);
  return `M${first.join(" ")} ${curves.join(" ")} L${rest.at(-1)?.join(" ")}`;
}

function arrowHead(id: string): SVGMarkerElement {
  const size = { markerWidth: 8, markerHeight: 8, refX: 7, refY: 4, orient: "auto" };
  const tip = svgElement("path", { d: "M0 0.5 L8 4 L0 7.5 Z" });
  return svgElement("marker", { id, class: id, markerUnits: "userSpaceOnUse", ...size }, tip);
}
