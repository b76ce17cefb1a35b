// Gradient clipping, which limits how far one bad batch can move the parameters.

import { noGrad } from "../autograd.ts";
import { describe, fail } from "../errors.ts";
import { sqrt } from "../ops/elementwise.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";

/**
 * Scales all gradients by min(1, maxNorm / norm), norm being the Euclidean norm of all of them
 * together, and returns the norm before clipping. maxNorm Infinity only measures. Pascanu et al.
 * (2013).
 * @example
 * const w = tensor([3, 4], { requiresGrad: true });
 * sum(mul(w, w)).backward(); // the gradient is [6, 8]
 * console.log(optim.clipGradNorm([w], 1)); // 10
 */
export function clipGradNorm(params: Iterable<Tensor>, maxNorm: number): number {
  const norm = clip("clipGradNorm", params, maxNorm);
  return norm ? norm.item() : 0;
}

/**
 * clipGradNorm() with the norm as a tensor, for captured steps; null if nothing has a gradient.
 * @example
 * const w = tensor([3, 4], { requiresGrad: true });
 * sum(mul(w, w)).backward(); // the gradient is [6, 8]
 * console.log(optim.clipGradients([w], 1).item()); // 10
 */
export function clipGradients(params: Iterable<Tensor>, maxNorm: number): Tensor | null {
  return clip("clipGradients", params, maxNorm);
}

function clip(op: string, params: Iterable<Tensor>, maxNorm: number): Tensor | null {
  if (typeof maxNorm !== "number" || !(maxNorm > 0))
    fail(`${op}: maxNorm is ${describe(maxNorm)}, expected a number above 0`);
  if (typeof params?.[Symbol.iterator] !== "function")
    fail(`${op}: params is ${describe(params)}, expected a list of parameters`);
  const list = [...params];
  for (const [i, w] of list.entries()) checkTensor(op, `params[${i}]`, w);
  const grads = list.flatMap((w) => w.grad ?? []);
  if (grads.length === 0) return null;
  const total = empty(grads[0], []);
  const { kernels } = total.device;
  const buffers = grads.map((dw) => dw.floats);
  kernels.sumSquares(buffers, total.floats);
  const norm = noGrad(() => sqrt(total));
  if (maxNorm === Infinity) return norm;
  kernels.clip(buffers, total.floats, maxNorm);
  for (const dw of grads) dw.storage.bumpVersion();
  return norm;
}
