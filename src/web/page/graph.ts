// A computation graph as SVG: a box for each tensor with its name, op, shape, values and gradient.
// The view shows the gradients after any number of backward steps.

import type { Graph, GraphNode, JSONNumber } from "../protocol.ts";
import { svgElement } from "./element.ts";

export interface GraphView {
  root: SVGSVGElement;
  /** Shows the graph after `count` steps of backward(), and highlights the last of them. */
  show(count: number): void;
}

/** Creates the view of a graph. `onPick` receives the index of a node that is clicked. */
export function createGraphView(graph: Graph, onPick: (node: number) => void): GraphView {
  const edges = graph.edges.map(({ points }) =>
    svgElement("path", { class: "edge", d: toCurve(points), "marker-end": "url(#arrow)" }),
  );
  const boxes = graph.nodes.map((node) => createNodeBox(node, graph.box));
  for (const [i, box] of boxes.entries()) box.root.addEventListener("click", () => onPick(i));
  const { width, height } = graph;
  const root = svgElement(
    "svg",
    {
      width,
      height,
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      class: "graph",
      "aria-label": `computation graph of ${graph.nodes.length} tensors`,
    },
    svgElement("defs", {}, createArrowHead("arrow"), createArrowHead("arrow-active")),
    ...edges,
    ...boxes.map((box) => box.root),
  );
  return {
    root,
    show(count) {
      const steps = graph.steps.slice(0, count);
      const current = steps.at(-1);
      const changed = new Set(current?.gradients.map(({ node }) => node));
      const gradients = new Map<number, JSONNumber[]>();
      for (const step of steps)
        for (const { node, values } of step.gradients) gradients.set(node, values);
      for (const [i, box] of boxes.entries()) {
        box.setGradient(gradients.get(i) ?? null);
        box.root.classList.toggle("current", i === current?.node);
        box.root.classList.toggle("changed", changed.has(i));
      }
      for (const [i, { from, to }] of graph.edges.entries()) {
        const isActive = to === current?.node && changed.has(from);
        edges[i].classList.toggle("active", isActive);
        edges[i].setAttribute("marker-end", isActive ? "url(#arrow-active)" : "url(#arrow)");
      }
    },
  };
}

/** Formats a value with four significant digits. Very small and large values have an exponent. */
function formatValue(value: JSONNumber): string {
  const x = Number(value);
  if (!Number.isFinite(x)) return String(value).replace("Infinity", "∞").replace("-", "−");
  const isExponential = x !== 0 && (Math.abs(x) < 1e-3 || Math.abs(x) >= 1e5);
  const text = isExponential ? x.toExponential(2) : String(Number(x.toPrecision(4)));
  return text.replaceAll("-", "−");
}

interface NodeBox {
  root: SVGGElement;
  /** Null for a gradient that has not been computed yet. */
  setGradient(values: JSONNumber[] | null): void;
}

/** Creates the box of a node: its name and shape, its op, rows of values and rows of gradients. */
function createNodeBox(node: GraphNode, box: Graph["box"]): NodeBox {
  const { label, op, detail, shape, values, requiresGrad, isVariable, grid, width, height } = node;
  const [rows, columns] = grid;
  const left = node.x - width / 2;
  const top = node.y - height / 2;
  const createText = (x: number, y: number, className: string, content: string) =>
    svgElement("text", { x: left + x, y: top + y, class: className }, content);
  const createCells = (firstRow: number, className: string) => {
    const start = (width - columns * box.cell) / 2;
    return Array.from({ length: rows }, (_, row) =>
      Array.from({ length: columns }, (_, column) => {
        const x = start + (column + 0.5) * box.cell;
        return createText(x, firstRow + row * box.row + 12, className, "");
      }),
    );
  };
  const fillCells = (cells: SVGTextElement[][], content: JSONNumber[]) => {
    const texts = toGrid(content.map(formatValue), shape, grid);
    for (const [row, line] of cells.entries())
      for (const [column, cell] of line.entries()) cell.textContent = texts[row][column];
  };

  const kind = op ? "result" : requiresGrad ? "leaf" : "constant";
  const origin = [op ?? kind, detail].filter(Boolean).join(" ");
  const valuesHeight = rows * box.row + box.padding / 2;
  const gradientTop = box.head + valuesHeight;
  const valueCells = createCells(box.head, "value");
  const gradientCells = requiresGrad ? createCells(gradientTop + box.padding / 2, "gradient") : [];
  fillCells(valueCells, values);

  const root = svgElement("g", { class: `node ${kind}` });
  root.append(svgElement("rect", { class: "box", x: left, y: top, width, height, rx: 7 }));
  if (requiresGrad) {
    const highlight = {
      class: "highlight",
      x: left + 1,
      y: top + gradientTop,
      width: width - 2,
      height: height - gradientTop - 1,
      rx: 6,
    };
    root.append(svgElement("rect", highlight));
  }
  root.append(
    createText(box.padding, 17, isVariable ? "label variable" : "label", label),
    createText(width - box.padding, 17, "shape", shape.join("×")),
    createText(box.padding, 32, "op", origin),
    ...valueCells.flat(),
    ...gradientCells.flat(),
  );
  return {
    root,
    setGradient(gradient) {
      if (gradient) fillCells(gradientCells, gradient);
      else for (const cell of gradientCells.flat()) cell.textContent = "·";
      root.classList.toggle("has-gradient", gradient !== null);
    },
  };
}

/** Arranges values as a matrix. A last row or column of … stands for values that do not fit. */
function toGrid(values: string[], shape: number[], [rows, columns]: GraphNode["grid"]): string[][] {
  const innerSize = shape.at(-1) ?? 1;
  const outerSize = values.length / innerSize;
  const isCut = (row: number, column: number) =>
    (rows < outerSize && row === rows - 1) || (columns < innerSize && column === columns - 1);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, column) =>
      isCut(row, column) ? "…" : values[row * innerSize + column],
    ),
  );
}

/**
 * Returns the SVG path of a smooth curve: quadratic Bézier segments with the inner points as their
 * control points.
 */
function toCurve(points: [x: number, y: number][]): string {
  const [first, ...rest] = points;
  const last = rest[rest.length - 1];
  const segments = rest.slice(0, -1).map(([x, y], i) => {
    const [nextX, nextY] = rest[i + 1];
    return `Q${x} ${y} ${(x + nextX) / 2} ${(y + nextY) / 2}`;
  });
  return `M${first.join(" ")} ${segments.join(" ")} L${last.join(" ")}`;
}

function createArrowHead(id: string): SVGMarkerElement {
  const path = svgElement("path", { d: "M0 0.5 L8 4 L0 7.5 Z" });
  const attributes = {
    id,
    class: id,
    markerUnits: "userSpaceOnUse",
    markerWidth: 8,
    markerHeight: 8,
    refX: 7,
    refY: 4,
    orient: "auto",
  };
  return svgElement("marker", attributes, path);
}
