// How the matrices of a transformer are drawn.

import type { Module } from "../nn/index.ts";
import { tensor } from "../ops/creation.ts";
import { nextSite, normal } from "../random.ts";
import { scope } from "../scope.ts";

/**
 * Normal with standard deviation 0.02; 0.02 / sqrt(branches) where a projection adds to a residual
 * stream that so many branches join. Radford et al. (2019), section 2.3.
 */
export function initWeights(model: Module, branches: number): void {
  for (const [name, w] of model.namedParameters()) {
    if (w.shape.length < 2) continue;
    const deviation = name.endsWith("c_proj.weight") ? 0.02 / Math.sqrt(branches) : 0.02;
    const values = normal(w.size, { site: nextSite(), stream: "init" }).map((z) => z * deviation);
    scope(() => w.assign(tensor(values, { shape: w.shape, dtype: w.dtype, device: w.device })));
  }
}
