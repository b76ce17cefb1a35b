// The ops as methods of a tensor: x.add(y) is add(x, y).

import * as activations from "./ops/activations.ts";
import * as attention from "./ops/attention.ts";
import * as comparison from "./ops/comparison.ts";
import * as einsum from "./ops/einsum.ts";
import * as elementwise from "./ops/elementwise.ts";
import * as indexing from "./ops/indexing.ts";
import { linear } from "./ops/linear.ts";
import * as loss from "./ops/loss.ts";
import { matmul } from "./ops/matmul.ts";
import * as matrices from "./ops/matrices.ts";
import * as movement from "./ops/movement.ts";
import * as normalization from "./ops/normalization.ts";
import * as predicates from "./ops/predicates.ts";
import * as random from "./ops/random.ts";
import * as reductions from "./ops/reductions.ts";
import * as rounding from "./ops/rounding.ts";
import * as scans from "./ops/scans.ts";
import * as selection from "./ops/selection.ts";
import { logSoftmax, softmax } from "./ops/softmax.ts";
import * as sorting from "./ops/sorting.ts";
import * as views from "./ops/views.ts";
import { Tensor } from "./tensor/tensor.ts";

const methods = {
  /** y = a + b. */
  add: elementwise.add,
  /** y = a - b */
  sub: elementwise.sub,
  /** y = a b, element by element */
  mul: elementwise.mul,
  /** y = a / b; of i32 too, the result is f32. */
  div: elementwise.div,
  /** y = -x */
  neg: elementwise.neg,
  /** y = e^x */
  exp: elementwise.exp,
  /** y = ln x */
  log: elementwise.log,
  /** y = the square root of x */
  sqrt: elementwise.sqrt,
  /** y = |x|; the derivative at 0 is 0 */
  abs: elementwise.abs,
  /** y = sin x, elementwise. */
  sin: elementwise.sin,
  /** y = cos x, elementwise. */
  cos: elementwise.cos,
  /** y = x^exponent, the exponent being a number */
  pow: elementwise.pow,
  /** y = 1 where a = b, otherwise 0 */
  eq: comparison.eq,
  /** y = 1 where a is not b, otherwise 0; NaN differs from NaN. */
  ne: comparison.ne,
  /** y = 1 where a > b, otherwise 0 */
  gt: comparison.gt,
  /** y = 1 where a < b, otherwise 0 */
  lt: comparison.lt,
  /** y = 1 where a >= b, otherwise 0 */
  ge: comparison.ge,
  /** y = 1 where a <= b, otherwise 0 */
  le: comparison.le,
  /** y = the larger of a and b, NaN if one is NaN. */
  maximum: comparison.maximum,
  /** y = the smaller of a and b, NaN if one is NaN. */
  minimum: comparison.minimum,
  /** y = min(max(x, lower), upper): clamp(x, min, max) or clamp(x, { min, max }). */
  clamp: comparison.clamp,
  /** y = the whole number nearest to x; halves go to the even one. */
  round: rounding.round,
  /** y = the largest whole number that is at most x */
  floor: rounding.floor,
  /** y = the smallest whole number that is at least x */
  ceil: rounding.ceil,
  /** y = 1 where x > 0, -1 where x < 0, otherwise 0, also for NaN */
  sign: rounding.sign,
  /** y = a - b floor(a / b): the remainder of a division, with the sign of b. */
  remainder: rounding.remainder,
  /** y = 1 where x is NaN, otherwise 0 */
  isnan: predicates.isnan,
  /** y = 1 where x is Infinity or -Infinity, otherwise 0 */
  isinf: predicates.isinf,
  /** y = 1 where x is neither infinite nor NaN, otherwise 0 */
  isfinite: predicates.isfinite,
  /** y = tanh x, elementwise. */
  tanh: activations.tanh,
  /** y = max(x, 0) */
  relu: activations.relu,
  /** y = max(x, 0)^2. */
  relu2: activations.relu2,
  /** y = 1 / (1 + e^-x) */
  sigmoid: activations.sigmoid,
  /** y = x sigmoid(x), also called swish. */
  silu: activations.silu,
  /** y = x Phi(x), with the normal distribution function Phi, or its approximation by tanh that
   *  GPT-2 uses. */
  gelu: activations.gelu,
  /** y = cap tanh(x / cap): near x where |x| is small, and always between -cap and cap. */
  softcap: activations.softcap,
  /** y = ln(1 + e^(beta x)) / beta; x itself where beta x > 20, as in PyTorch. */
  softplus: activations.softplus,
  /** y = x where x > 0, negativeSlope x elsewhere; negativeSlope is 0.01 by default. */
  leakyRelu: activations.leakyRelu,
  /** y = x where x > 0, alpha (e^x - 1) elsewhere; alpha is 1 by default. */
  elu: activations.elu,
  /** y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x */
  erf: activations.erf,
  /** x, with `value` wherever the mask (i32) is not 0. */
  maskedFill: selection.maskedFill,
  /** Zeroes each element with probability p and multiplies the others by 1 / (1 - p). */
  dropout: random.dropout,
  /** y = the sum of x along dim, or along several axes. */
  sum: reductions.sum,
  /** y = the arithmetic mean of x along dim, or along several axes */
  mean: reductions.mean,
  /** y = the largest element along dim; the gradient goes to the first of equal elements. */
  max: reductions.max,
  /** y = the smallest element along dim, NaN if there is one. */
  min: reductions.min,
  /** Returns the index of the largest element along dim, the first of equal ones, as i32. */
  argmax: reductions.argmax,
  /** Returns the index of the smallest element along dim, the first of equal ones, as i32. */
  argmin: reductions.argmin,
  /** y = 1 if an element along dim is not 0, otherwise 0, as i32 */
  any: reductions.any,
  /** y = 1 if no element along dim is 0, otherwise 0, as i32 */
  all: reductions.all,
  /** y = the mean of (x - mean)^2 along dim; `unbiased` divides by n - 1 instead of n. */
  var: reductions.variance,
  /** y = the standard deviation of x along dim, the square root of var(x). */
  std: reductions.std,
  /** y = the product of x along dim, 1 of no elements. */
  prod: scans.prod,
  /** y_i = x_0 + ... + x_i along dim: cumsum(x, dim) or cumsum(x, { dim }). */
  cumsum: scans.cumsum,
  /** y = log(sum(e^x)) along dim, without overflow: logsumexp(x, dim) or logsumexp(x, { dim }). */
  logsumexp: scans.logsumexp,
  /** y = (sum(|x|^p))^(1/p) along dim, by default over all elements with p = 2. */
  norm: scans.norm,
  /** y = e^x / sum(e^x) along dim, by default the last axis. */
  softmax,
  /** y = x - log(sum(e^x)) along dim (default: the last axis) */
  logSoftmax,
  /** y = w (x - mean) / sqrt(var + eps) + b over the last axis, with the biased variance. */
  layerNorm: normalization.layerNorm,
  /** y = w x / sqrt(mean(x^2) + eps) over the last axis. */
  rmsNorm: normalization.rmsNorm,
  /** y = the mean of -log softmax(x)[target] over the rows whose target is not ignoreIndex
   *  (-100). */
  crossEntropy: loss.crossEntropy,
  /** c = a b over the last two axes; the axes before them are batches and broadcast. */
  matmul,
  /** y = f(x w^T + b), where f is the activation, by default none. */
  linear,
  /** y = softmax(q k^T / sqrt D) v. */
  attention: attention.attention,
  /** attention() of the queries, keys and values of one projection, without copying the heads. */
  selfAttention: attention.selfAttention,
  /** Returns the same elements in the same order with another shape, on the same memory. */
  reshape: movement.reshape,
  /** y[..., j, ..., i, ...] = x[..., i, ..., j, ...]: swaps two axes. */
  transpose: movement.transpose,
  /** Axis i of the result is axis dims[i] of x: permute(x, [2, 0, 1]) or permute(x, 2, 0, 1). */
  permute: movement.permute,
  /** Returns elements start to end - 1 of one axis; negative bounds count from its end. */
  slice: movement.slice,
  /** Splits x into pieces of `size` along one axis; the last piece may be shorter. */
  split: movement.split,
  /** Returns x on another device or in another dtype; x itself if nothing changes. */
  to: movement.to,
  /** y = a where cond is not 0, b elsewhere; cond is i32, as comparisons return it. */
  where: selection.where,
  /** y[..., c] = w[idx[...], c]. */
  embedding: movement.embedding,
  /** reshape(x, shape) by PyTorch's other name: view(x, 2, -1) or view(x, [2, -1]). */
  view: views.view,
  /** Merges the axes from startDim to endDim, by default all of them, into one. */
  flatten: views.flatten,
  /** Removes the axis `dim` if its size is 1, by default every axis of size 1. */
  squeeze: views.squeeze,
  /** Inserts an axis of size 1 at position `dim`. */
  unsqueeze: views.unsqueeze,
  /** Repeats axes of size 1 up to a shape. */
  expand: views.expand,
  /** Repeats x counts[i] times along each axis. */
  repeat: views.repeat,
  /** Splits x into at most `chunks` pieces of equal size along one axis. */
  chunk: views.chunk,
  /** Returns part `index` of x along axis `dim`, without that axis. */
  select: views.select,
  /** Returns a copy of x. */
  clone: views.clone,
  /** Returns the parts of x along one axis, without that axis. */
  unbind: views.unbind,
  /** Reverses the order of elements along axes: flip(x, 0), flip(x, 0, 1) or flip(x, [0, 1]). */
  flip: views.flip,
  /** Moves elements `shifts` places on along axes. */
  roll: views.roll,
  /** y[i][j][k] = x[i][index[i][j][k]][k] for dim = 1, and likewise for other axes. */
  gather: indexing.gather,
  /** Returns x with y[i][index[i][j][k]][k] = src[i][j][k] for dim = 1. */
  scatter: indexing.scatter,
  /** Like scatter(), but adds: elements of src at the same place are added up, in order. */
  scatterAdd: indexing.scatterAdd,
  /** y[.., j, ..] = x[.., index[j], ..] along dim: whole rows, columns or blocks. */
  indexSelect: indexing.indexSelect,
  /** Sorts along dim, by default the last axis. */
  sort: sorting.sort,
  /** Returns the indices that sort x along dim: those of sort(). */
  argsort: sorting.argsort,
  /** Returns the k largest elements along dim, by default the last axis. */
  topk: sorting.topk,
  /** x with the elements above the given diagonal of its last two axes set to 0. */
  tril: matrices.tril,
  /** x with the elements below the given diagonal of its last two axes set to 0. */
  triu: matrices.triu,
  /** Of a vector: the matrix with it on a diagonal and 0 elsewhere. */
  diag: matrices.diag,
  /** c = a b for each of a batch of matrices. */
  bmm: einsum.bmm,
  /** y = the sum of a_i b_i. */
  dot: einsum.dot,
  /** y[i, j] = a[i] b[j]. */
  outer: einsum.outer,
  /** Samples `count` indices from each row of weights, by default without replacement. */
  multinomial: random.multinomial,
};

type Rest<F> = F extends (x: Tensor, ...rest: infer R) => infer Y ? (...rest: R) => Y : never;
type Methods = { [K in keyof typeof methods]: Rest<(typeof methods)[K]> };

declare module "./tensor/tensor.ts" {
  interface Tensor extends Methods {}
}

for (const [name, op] of Object.entries(methods)) {
  const call = op as (x: Tensor, ...rest: unknown[]) => unknown;
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...rest: unknown[]) {
      return call(this, ...rest);
    },
  });
}
