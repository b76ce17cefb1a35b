// Figures: axes start at a labeled tick, labels do not overlap, and shades have a scale.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { barChart } from "#lessons/bar-chart.js";
import { heatmap } from "#lessons/heatmap.js";
import { lineChart } from "#lessons/line-chart.js";

const test = suite("figures");

/** Returns the texts of an SVG with their positions and colors. */
function getTexts(svg: string) {
  const pattern = /<text x="([\d.]+)" y="([\d.]+)" text-anchor="\w+" fill="(#\w+)">([^<]*)</g;
  return [...svg.matchAll(pattern)].map(([, x, y, color, text]) => ({
    x: Number(x),
    y: Number(y),
    color,
    text,
  }));
}

test("the axes of a line chart start and end at round numbers", () => {
  const points = [
    [256, 1.03],
    [768, 2.4],
  ] as const;
  const { svg, text } = lineChart([{ name: "a", points }]);
  const labels = getTexts(svg).map((label) => label.text);
  assert.equal(labels.slice(0, 4), ["1", "1.5", "2", "2.5"]);
  assert.equal(labels.slice(4, 8), ["200", "400", "600", "800"]);
  assert.match(text, /^ {8}1 ┤/m);
});

test("logarithmic axes have ticks at powers of ten", () => {
  const points = [
    [3e-3, 2],
    [1e-1, 3],
  ] as const;
  const labels = getTexts(lineChart([{ name: "a", points }], { logX: true }).svg);
  assert.equal(
    labels.filter(({ text }) => text.includes("e")).map(({ text }) => text),
    ["1e-3", "1e-2", "1e-1"],
  );
});

test("the legend is above the plot, and its names do not overlap", () => {
  const names = ["quantized matrices", "f32", "central"];
  const curves = names.map((name, i) => ({ name, points: [[0, i] as const, [1, i + 1] as const] }));
  const { svg } = lineChart(curves);
  const legend = getTexts(svg).filter(({ text }) => names.includes(text));
  for (const [i, { x, y, text }] of legend.entries()) {
    assert.ok(y < 54, `${text} at ${y}`);
    const end = x + 6.6 * text.length;
    assert.ok(i === 2 || end < legend[i + 1].x, `${text} ends at ${end}`);
  }
});

test("columns of a heat map are as wide as their labels; text contrasts with its cell", () => {
  const columnLabels = ["vowel", "consonant", "blank"];
  const cellText = [["0.0", "1.5", "3.0"]];
  const { svg } = heatmap([[0, 1.4, 3]], { columnLabels, cellText });
  const texts = getTexts(svg);
  const [first, second] = columnLabels.map((label) => texts.find(({ text }) => text === label));
  assert.ok(Number(second?.x) - Number(first?.x) > 6.6 * "consonant".length);
  const colors = cellText[0].map((cell) => texts.find(({ text }) => text === cell)?.color);
  assert.equal(colors, ["#24292f", "#24292f", "#ffffff"]);
  assert.equal(
    texts.slice(-2).map(({ text }) => text),
    ["0", "3"],
  ); // the scale
});

test("a bar chart says where its bars start, unless that is 0", () => {
  const values = { a: 2, b: 3 };
  assert.match(barChart(values, { title: "t", low: 1.5 }).text, /^t; bars start at 1\.5\n/);
  assert.match(barChart(values, { title: "t" }).text, /^t\n/);
});

test.run();
