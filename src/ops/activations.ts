// Activation functions, elementwise, each with its derivative.

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { map, mapBackward } from "./elementwise.ts";

export function tanh(x: Tensor): Tensor {
  const y = map("tanh", x);
  return record("tanh", y, [x], (dy) => [mapBackward("tanhBackward", y, dy)]);
}

/** y = max(x, 0) */
export function relu(x: Tensor): Tensor {
  const y = map("relu", x);
  return record("relu", y, [x], (dy) => [mapBackward("reluBackward", y, dy)]);
}

/** y = 1 / (1 + e^-x) */
export function sigmoid(x: Tensor): Tensor {
  const y = map("sigmoid", x);
  return record("sigmoid", y, [x], (dy) => [mapBackward("sigmoidBackward", y, dy)]);
}

/** y = x sigmoid(x), also called swish. Elfwing, Uchibe and Doya (2017). */
export function silu(x: Tensor): Tensor {
  return record("silu", map("silu", x), [x], (dy) => [mapBackward("siluBackward", x, dy)]);
}

/**
 * y = x Phi(x), with the normal distribution function Phi, or its approximation by tanh that GPT-2
 * uses. Hendrycks and Gimpel (2016).
 */
export function gelu(x: Tensor, options: { approximate?: "none" | "tanh" } = {}): Tensor {
  checkOptions("gelu", options, ["approximate"]);
  const { approximate = "none" } = options;
  if (approximate !== "none" && approximate !== "tanh")
    fail(`gelu: approximate is ${approximate}, expected none or tanh`);
  const kernel = approximate === "tanh" ? "geluTanh" : "gelu";
  return record(kernel, map(kernel, x), [x], (dy) => [mapBackward(`${kernel}Backward`, x, dy)]);
}
