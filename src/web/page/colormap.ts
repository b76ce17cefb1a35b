// Colormaps for heat maps, interpolated between colors of the style sheet.

import { cssColor } from "./colors.ts";

/** 256 colors in the byte order of ImageData. */
export type Colormap = Uint32Array;

/** Interpolates linearly between CSS variables: createColormap("--card", "--blue"). */
export function createColormap(...names: string[]): Colormap {
  const stops = names.map(readRgba);
  const bytes = new Uint8Array(256 * 4);
  for (let i = 0; i < 256; i++) {
    const position = (i / 255) * (stops.length - 1);
    const index = Math.min(Math.floor(position), stops.length - 2);
    const from = stops[index];
    const to = stops[index + 1];
    for (let channel = 0; channel < 4; channel++)
      bytes[4 * i + channel] = from[channel] + (to[channel] - from[channel]) * (position - index);
  }
  return new Uint32Array(bytes.buffer);
}

/** Returns the red, green, blue and alpha bytes of a CSS variable. */
function readRgba(name: string): Uint8ClampedArray {
  // drawing a pixel converts any CSS color syntax to bytes
  const canvas = document.createElement("canvas");
  canvas.width = 1;
  canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  context.fillStyle = cssColor(name);
  context.fillRect(0, 0, 1, 1);
  return context.getImageData(0, 0, 1, 1).data;
}
