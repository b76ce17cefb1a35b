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
  add: elementwise.add,
  sub: elementwise.sub,
  mul: elementwise.mul,
  div: elementwise.div,
  neg: elementwise.neg,
  exp: elementwise.exp,
  log: elementwise.log,
  sqrt: elementwise.sqrt,
  abs: elementwise.abs,
  sin: elementwise.sin,
  cos: elementwise.cos,
  pow: elementwise.pow,
  eq: comparison.eq,
  ne: comparison.ne,
  gt: comparison.gt,
  lt: comparison.lt,
  ge: comparison.ge,
  le: comparison.le,
  maximum: comparison.maximum,
  minimum: comparison.minimum,
  clamp: comparison.clamp,
  round: rounding.round,
  floor: rounding.floor,
  ceil: rounding.ceil,
  sign: rounding.sign,
  tanh: activations.tanh,
  relu: activations.relu,
  relu2: activations.relu2,
  sigmoid: activations.sigmoid,
  silu: activations.silu,
  gelu: activations.gelu,
  softcap: activations.softcap,
  softplus: activations.softplus,
  leakyRelu: activations.leakyRelu,
  elu: activations.elu,
  erf: activations.erf,
  maskedFill: selection.maskedFill,
  dropout: random.dropout,
  sum: reductions.sum,
  mean: reductions.mean,
  max: reductions.max,
  min: reductions.min,
  argmax: reductions.argmax,
  argmin: reductions.argmin,
  any: reductions.any,
  all: reductions.all,
  var: reductions.variance,
  std: reductions.std,
  prod: scans.prod,
  cumsum: scans.cumsum,
  logsumexp: scans.logsumexp,
  norm: scans.norm,
  softmax,
  logSoftmax,
  layerNorm: normalization.layerNorm,
  rmsNorm: normalization.rmsNorm,
  crossEntropy: loss.crossEntropy,
  matmul,
  linear,
  attention: attention.attention,
  selfAttention: attention.selfAttention,
  reshape: movement.reshape,
  transpose: movement.transpose,
  permute: movement.permute,
  slice: movement.slice,
  split: movement.split,
  to: movement.to,
  where: selection.where,
  embedding: movement.embedding,
  view: views.view,
  flatten: views.flatten,
  squeeze: views.squeeze,
  unsqueeze: views.unsqueeze,
  expand: views.expand,
  repeat: views.repeat,
  chunk: views.chunk,
  unbind: views.unbind,
  flip: views.flip,
  roll: views.roll,
  gather: indexing.gather,
  scatter: indexing.scatter,
  scatterAdd: indexing.scatterAdd,
  indexSelect: indexing.indexSelect,
  sort: sorting.sort,
  argsort: sorting.argsort,
  topk: sorting.topk,
  tril: matrices.tril,
  triu: matrices.triu,
  diag: matrices.diag,
  bmm: einsum.bmm,
  dot: einsum.dot,
  outer: einsum.outer,
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
