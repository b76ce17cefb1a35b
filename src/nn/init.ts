// The namespace nn.init: functions that set a parameter to new values in place, and return it.

import { checkNumber, checkOptions, fail } from "../errors.ts";
import { compose } from "../ops/compose.ts";
import { add, mul } from "../ops/elementwise.ts";
import { randn } from "../ops/random.ts";
import { formatShape, numel } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { randBetween } from "./layers.ts";

/**
 * Uniform from a to b, by default from 0 to 1.
 * @example
 * const w = nn.init.uniform(zeros([100]), -1, 1);
 * console.log(w.abs().max().item() <= 1); // true
 */
export function uniform(x: Tensor, a = 0, b = 1): Tensor {
  checkNumber("uniform", "a", a);
  checkNumber("uniform", "b", b);
  return set("uniform", x, () => randBetween(x.shape, a, b, { device: x.device }));
}

/**
 * Normal with a mean and a standard deviation, by default 0 and 1.
 * @example
 * const w = nn.init.normal(zeros([2, 3]), 0, 0.02);
 * console.log(w.shape); // [ 2, 3 ]
 */
export function normal(x: Tensor, mean = 0, std = 1): Tensor {
  checkNumber("normal", "mean", mean);
  checkNumber("normal", "std", std);
  return set("normal", x, () => add(mul(randn(x.shape, { device: x.device }), std), mean));
}

/**
 * All elements `value`.
 * @example
 * console.log(nn.init.constant(zeros([2]), 3).toArray()); // [ 3, 3 ]
 */
export function constant(x: Tensor, value: number): Tensor {
  checkTensor("constant", "x", x);
  return x.fill(value);
}

/**
 * All elements 0.
 * @example
 * console.log(nn.init.zeros(ones([2])).toArray()); // [ 0, 0 ]
 */
export function zeros(x: Tensor): Tensor {
  checkTensor("zeros", "x", x);
  return x.fill(0);
}

/**
 * All elements 1.
 * @example
 * const w = randn([2]);
 * console.log(nn.init.ones(w).toArray()); // [ 1, 1 ]
 */
export function ones(x: Tensor): Tensor {
  checkTensor("ones", "x", x);
  return x.fill(1);
}

/**
 * Uniform in +-gain sqrt(6 / (in + out)). Glorot and Bengio (2010).
 * @example
 * console.log(nn.init.xavierUniform(zeros([4, 3])).shape); // [ 4, 3 ]
 */
export function xavierUniform(x: Tensor, options: { gain?: number } = {}): Tensor {
  const bound = Math.sqrt(3) * xavierStd("xavierUniform", x, options);
  return uniform(x, -bound, bound);
}

/**
 * Normal with the standard deviation gain sqrt(2 / (in + out)). Glorot and Bengio (2010).
 * @example
 * console.log(nn.init.xavierNormal(zeros([4, 3])).shape); // [ 4, 3 ]
 */
export function xavierNormal(x: Tensor, options: { gain?: number } = {}): Tensor {
  return normal(x, 0, xavierStd("xavierNormal", x, options));
}

/** Options of the initializations of He et al. */
export interface KaimingOptions {
  /** Which size keeps its variance: the inputs, in the forward pass, or the outputs. */
  mode?: "fanIn" | "fanOut";
  /** The function after the layer; "leakyRelu" uses the factor `a`, by default 0. */
  nonlinearity?: "relu" | "leakyRelu" | "linear" | "tanh";
  /** The factor of leakyRelu for negative numbers. */
  a?: number;
}

/**
 * Uniform with the standard deviation gain / sqrt(in), gain sqrt(2) for relu. He et al. (2015).
 * @example
 * console.log(nn.init.kaimingUniform(zeros([4, 3]), { nonlinearity: "relu" }).shape); // [ 4, 3 ]
 */
export function kaimingUniform(x: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd("kaimingUniform", x, options);
  return uniform(x, -bound, bound);
}

/**
 * Normal with the standard deviation gain / sqrt(in), gain sqrt(2) for relu. He et al. (2015).
 * @example
 * console.log(nn.init.kaimingNormal(zeros([4, 3]), { mode: "fanOut" }).shape); // [ 4, 3 ]
 */
export function kaimingNormal(x: Tensor, options: KaimingOptions = {}): Tensor {
  return normal(x, 0, kaimingStd("kaimingNormal", x, options));
}

function xavierStd(op: string, x: Tensor, options: { gain?: number }): number {
  checkOptions(op, options, ["gain"]);
  const { fanIn, fanOut } = fans(op, x);
  return (options.gain ?? 1) * Math.sqrt(2 / (fanIn + fanOut));
}

function kaimingStd(op: string, x: Tensor, options: KaimingOptions): number {
  checkOptions(op, options, ["mode", "nonlinearity", "a"]);
  const { mode = "fanIn", nonlinearity = "leakyRelu", a = 0 } = options;
  const gains = { relu: Math.SQRT2, leakyRelu: Math.sqrt(2 / (1 + a * a)), linear: 1, tanh: 5 / 3 };
  if (!Object.hasOwn(gains, nonlinearity))
    fail(`${op}: nonlinearity is ${nonlinearity}, expected ${Object.keys(gains).join(", ")}`);
  if (mode !== "fanIn" && mode !== "fanOut")
    fail(`${op}: mode is ${String(mode)}, expected fanIn or fanOut`);
  return gains[nonlinearity] / Math.sqrt(fans(op, x)[mode]);
}

/** Returns the numbers of inputs and outputs of a weight [out, in, ...]. */
function fans(op: string, x: Tensor): { fanIn: number; fanOut: number } {
  checkTensor(op, "x", x);
  if (x.shape.length < 2)
    fail(`${op}: x has shape ${formatShape(x.shape)}, expected at least two axes`);
  const [outputs, inputs, ...kernel] = x.shape;
  return { fanIn: inputs * numel(kernel), fanOut: outputs * numel(kernel) };
}

function set(op: string, x: Tensor, values: () => Tensor): Tensor {
  checkTensor(op, "x", x);
  return compose(() => x.assign(values()));
}
