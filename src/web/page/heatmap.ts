// A matrix as an image with one pixel per element. The element under the pointer, or at the
// keyboard cursor, is described in text.

import type { Colormap } from "./colormap.ts";
import { element } from "./element.ts";

export interface Matrix {
  /** Row-major. */
  values: Float32Array;
  rows: number;
  columns: number;
  colormap: Colormap;
  /** Maps a value to a position in the colormap, from 0 to 1. */
  normalize(value: number): number;
  /** Returns true for an element that is left transparent. */
  isBlank?(row: number, column: number): boolean;
}

export interface LabeledMatrix extends Matrix {
  describe(row: number, column: number, value: number): string;
  /** Labels to the left of the rows and above the columns. Omitted for large matrices. */
  labels?: { rows: string[]; columns: string[] };
}

type Position = [row: number, column: number];

/** Labels of more rows or columns would be too small to read. */
const MAX_LABELS = 40;

/** Resizes a canvas to a matrix and paints it. */
export function paintMatrix(canvas: HTMLCanvasElement, matrix: Matrix): void {
  const { values, rows, columns, colormap, normalize, isBlank } = matrix;
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      if (isBlank?.(row, column)) continue;
      const i = row * columns + column;
      pixels[i] = colormap[Math.round(255 * clamp(normalize(values[i]), 0, 1))];
    }
  context.putImageData(image, 0, 0);
}

export class HeatMap {
  readonly root: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #cursor = element("div", { class: "cursor", hidden: true });
  readonly #readout: HTMLOutputElement;
  readonly #columnLabels = element("div", { class: "labels above", "aria-hidden": "true" });
  readonly #rowLabels = element("div", { class: "labels left", "aria-hidden": "true" });
  readonly #onPoint: (position: Position | null) => void;
  readonly #hint: string;
  #matrix: LabeledMatrix | null = null;
  #position: Position | null = null;

  /**
   * `hint` is shown while no element is pointed at. `onPoint` receives the position of the element
   * that is pointed at, or null.
   */
  constructor(hint: string, onPoint: (position: Position | null) => void = () => {}) {
    this.#hint = hint;
    this.#onPoint = onPoint;
    this.#canvas = element("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "heat map, arrow keys move",
      onpointermove: (event) => this.#onPointer(event as PointerEvent),
      onpointerdown: (event) => this.#onPointer(event as PointerEvent),
      // a focused canvas keeps its cursor, which the arrow keys move
      onpointerleave: () => document.activeElement !== this.#canvas && this.point(null),
      onkeydown: (event) => this.#onKey(event as KeyboardEvent),
      onblur: () => this.point(null),
    });
    this.#readout = element("output", { class: "readout", "aria-live": "polite" }, hint);
    const cells = element("div", { class: "cells" }, this.#canvas, this.#cursor);
    const frame = element("div", { class: "frame" }, this.#columnLabels, this.#rowLabels, cells);
    this.root = element("div", { class: "heatmap" }, this.#readout, frame);
  }

  /** Shows a matrix. `name` is its accessible name. */
  show(matrix: LabeledMatrix, name: string): void {
    this.#matrix = matrix;
    this.#canvas.setAttribute("aria-label", name);
    this.root.style.setProperty("--rows", String(matrix.rows));
    this.root.style.setProperty("--columns", String(matrix.columns));
    this.#showLabels(matrix);
    this.repaint();
    this.point(null);
  }

  #showLabels({ rows, columns, labels }: LabeledMatrix): void {
    const isLarge = rows > MAX_LABELS || columns > MAX_LABELS;
    const { rows: rowTexts, columns: columnTexts } =
      labels && !isLarge ? labels : { rows: [], columns: [] };
    this.#rowLabels.replaceChildren(...rowTexts.map((text) => element("span", {}, text)));
    this.#columnLabels.replaceChildren(...columnTexts.map((text) => element("span", {}, text)));
    // column labels of more than one character are rotated
    const isUpright = labels?.columns.every((text) => text.length < 2) ?? false;
    this.#columnLabels.classList.toggle("upright", isUpright);
  }

  /** Paints the matrix again, with another colormap if one is passed. */
  repaint(colormap?: Colormap): void {
    if (!this.#matrix) return;
    if (colormap) this.#matrix.colormap = colormap;
    paintMatrix(this.#canvas, this.#matrix);
  }

  /** Moves the cursor to an element and describes it. Null hides the cursor. */
  point(position: Position | null): void {
    if (!this.#matrix || (position === null && this.#position === null)) return;
    this.#position = position;
    this.#onPoint(position);
    this.#cursor.hidden = position === null;
    if (!position) {
      this.#readout.textContent = this.#hint;
      return;
    }
    const { values, columns, describe } = this.#matrix;
    const [row, column] = position;
    this.#readout.textContent = describe(row, column, values[row * columns + column]);
    this.#cursor.style.setProperty("--row", String(row));
    this.#cursor.style.setProperty("--column", String(column));
  }

  #onPointer({ clientX, clientY }: PointerEvent): void {
    if (!this.#matrix) return;
    const { rows, columns } = this.#matrix;
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const row = Math.floor(((clientY - top) / height) * rows);
    const column = Math.floor(((clientX - left) / width) * columns);
    this.point([clamp(row, 0, rows - 1), clamp(column, 0, columns - 1)]);
  }

  /** Handles the arrow keys. The first one moves the cursor to the last row and column. */
  #onKey(event: KeyboardEvent): void {
    const directions: Record<string, [down: number, right: number]> = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    };
    const direction = directions[event.key];
    if (!direction || !this.#matrix) return;
    event.preventDefault();
    const { rows, columns } = this.#matrix;
    if (!this.#position) {
      this.point([rows - 1, columns - 1]);
      return;
    }
    const [row, column] = this.#position;
    const [down, right] = direction;
    this.point([clamp(row + down, 0, rows - 1), clamp(column + right, 0, columns - 1)]);
  }
}

function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}
