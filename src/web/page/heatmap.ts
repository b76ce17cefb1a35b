// A matrix as a picture: a pixel an element, and where one points, by mouse, finger or keyboard,
// what is there in words.

import type { Ramp } from "./colormap.ts";
import { element } from "./element.ts";

export interface Picture {
  /** Row after row. */
  values: Float32Array;
  rows: number;
  columns: number;
  ramp: Ramp;
  /** Where in the ramp a value lies, 0 to 1. */
  level(value: number): number;
  /** Elements that are not there. */
  isBlank?(row: number, column: number): boolean;
  describe(row: number, column: number, value: number): string;
  /** What stands beside the rows and above the columns, if there is room. */
  labels?: { rows: string[]; columns: string[] };
}

/** More labels than these would be too small to read. */
const MOST_LABELS = 40;

/** Paints a picture, a pixel an element. */
export function paint(canvas: HTMLCanvasElement, picture: Omit<Picture, "describe">): void {
  const { values, rows, columns, ramp, level, isBlank } = picture;
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d") as CanvasRenderingContext2D;
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++)
    if (!isBlank?.(Math.floor(i / columns), i % columns))
      pixels[i] = ramp[Math.round(255 * Math.max(0, Math.min(1, level(values[i]))))];
  context.putImageData(image, 0, 0);
}

export class HeatMap {
  readonly element: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #cursor = element("div", { class: "cursor", hidden: true });
  readonly #readout: HTMLOutputElement;
  readonly #labels = [
    element("div", { class: "labels above", "aria-hidden": "true" }),
    element("div", { class: "labels beside", "aria-hidden": "true" }),
  ];
  readonly #pointed: (at: [row: number, column: number] | null) => void;
  readonly #hint: string;
  #picture: Picture | null = null;
  #at: [row: number, column: number] | null = null;

  /** `pointed` is told where one points; `hint` stands where its words will. */
  constructor(
    hint: string,
    pointed: (at: [row: number, column: number] | null) => void = () => {},
  ) {
    this.#hint = hint;
    this.#pointed = pointed;
    this.#canvas = element("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "heat map, arrow keys move",
      onpointermove: (event) => this.#follow(event as PointerEvent),
      onpointerdown: (event) => this.#follow(event as PointerEvent),
      // whoever has clicked, or come by keyboard, stays where they are
      onpointerleave: () => document.activeElement !== this.#canvas && this.point(null),
      onkeydown: (event) => this.#walk(event as KeyboardEvent),
      onblur: () => this.point(null),
    });
    this.#readout = element("output", { class: "readout", "aria-live": "polite" }, hint);
    const [above, beside] = this.#labels;
    const cells = element("div", { class: "cells" }, this.#canvas, this.#cursor);
    const frame = element("div", { class: "frame" }, above, beside, cells);
    this.element = element("div", { class: "heatmap" }, this.#readout, frame);
  }

  /** Shows a picture under a name. */
  show(picture: Picture, name: string): void {
    this.#picture = picture;
    this.#canvas.setAttribute("aria-label", name);
    const { rows, columns, labels } = picture;
    const { style } = this.element;
    style.setProperty("--rows", String(rows));
    style.setProperty("--columns", String(columns));
    const isRoom = labels && rows <= MOST_LABELS && columns <= MOST_LABELS;
    for (const [i, list] of [labels?.columns, labels?.rows].entries())
      this.#labels[i].replaceChildren(
        ...(isRoom ? (list as string[]).map((text) => element("span", {}, text)) : []),
      );
    const isUpright = labels?.columns.every((text) => text.length < 2) ?? false;
    this.#labels[0].classList.toggle("upright", isUpright); // longer ones stand on their side
    this.paint();
    this.point(null);
  }

  /** Paints it again, as when colours have changed. */
  paint(ramp?: Ramp): void {
    if (!this.#picture) return;
    if (ramp) this.#picture.ramp = ramp;
    paint(this.#canvas, this.#picture);
  }

  /** Points at an element, or at none. */
  point(at: [row: number, column: number] | null): void {
    if (!this.#picture || (at === null && this.#at === null)) return;
    this.#at = at;
    this.#pointed(at);
    this.#cursor.hidden = at === null;
    if (!at) {
      this.#readout.textContent = this.#hint;
      return;
    }
    const { values, columns, describe } = this.#picture;
    const [row, column] = at;
    this.#readout.textContent = describe(row, column, values[row * columns + column]);
    this.#cursor.style.setProperty("--row", String(row));
    this.#cursor.style.setProperty("--column", String(column));
  }

  #follow({ clientX, clientY }: PointerEvent): void {
    if (!this.#picture) return;
    const { rows, columns } = this.#picture;
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const place = (part: number, count: number) =>
      Math.max(0, Math.min(count - 1, Math.floor(part * count)));
    this.point([place((clientY - top) / height, rows), place((clientX - left) / width, columns)]);
  }

  #walk(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = {
      ArrowUp: [-1, 0],
      ArrowDown: [1, 0],
      ArrowLeft: [0, -1],
      ArrowRight: [0, 1],
    };
    const step = steps[event.key];
    if (!step || !this.#picture) return;
    event.preventDefault();
    const { rows, columns } = this.#picture;
    const [row, column] = this.#at ?? [rows - 1, columns - 1];
    const [down, right] = this.#at ? step : [0, 0];
    this.point([
      Math.max(0, Math.min(rows - 1, row + down)),
      Math.max(0, Math.min(columns - 1, column + right)),
    ]);
  }
}
