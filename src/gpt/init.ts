// Initial weights of transformers.

import type { Module } from "../nn/index.ts";
import { tensor } from "../ops/creation.ts";
import { nextSite, normal } from "../random.ts";
import { scope } from "../scope.ts";

/**
 * Initializes all matrices of a model with samples from N(0, 0.02^2). The projections c_proj, whose
 * outputs are added to the residual stream, get the standard deviation 0.02 / sqrt(additions),
 * where `additions` is the number of such projections. This keeps the stream from growing with
 * depth. Radford et al. (2019), section 2.3. With `zeroProjections` they are 0 instead, and the
 * other matrices are the same as without.
 */
export function initWeights(model: Module, additions: number, zeroProjections = false): void {
  for (const [name, w] of model.namedParameters()) {
    if (w.shape.length < 2) continue;
    const isProjection = name.endsWith("c_proj.weight");
    const site = nextSite();
    if (isProjection && zeroProjections) {
      w.fill(0);
      continue;
    }
    const deviation = isProjection ? 0.02 / Math.sqrt(additions) : 0.02;
    const values = normal(w.size, { site, stream: "init" }).map((z) => z * deviation);
    scope(() => w.assign(tensor(values, { shape: w.shape, dtype: w.dtype, device: w.device })));
  }
}
