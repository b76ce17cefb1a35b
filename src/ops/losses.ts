// Losses that are composed of other ops. Cross-entropy, which has kernels, is in loss.ts.

import { checkNumber, checkOptions, describe, fail } from "../errors.ts";
import { checkShape } from "../shape.ts";
import { checkIntegers, checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { softplus } from "./activations.ts";
import { eq } from "./comparison.ts";
import { abs, add, div, exp, log, mul, neg, sub } from "./elementwise.ts";
import { takeElements } from "./indexing.ts";
import { to } from "./movement.ts";
import { type Operand, toFloats, uploadIntegers } from "./operands.ts";
import { mean, sum } from "./reductions.ts";
import { rowSizes } from "./rows.ts";
import { where } from "./selection.ts";

/** Which number a loss becomes: the mean or the sum of its elements, or all of them. */
export type LossReduction = "mean" | "sum" | "none";

/** Options of a loss. */
export interface LossOptions {
  /** The mean (default), the sum, or the loss of each element. */
  reduction?: LossReduction;
}

/**
 * y = the mean of (x - target)^2, or what `reduction` names. target has the shape of x.
 * @example
 * console.log(mseLoss(tensor([1, 2]), tensor([1, 4])).item()); // 2
 */
export function mseLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkTarget("mseLoss", x, target);
  const difference = sub(toFloats(x), target);
  return reduce("mseLoss", mul(difference, difference), options);
}

/**
 * y = the mean of |x - target|, or what `reduction` names. target has the shape of x.
 * @example
 * console.log(l1Loss(tensor([1, 2]), tensor([1, 4])).item()); // 1
 */
export function l1Loss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkTarget("l1Loss", x, target);
  return reduce("l1Loss", abs(sub(toFloats(x), target)), options);
}

/** Options of binaryCrossEntropyWithLogits(); tensors that broadcast with x. */
export interface BinaryCrossEntropyOptions extends LossOptions {
  /** Multiplies the loss of each element. */
  weight?: Operand;
  /** Multiplies the part of the loss for targets of 1. */
  posWeight?: Operand;
}

/**
 * y = the mean of -target log p - (1 - target) log(1 - p), with p = sigmoid(x), without overflow.
 * target, from 0 to 1, has the shape of x.
 * @example
 * const target = tensor([1, 0]);
 * console.log(binaryCrossEntropyWithLogits(zeros([2]), target).item().toFixed(4)); // 0.6931
 */
export function binaryCrossEntropyWithLogits(
  x: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  const op = "binaryCrossEntropyWithLogits";
  checkTarget(op, x, target);
  checkOptions(op, options, ["weight", "posWeight", "reduction"]);
  const { weight, posWeight, ...others } = options;
  const t = to(target, x.dtype);
  const logOfOne = softplus(neg(x), { threshold: Infinity }); // -log p
  const excess = typeof posWeight === "number" ? posWeight - 1 : posWeight && sub(posWeight, 1);
  const weighted = excess === undefined ? logOfOne : mul(add(mul(t, excess), 1), logOfOne);
  const losses = add(mul(sub(1, t), x), weighted);
  return reduce(op, weight === undefined ? losses : mul(losses, weight), others);
}

/** Options of nllLoss(). */
export interface NllOptions extends LossOptions {
  /** Targets with this value do not count; -100 by default. */
  ignoreIndex?: number;
  /** A factor for each class [C]; the mean is divided by the sum of the factors that count. */
  weight?: Tensor;
}

/**
 * y = the mean of -x[target] over the rows whose target is not ignoreIndex. x [..., C], log
 * probabilities such as those of logSoftmax; target [...] of i32. With reduction "none" y is [...],
 * 0 where the target is ignored. Throws if a target is not from 0 to C-1.
 * @example
 * const x = logSoftmax(zeros([2, 4]));
 * console.log(nllLoss(x, tensor([0, 3], { dtype: "i32" })).item().toFixed(4)); // 1.3863
 */
export function nllLoss(x: Tensor, target: Tensor, options: NllOptions = {}): Tensor {
  checkOptions("nllLoss", options, ["ignoreIndex", "weight", "reduction"]);
  return negativeLogLikelihood("nllLoss", x, target, options);
}

/** Options of crossEntropy(). */
export interface CrossEntropyOptions extends NllOptions {
  /**
   * A share e of the loss, 0 by default: the target distribution is 1 - e for the target plus e / C
   * for each class. Szegedy et al. (2016).
   */
  labelSmoothing?: number;
}

/** nllLoss() with label smoothing, of which errors begin with `op`. */
export function negativeLogLikelihood(
  op: string,
  x: Tensor,
  target: Tensor,
  options: CrossEntropyOptions,
): Tensor {
  const { ignoreIndex = -100, weight, labelSmoothing = 0, reduction } = options;
  checkReduction(op, { reduction });
  const [, n] = rowSizes(op, x);
  if (n === 0) fail(`${op}: x has no classes, expected at least one`);
  checkNumber(op, "ignoreIndex", ignoreIndex);
  checkIntegers(op, "target", target);
  checkShape(op, "target", target.shape, x.shape.slice(0, -1));
  if (weight !== undefined) checkSameKind(op, "weight", weight, x, [n]);
  const classes = target.data() as Int32Array;
  const counts = classes.map((c) => Number(c !== ignoreIndex));
  for (const [i, c] of classes.entries()) {
    if (counts[i] && (c < 0 || c >= n))
      fail(`${op}: target has ${c} at element ${i}, expected 0 to ${n - 1}`);
  }
  const isCounted = uploadIntegers(x, counts, target.shape);
  const chosen = classes.map((c, row) => (counts[row] ? c : 0));
  const places = chosen.map((c, row) => row * n + c);
  let losses = neg(takeElements(x, places, target.shape));
  let factors = to(isCounted, x.dtype);
  if (weight !== undefined) {
    const ofClass = takeElements(weight, chosen, target.shape);
    losses = mul(losses, ofClass);
    factors = mul(factors, ofClass);
  }
  if (labelSmoothing > 0) {
    const ofClasses = neg(sum(weight === undefined ? x : mul(x, weight), -1));
    losses = add(mul(losses, 1 - labelSmoothing), mul(ofClasses, labelSmoothing / n));
  }
  losses = where(isCounted, losses, 0);
  if ((reduction ?? "mean") !== "mean") return reduce(op, losses, { reduction });
  return div(sum(losses), sum(factors));
}

/** Options of klDiv(). */
export interface KlDivOptions {
  /** "batchmean" divides the sum by the first size of x: the divergence of the definition. */
  reduction?: LossReduction | "batchmean";
  /** True if target holds logarithms. */
  logTarget?: boolean;
}

/**
 * y = the mean of target (log target - x), the Kullback-Leibler divergence of a distribution with
 * the logarithms x from the distribution target, which has the shape of x. Where target is 0 it
 * adds 0.
 * @example
 * const x = log(tensor([[0.5, 0.5]]));
 * const target = tensor([[1, 0]]);
 * console.log(klDiv(x, target, { reduction: "batchmean" }).item().toFixed(4)); // 0.6931
 */
export function klDiv(x: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  checkTarget("klDiv", x, target);
  checkOptions("klDiv", options, ["reduction", "logTarget"]);
  const { reduction = "mean", logTarget = false } = options;
  const t = toFloats(target);
  const losses = logTarget
    ? mul(exp(t), sub(t, x))
    : sub(mul(t, log(where(eq(t, 0), 1, t))), mul(t, x));
  if (reduction !== "batchmean") return reduce("klDiv", losses, { reduction });
  return div(sum(losses), x.shape[0] ?? 1);
}

/** Throws unless target has the shape and device of x, and its dtype or i32. */
function checkTarget(op: string, x: Tensor, target: Tensor): void {
  checkTensor(op, "x", x);
  checkSameKind(op, "target", target, x, x.shape, [x.dtype, "i32"]);
}

function checkReduction(op: string, options: LossOptions): LossReduction {
  checkOptions(op, options, ["reduction"]);
  const { reduction = "mean" } = options;
  if (reduction !== "mean" && reduction !== "sum" && reduction !== "none")
    fail(`${op}: reduction is ${describe(reduction)}, expected mean, sum or none`);
  return reduction;
}

function reduce(op: string, losses: Tensor, options: LossOptions): Tensor {
  const reduction = checkReduction(op, options);
  if (reduction === "none") return losses;
  return reduction === "sum" ? sum(losses) : mean(losses);
}
