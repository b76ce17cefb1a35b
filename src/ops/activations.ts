// Activation functions, elementwise, each with its derivative.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { clamp, eq, gt, lt } from "./comparison.ts";
import { compose } from "./compose.ts";
import { abs, add, div, exp, log, map, mapBackward, mul, neg, pow, sub } from "./elementwise.ts";
import { toFloats } from "./operands.ts";
import { where } from "./selection.ts";

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
  checkTensor("softcap", "x", x);
  checkNumber("softcap", "cap", cap);
  if (!(cap > 0 && cap < Infinity)) fail(`softcap: cap is ${cap}, expected a number above 0`);
  return mul(tanh(div(x, cap)), cap);
}

/**
 * y = ln(1 + e^(beta x)) / beta; x itself where beta x > 20, as in PyTorch.
 * @example
 * console.log(softplus(tensor([0])).item().toFixed(4)); // 0.6931
 */
export function softplus(x: Tensor, options: { beta?: number; threshold?: number } = {}): Tensor {
  checkTensor("softplus", "x", x);
  checkOptions("softplus", options, ["beta", "threshold"]);
  const { beta = 1, threshold = 20 } = options;
  checkNumber("softplus", "beta", beta);
  checkNumber("softplus", "threshold", threshold);
  const isLinear = (z: Tensor) => gt(z, threshold);
  const y = compose(() => {
    const z = mul(toFloats(x), beta);
    const curve = add(relu(z), log1p(exp(neg(abs(z)))));
    return where(isLinear(z), x, div(curve, beta));
  });
  return record("softplus", y, [x], (dy) => {
    const z = mul(x, beta);
    return [where(isLinear(z), dy, mul(dy, sigmoid(z)))];
  });
}

/**
 * y = x where x > 0, negativeSlope x elsewhere; negativeSlope is 0.01 by default.
 * @example
 * console.log(leakyRelu(tensor([-2, 3]), 0.5).toArray()); // [ -1, 3 ]
 */
export function leakyRelu(
  x: Tensor,
  negativeSlope: number | { negativeSlope?: number } = 0.01,
): Tensor {
  checkTensor("leakyRelu", "x", x);
  const options = typeof negativeSlope === "number" ? { negativeSlope } : negativeSlope;
  checkOptions("leakyRelu", options, ["negativeSlope"]);
  const { negativeSlope: factor = 0.01 } = options;
  checkNumber("leakyRelu", "negativeSlope", factor);
  const scale = (values: Tensor) => where(gt(x, 0), values, mul(values, factor));
  return record(
    "leakyRelu",
    compose(() => scale(toFloats(x))),
    [x],
    (dy) => [scale(dy)],
  );
}

/**
 * y = x where x > 0, alpha (e^x - 1) elsewhere; alpha is 1 by default. Clevert et al. (2016).
 * @example
 * console.log(elu(tensor([2, -1])).toArray().map((y) => y.toFixed(3))); // [ '2.000', '-0.632' ]
 */
export function elu(x: Tensor, alpha: number | { alpha?: number } = 1): Tensor {
  checkTensor("elu", "x", x);
  const options = typeof alpha === "number" ? { alpha } : alpha;
  checkOptions("elu", options, ["alpha"]);
  const { alpha: scale = 1 } = options;
  checkNumber("elu", "alpha", scale);
  const y = compose(() =>
    where(gt(x, 0), toFloats(x), mul(expm1(clamp(toFloats(x), -80, 0)), scale)),
  );
  return record("elu", y, [x], (dy) => {
    const derivative = mul(exp(clamp(x, null, 0)), scale);
    return [where(gt(x, 0), dy, mul(dy, derivative))];
  });
}

/** The coefficients of erf(x) sqrt(pi) / 2 = x - x^3 / 3 + x^5 / 10 - x^7 / 42 + ..., in x^2. */
const erfSeries = Array.from({ length: 13 }, (_, k) => {
  const factorial = Array.from({ length: k }, (_, i) => i + 1).reduce((a, b) => a * b, 1);
  return (-1) ** k / (factorial * (2 * k + 1));
});

/**
 * y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x
 * @example
 * console.log(erf(tensor([0, 1])).toArray().map((y) => y.toFixed(4))); // [ '0.0000', '0.8427' ]
 */
export function erf(x: Tensor): Tensor {
  checkTensor("erf", "x", x);
  const y = compose(() => {
    const z = clamp(toFloats(x), -8, 8);
    const square = mul(z, z);
    const start = mul(square, 0);
    const series = erfSeries.reduceRight((sum, c) => add(mul(sum, square), c), start);
    const near = mul(mul(z, series), 2 / Math.sqrt(Math.PI));
    const scaled = mul(z, Math.SQRT2); // x Phi(x) at sqrt(2) x: erf(x) = 2 Phi(sqrt(2) x) - 1
    const far = sub(mul(div(gelu(scaled), scaled), 2), 1);
    return where(lt(abs(z), 0.5), near, far);
  });
  return record("erf", y, [x], (dy) => [
    mul(mul(dy, exp(neg(pow(x, 2)))), 2 / Math.sqrt(Math.PI)), //
  ]);
}

/** ln(1 + x), precise for small x >= 0 (Kahan): the rounding error of 1 + x divides out. */
function log1p(x: Tensor): Tensor {
  const w = add(x, 1);
  return where(eq(w, 1), x, div(mul(x, log(w)), sub(w, 1)));
}

/** e^x - 1 to full precision for small x (Kahan); -1 where e^x is lost next to 1. */
function expm1(x: Tensor): Tensor {
  const w = exp(x);
  const difference = sub(w, 1);
  const precise = div(mul(difference, x), log(w));
  return where(eq(w, 1), x, where(eq(difference, -1), -1, precise));
}
