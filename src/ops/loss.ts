// The loss of a classifier: cross-entropy, alone and together with the layer that scores the
// classes.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { checkShape, show } from "../shape.ts";
import { checkTensor, checkWeight } from "../tensor/ndarray.ts";
import { type Backward, empty, type Tensor } from "../tensor/tensor.ts";
import { mul, neg } from "./elementwise.ts";
import { layerGrads, linear } from "./linear.ts";
import { logSoftmaxSpec, mean, rowsOf, sum } from "./reductions.ts";

/**
 * The mean of -log softmax(x)[target] over the rows whose target is not ignoreIndex (-100).
 * x [..., V], target [...] of i32; a target outside of 0..V-1 throws. Gives shape [].
 * @example
 * const target = tensor([0, 0], { dtype: "i32" });
 * console.log(crossEntropy(zeros([2, 1]), target).item()); // 0
 */
export function crossEntropy(
  x: Tensor,
  target: Tensor,
  options: { ignoreIndex?: number } = {},
): Tensor {
  checkOptions("crossEntropy", options, ["ignoreIndex"]);
  const { ignoreIndex = -100 } = options;
  const [rows, n] = rowsOf("crossEntropy", x);
  if (n === 0) fail("crossEntropy: x has no classes, expected at least one");
  checkTensor("crossEntropy", "target", target);
  checkNumber("crossEntropy", "ignoreIndex", ignoreIndex);
  checkShape("crossEntropy", "target", target.shape, x.shape.slice(0, -1));
  const { kernels } = x.device;
  const [loss, count] = [empty(x, [], x.accumulateDType), empty(x, [], x.accumulateDType)];
  const lse = empty(x, [rows], x.accumulateDType);
  const sizes = [rows, n, ignoreIndex] as const;
  kernels.crossEntropy(x.floats, target.ints, loss.floats, lse.floats, count.floats, ...sizes);
  return record(
    "crossEntropy",
    loss,
    [x, target],
    (dy) => {
      const dx = empty(x);
      const inputs = [x.floats, target.ints, lse.floats, count.floats, dy.floats] as const;
      kernels.crossEntropyBackward(...inputs, dx.floats, ...sizes);
      return [dx, false];
    },
    [lse, count],
  );
}

/** For targets that all count, given as rows of 0 and a single 1. */
export function crossEntropySpec(x: Tensor, oneHot: Tensor): Tensor {
  return neg(mean(sum(mul(logSoftmaxSpec(x), oneHot), { dim: -1 })));
}

/**
 * crossEntropy(linear(x, w, b), target), whose scores nobody sees: their gradient takes their place
 * as soon as the loss is known.  x [..., K], w [V, K], b [V], target [...] of i32
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
  const [rows, K] = rowsOf("linearCrossEntropy", x);
  checkWeight("linearCrossEntropy", "w", w, x);
  const n = w.shape[0];
  if (w.shape.length !== 2 || w.shape[1] !== K || n === 0)
    fail(`linearCrossEntropy: w has shape ${show(w.shape)}, expected [classes, ${K}]`);
  if (b !== null) checkWeight("linearCrossEntropy", "b", b, x, [n]);
  checkTensor("linearCrossEntropy", "target", target);
  checkShape("linearCrossEntropy", "target", target.shape, x.shape.slice(0, -1));
  const { kernels } = x.device;
  const [loss, count] = [empty(x, [], x.accumulateDType), empty(x, [], x.accumulateDType)];
  const logits = empty(x, [rows, n + 7]); // a floor may pad rows to a multiple of 8
  const inputs = () => [x.floats, w.floatsAs(x.dtype)] as const;
  const results = [loss.floats, count.floats, logits.floats] as const;
  const bias = b && b.floatsAs(x.dtype);
  kernels.linearCrossEntropy(...inputs(), bias, target.ints, ...results, rows, n, K, ignoreIndex);
  count.free("only the kernel needs it");
  const backward: Backward = (dy) => {
    const { grads, wanted } = layerGrads(x, w, b);
    kernels.linearCrossEntropyBackward(
      ...inputs(),
      logits.floats,
      dy.floats,
      ...wanted,
      rows,
      n,
      K,
    );
    return grads;
  };
  return record("linearCrossEntropy", loss, b ? [x, w, b] : [x, w], backward, [logits]);
}

export function linearCrossEntropySpec(x: Tensor, w: Tensor, b: Tensor, target: Tensor): Tensor {
  return crossEntropy(linear(x, w, b), target);
}
