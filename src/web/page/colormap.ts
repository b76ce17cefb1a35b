// Ramps of colours for pictures of numbers, made of the page's own colours, light or dark.

import { paint } from "./colors.ts";

/** 256 colours as the bytes of an image hold them. */
export type Ramp = Uint32Array;

/** From one of the page's colours to the next, in equal parts: ramp("--card", "--blue"). */
export function ramp(...names: string[]): Ramp {
  const stops = names.map(bytesOf);
  const colours = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const from = Math.min(Math.floor(at), stops.length - 2);
    const [a, b] = [stops[from], stops[from + 1]];
    for (let c = 0; c < 4; c++) colours[4 * i + c] = a[c] + (b[c] - a[c]) * (at - from);
  }
  return new Uint32Array(colours.buffer);
}

/** Red, green, blue and opacity of a colour that the style sheet names. */
function bytesOf(name: string): Uint8ClampedArray {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  context.fillStyle = paint(name);
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}
