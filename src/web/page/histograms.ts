// Histograms of the values of each parameter and of its gradient.

import type { Histogram, Snapshot } from "../protocol.ts";
import { element, svgElement } from "./element.ts";
import { formatShort } from "./format.ts";

type ParameterHistograms = Snapshot["histograms"][number];

const HEIGHT = 40;

/** Creates a section for each layer, with a card for each of its parameters. */
export function createHistograms(all: ParameterHistograms[]): HTMLElement[] {
  const layers = [...new Set(all.map(({ name }) => getLayer(name)))];
  return layers.map((layer) => {
    const cards = all
      .filter(({ name }) => getLayer(name) === layer)
      .map((histograms) => createCard(histograms, layer));
    const title = layer === null ? "Other parameters" : `Layer ${layer.split(".")[1]}`;
    return element(
      "section",
      {},
      element("h3", {}, title),
      element("div", { class: "parameters" }, ...cards),
    );
  });
}

/** Returns `h.3` for `h.3.attn.c_attn.weight`, and null for a parameter outside the layers. */
function getLayer(name: string): string | null {
  return /^h\.\d+(?=\.)/.exec(name)?.[0] ?? null;
}

function createCard(
  { name, weight, gradient }: ParameterHistograms,
  layer: string | null,
): HTMLElement {
  const shortName = layer === null ? name : name.slice(layer.length + 1);
  const pair = element(
    "div",
    {},
    createFigure(weight, "weight", name),
    createFigure(gradient, "gradient", name),
  );
  return element("div", { class: "parameter" }, element("h4", { title: name }, shortName), pair);
}

function createFigure(
  histogram: Histogram | null,
  kind: "weight" | "gradient",
  name: string,
): HTMLElement {
  if (!histogram) return element("p", { class: "soft small" }, `no ${kind}`);
  const { low, high, counts } = histogram;
  const highest = Math.max(1, ...counts);
  const bars = counts.map(
    (count, i) => `M${i} ${HEIGHT}V${HEIGHT * (1 - count / highest)}h1V${HEIGHT}`,
  );
  const from = formatShort(low);
  const to = formatShort(high);
  const svg = svgElement(
    "svg",
    {
      viewBox: `0 0 ${counts.length} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${kind} of ${name}, from ${from} to ${to}`,
    },
    svgElement("path", { d: bars.join("") }),
  );
  const limits = element(
    "p",
    { class: "limits soft" },
    element("span", {}, from),
    element("span", {}, to),
  );
  return element("figure", { class: kind }, svg, limits);
}
