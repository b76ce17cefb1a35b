// The third kind of picture: how a value was made, as a tree in the terminal, as boxes and arrows
// in an SVG, and in the language of Graphviz.

import { COLORS, document, GREY, label, type Picture } from "./picture.ts";

/** How to look at a graph whose vertices are of any kind. */
export interface Look<T> {
  inputs(x: T): readonly T[];
  /** The op that made x; empty for a leaf. */
  op(x: T): string;
  /** What is written into the box of x. */
  label(x: T): string;
}

/** All that `root` was made from. What is used twice is one box, and a line that says so. */
export function graph<T>(root: T, look: Look<T>): Picture {
  return { text: tree(root, look).join("\n"), svg: boxes(root, look) };
}

/** The graph as a file for Graphviz: an arrow from each input to what was made of it. */
export function toDot<T>(root: T, look: Look<T>): string {
  const ids = new Map<T, number>();
  for (const x of reached(root, look)) ids.set(x, ids.size);
  const lines = [...ids].flatMap(([x, id]) => [
    `  v${id} [shape=box label="${[look.label(x), look.op(x)].filter(Boolean).join(" | ")}"];`,
    ...look.inputs(x).map((input) => `  v${ids.get(input)} -> v${id};`),
  ]);
  return ["digraph {", "  rankdir=LR;", ...lines, "}"].join("\n");
}

function reached<T>(root: T, look: Look<T>): Set<T> {
  const all = new Set([root]);
  for (const x of all) for (const input of look.inputs(x)) all.add(input);
  return all;
}

/** A line for each vertex, its inputs below it and further in. */
function tree<T>(x: T, look: Look<T>, seen = new Set<T>()): string[] {
  const again = seen.has(x) && look.inputs(x).length > 0;
  const op = look.op(x) && `   by ${look.op(x)}`;
  seen.add(x);
  if (again) return [`${look.label(x)}   (above)`];
  const below = look.inputs(x).map((input) => tree(input, look, seen));
  const lines = below.flatMap((branch, i) => {
    const isLast = i === below.length - 1;
    const first = isLast ? "└─ " : "├─ ";
    const rest = isLast ? "   " : "│  ";
    return branch.map((line, j) => (j === 0 ? first : rest) + line);
  });
  return [look.label(x) + op, ...lines];
}

/** Boxes in columns: the further from the root, the further to the left; an op before its box. */
function boxes<T>(root: T, look: Look<T>): string {
  const column = new Map<T, number>([[root, 0]]);
  const row = new Map<T, number>();
  let rows = 0;
  const place = (x: T): number => {
    for (const input of look.inputs(x))
      column.set(input, Math.max(column.get(input) ?? 0, (column.get(x) ?? 0) + 1));
    const known = row.get(x);
    const below = look.inputs(x).map(place);
    const at = known ?? (below.length ? (Math.min(...below) + Math.max(...below)) / 2 : rows++);
    row.set(x, at);
    return at;
  };
  place(root);

  const longest = Math.max(...[...column.keys()].map((x) => look.label(x).length));
  const [boxWidth, boxHeight, gap] = [16 + 6.6 * longest, 26, 62];
  const columns = Math.max(...column.values());
  const left = (x: T) => 38 + (columns - (column.get(x) ?? 0)) * (boxWidth + gap);
  const middle = (x: T) => 24 + (row.get(x) ?? 0) * 38;
  const elements = [...column.keys()].flatMap((x) => {
    const [at, y] = [left(x), middle(x)];
    const arrows = look.inputs(x).map((input) => {
      const from = left(input) + boxWidth;
      const curve = `M${from} ${middle(input)}C${from + 16} ${middle(input)} ${at - 44} ${y}`;
      return `<path fill="none" stroke="${GREY}" d="${curve} ${at - 32} ${y}"/>`;
    });
    const size = `width="${boxWidth}" height="${boxHeight}" rx="4"`;
    const box = `<rect x="${at}" y="${y - 13}" ${size} fill="none" stroke="${COLORS[0]}"/>`;
    const text = label(at + boxWidth / 2, y + 4, look.label(x), "middle");
    if (!look.op(x)) return [box, text];
    const line = `<path stroke="${GREY}" d="M${at - 8} ${y}H${at}"/>`;
    const circle = `<circle cx="${at - 20}" cy="${y}" r="13" fill="none" stroke="${COLORS[1]}"/>`;
    return [...arrows, line, circle, label(at - 20, y + 4, look.op(x), "middle"), box, text];
  });
  return document(left(root) + boxWidth + 12, 12 + rows * 38, elements);
}
