// How numbers spread in each parameter and its gradient: many small histograms of one kind.

import type { Histogram, Snapshot } from "../protocol.ts";
import { element, svgElement } from "./element.ts";
import { short } from "./format.ts";

const HEIGHT = 40;

/** A group for each layer, in it a card for each parameter. */
export function histograms(all: Snapshot["histograms"]): HTMLElement[] {
  const layers = [...new Set(all.map(({ name }) => layerOf(name)))];
  return layers.map((layer) => {
    const cards = all
      .filter(({ name }) => layerOf(name) === layer)
      .map(({ name, weight, gradient }) =>
        element(
          "div",
          { class: "parameter" },
          element("h4", { title: name }, layer === null ? name : name.slice(layer.length + 1)),
          element(
            "div",
            {},
            ...picture(weight, "weight", name),
            ...picture(gradient, "gradient", name),
          ),
        ),
      );
    const title = layer === null ? "Outside the layers" : `Layer ${layer.split(".")[1]}`;
    return element(
      "section",
      {},
      element("h3", {}, title),
      element("div", { class: "parameters" }, ...cards),
    );
  });
}

/** `h.3` of `h.3.attn.c_attn.weight`; null of what lies in no layer. */
function layerOf(name: string): string | null {
  return /^h\.\d+(?=\.)/.exec(name)?.[0] ?? null;
}

function picture(histogram: Histogram | null, kind: string, name: string): HTMLElement[] {
  if (!histogram) return [element("p", { class: "soft small" }, `no ${kind}`)];
  const { low, high, counts } = histogram;
  const most = Math.max(1, ...counts);
  const bars = counts.map(
    (count, i) => `M${i} ${HEIGHT}V${HEIGHT * (1 - count / most)}h1V${HEIGHT}`,
  );
  const range = [short(low), short(high)];
  const svg = svgElement(
    "svg",
    {
      viewBox: `0 0 ${counts.length} ${HEIGHT}`,
      preserveAspectRatio: "none",
      role: "img",
      "aria-label": `${kind} of ${name}, from ${range[0]} to ${range[1]}`,
    },
    svgElement("path", { d: bars.join("") }),
  );
  const ends = element(
    "p",
    { class: "ends soft" },
    ...range.map((end) => element("span", {}, end)),
  );
  const figure = element("figure", { class: kind });
  figure.append(svg, ends);
  return [figure];
}
