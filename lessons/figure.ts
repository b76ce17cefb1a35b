// A figure is drawn twice: as text for the terminal and as an SVG file. This file saves figures and
// holds the SVG helpers. heatmap.ts, line-chart.ts, bar-chart.ts and graph.ts draw them.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Figure {
  /** The drawing as lines of text. */
  text: string;
  svg: string;
}

/** The color of text and axes, which is readable on white. */
export const INK = "#24292f";
/** The color of grid lines and frames. */
export const GREY = "#8c959f";
/** The colors of curves, bars and cells: all at least 4.5 : 1 on white. */
export const COLORS = ["#0b62c4", "#b35900", "#1a7f37", "#953086", "#c0392b", "#57606a"];

/** Prints a figure and saves its SVG as runs/lessons/NAME.svg. */
export function show(figure: Figure, name: string): void {
  const file = join("runs", "lessons", `${name}.svg`);
  mkdirSync(join("runs", "lessons"), { recursive: true });
  writeFileSync(file, figure.svg);
  console.log(`${figure.text}\n(saved as ${file})`);
}

/** Returns a visible symbol for a whitespace character, and any other character unchanged. */
export function visible(character: string): string {
  return { "\n": "⏎", " ": "␣", "\t": "⇥" }[character] ?? character;
}

/** Returns an SVG document on white, so that it looks the same on a page of any color. */
export function svgDocument(width: number, height: number, elements: readonly string[]): string {
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`;
  const font = `font-family="sans-serif" font-size="12"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>`;
  const background = `<rect width="${width}" height="${height}" fill="#ffffff"/>`;
  return [head, background, ...elements, "</svg>", ""].join("\n");
}

/** Returns an SVG text element. `anchor` is "start", "middle" or "end". */
export function svgText(x: number, y: number, text: string, anchor = "start", color = INK): string {
  const escapes: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;" };
  const content = text.replace(/[&<>]/g, (character) => escapes[character]);
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="${color}">${content}</text>`;
}
