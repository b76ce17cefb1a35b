// Activation functions, elementwise, each with its derivative.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { div, map, mapBackward, mul } from "./elementwise.ts";

/**
 * y = tanh x, elementwise.
 * @example
 * console.log(tanh(tensor([0])).toArray()); // [ 0 ]
 */
export function tanh(x: Tensor): Tensor {
  const y = map("tanh", x);
  return record("tanh", y, [x], (dy) => [mapBackward("tanhBackward", y, dy)]);
}

/**
 * y = max(x, 0)
 * @example
 * console.log(relu(tensor([-1, 2])).toArray()); // [ 0, 2 ]
 */
export function relu(x: Tensor): Tensor {
  const y = map("relu", x);
  return record("relu", y, [x], (dy) => [mapBackward("reluBackward", y, dy)]);
}

/**
 * y = max(x, 0)^2. So et al. (2021), "Primer".
 * @example
 * console.log(relu2(tensor([-1, 3])).toArray()); // [ 0, 9 ]
 */
export function relu2(x: Tensor): Tensor {
  const y = map("relu2", x);
  return record("relu2", y, [x], (dy) => [mapBackward("relu2Backward", y, dy)]);
}

/**
 * y = 1 / (1 + e^-x)
 * @example
 * console.log(sigmoid(tensor([0])).toArray()); // [ 0.5 ]
 */
export function sigmoid(x: Tensor): Tensor {
  const y = map("sigmoid", x);
  return record("sigmoid", y, [x], (dy) => [mapBackward("sigmoidBackward", y, dy)]);
}

/**
 * y = x sigmoid(x), also called swish. Elfwing, Uchibe and Doya (2017).
 * @example
 * console.log(silu(tensor([0])).toArray()); // [ 0 ]
 */
export function silu(x: Tensor): Tensor {
  return record("silu", map("silu", x), [x], (dy) => [mapBackward("siluBackward", x, dy)]);
}

/**
 * y = x Phi(x), with the normal distribution function Phi, or its approximation by tanh that GPT-2
 * uses. Hendrycks and Gimpel (2016).
 * @example
 * const y = gelu(tensor([-1, 0, 1]), { approximate: "tanh" });
 * console.log(y.shape); // [ 3 ]
 */
export function gelu(x: Tensor, options: { approximate?: "none" | "tanh" } = {}): Tensor {
  checkOptions("gelu", options, ["approximate"]);
  const { approximate = "none" } = options;
  if (approximate !== "none" && approximate !== "tanh")
    fail(`gelu: approximate is ${approximate}, expected none or tanh`);
  const kernel = approximate === "tanh" ? "geluTanh" : "gelu";
  return record(kernel, map(kernel, x), [x], (dy) => [mapBackward(`${kernel}Backward`, x, dy)]);
}

/**
 * y = cap tanh(x / cap): near x where |x| is small, and always between -cap and cap. Gemma Team
 * (2024).
 * @example
 * console.log(softcap(tensor([-1000, 0, 1000]), 30).toArray()); // [ -30, 0, 30 ]
 */
export function softcap(x: Tensor, cap: number): Tensor {
  checkNumber("softcap", "cap", cap);
  if (!(cap > 0 && cap < Infinity)) fail(`softcap: cap is ${cap}, expected a number above 0`);
  return mul(tanh(div(x, cap)), cap);
}
