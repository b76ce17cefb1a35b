// Cross-entropy, by itself and fused with the linear layer that computes the logits.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions, describe, fail } from "../errors.ts";
import { checkShape, formatShape } from "../shape.ts";
import { checkFloats, checkIntegers, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { mul, neg } from "./elementwise.ts";
import { linear } from "./linear.ts";
import { type CrossEntropyOptions, negativeLogLikelihood } from "./losses.ts";
import { mean, sum } from "./reductions.ts";
import { rowSizes } from "./rows.ts";
import { logSoftmax, logSoftmaxSpec } from "./softmax.ts";

/**
 * y = the mean of -log softmax(x)[target] over the rows whose target is not ignoreIndex (-100).
 * x [..., V], target [...] of i32, y []; throws if a target is not from 0 to V-1. `reduction` "sum"
 * or "none" returns the sum or the loss of each row instead, `weight` [V] is a factor for each
 * class, and `labelSmoothing` spreads a part of each target over all classes.
 * @example
 * const target = tensor([0, 0], { dtype: "i32" });
 * console.log(crossEntropy(zeros([2, 1]), target).item()); // 0
 */
export function crossEntropy(x: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const known = ["ignoreIndex", "reduction", "weight", "labelSmoothing"];
  checkOptions("crossEntropy", options, known);
  const { ignoreIndex = -100, reduction = "mean", weight, labelSmoothing = 0 } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    fail(`crossEntropy: labelSmoothing is ${describe(labelSmoothing)}, expected 0 to 1`);
  checkFloats("crossEntropy", "x", x);
  if (reduction !== "mean" || weight !== undefined || labelSmoothing > 0)
    return negativeLogLikelihood("crossEntropy", logSoftmax(x), target, options);
  const [rows, n] = rowSizes("crossEntropy", x);
  if (n === 0) fail("crossEntropy: x has no classes, expected at least one");
  checkIntegers("crossEntropy", "target", target);
  checkNumber("crossEntropy", "ignoreIndex", ignoreIndex);
  checkShape("crossEntropy", "target", target.shape, x.shape.slice(0, -1));
  const { kernels } = x.device;
  const loss = empty(x, [], x.accumulateDType);
  const count = empty(x, [], x.accumulateDType); // of the targets that are not ignored
  const lse = empty(x, [rows], x.accumulateDType); // log(sum(e^x)) of each row, less its maximum
  kernels.crossEntropy(
    x.floats,
    target.ints,
    loss.floats,
    lse.floats,
    count.floats,
    rows,
    n,
    ignoreIndex,
  );
  const backward = (dy: Tensor) => {
    const dx = empty(x);
    kernels.crossEntropyBackward(
      x.floats,
      target.ints,
      lse.floats,
      count.floats,
      dy.floats,
      dx.floats,
      rows,
      n,
      ignoreIndex,
    );
    return [dx, null];
  };
  return record("crossEntropy", loss, [x, target], backward, [lse, count]);
}

/** The reference for crossEntropy() if no target is ignored; oneHot [..., V]. */
export function crossEntropySpec(x: Tensor, oneHot: Tensor): Tensor {
  return neg(mean(sum(mul(logSoftmaxSpec(x), oneHot), { dim: -1 })));
}

/**
 * crossEntropy(linear(x, w, b), target) in one kernel that overwrites the logits by their gradient
 * as soon as the loss is known, so that they are not stored twice. x [..., K], w [V, K], b [V],
 * target [...] of i32, y [].
 * @example
 * const target = tensor([2, 0], { dtype: "i32" });
 * console.log(linearCrossEntropy(randn([2, 4]), randn([3, 4]), null, target).shape); // []
 */
export function linearCrossEntropy(
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  target: Tensor,
  options: { ignoreIndex?: number } = {},
): Tensor {
  checkOptions("linearCrossEntropy", options, ["ignoreIndex"]);
  const { ignoreIndex = -100 } = options;
  const [rows, K] = rowSizes("linearCrossEntropy", x);
  checkWeight("linearCrossEntropy", "w", w, x);
  const n = w.shape[0];
  if (w.shape.length !== 2 || w.shape[1] !== K || n === 0)
    fail(`linearCrossEntropy: w has shape ${formatShape(w.shape)}, expected [classes, ${K}]`);
  if (b !== null) checkWeight("linearCrossEntropy", "b", b, x, [n]);
  checkIntegers("linearCrossEntropy", "target", target);
  checkShape("linearCrossEntropy", "target", target.shape, x.shape.slice(0, -1));
  const { kernels } = x.device;
  const loss = empty(x, [], x.accumulateDType);
  const count = empty(x, [], x.accumulateDType);
  const dlogits = empty(x, [rows, n + 7]); // a backend may pad rows to a multiple of 8
  kernels.linearCrossEntropy(
    x.floats,
    w.floatsAs(x.dtype),
    b && b.floatsAs(x.dtype),
    target.ints,
    loss.floats,
    count.floats,
    dlogits.floats,
    rows,
    n,
    K,
    ignoreIndex,
  );
  count.free("only the kernel needs it");
  const backward = (dy: Tensor) => {
    const dx = x.requiresGrad ? empty(x) : null;
    const dw = w.gradBuffer();
    const db = b && b.gradBuffer();
    kernels.linearCrossEntropyBackward(
      x.floats,
      w.floatsAs(x.dtype),
      dlogits.floats,
      dy.floats,
      dx && dx.floats,
      dw && dw.floats,
      db && db.floats,
      rows,
      n,
      K,
    );
    return [dx, dw, db];
  };
  return record("linearCrossEntropy", loss, b ? [x, w, b] : [x, w], backward, [dlogits]);
}

/** The reference for linearCrossEntropy(), composed of small ops. */
export function linearCrossEntropySpec(x: Tensor, w: Tensor, b: Tensor, target: Tensor): Tensor {
  return crossEntropy(linear(x, w, b), target);
}
