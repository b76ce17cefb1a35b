// Tensors without elements: ops on them return what PyTorch returns, forward and backward. A size
// next to a 0 may be huge, so that an op that looped over rows of nothing would never return.

import { inspect } from "node:util";
import {
  add,
  arange,
  argmax,
  attention,
  cat,
  crossEntropy,
  dropout,
  embedding,
  exp,
  layerNorm,
  linear,
  linearCrossEntropy,
  logSoftmax,
  matmul,
  max,
  mean,
  mlp,
  ones,
  permute,
  rand,
  randn,
  reshape,
  rmsNorm,
  selfAttention,
  slice,
  softmax,
  split,
  stack,
  sum,
  type Tensor,
  tensor,
  transpose,
  tril,
  var as variance,
  where,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice } from "../support/harness.js";

eachDevice("empty tensors", (test) => {
  const huge = 2 ** 40;
  const x = (...shape: number[]) => zeros(shape, { requiresGrad: true });
  const ids = (...shape: number[]) => zeros(shape, { dtype: "i32" });

  /** Each case: an op on empty tensors, the shape of its result, and its value if it has one. */
  // biome-ignore format: a case a line
  const cases: [what: string, f: () => Tensor, shape: number[], value?: number][] = [
    ["add", () => add(x(huge, 0), x(huge, 0)), [huge, 0]],
    ["add of a row", () => add(x(huge, 0), x(1, 0)), [huge, 0]],
    ["add of a column", () => add(x(huge, 1, 0), x(1, 3, 0)), [huge, 3, 0]],
    ["add of a scalar", () => add(x(0, huge), x()), [0, huge]],
    ["exp", () => exp(x(0, huge)), [0, huge]],
    ["where", () => where(ids(huge, 0), x(huge, 0), 1), [huge, 0]],
    ["sum", () => sum(x(huge, 0)), [], 0],
    ["sum, dim 0", () => sum(x(huge, 0), { dim: 0 }), [0]],
    ["sum of nothing, dim 0", () => sum(x(0, 3), { dim: 0 }), [3], 0],
    ["sum of nothing, dim 1", () => sum(x(3, 0, 2), { dim: 1 }), [3, 2], 0],
    ["sum of rows of nothing", () => sum(x(3, 0), { dim: 1 }), [3], 0],
    ["mean", () => mean(x(huge, 0)), [], Number.NaN],
    ["mean of nothing, dim 0", () => mean(x(0, 3), { dim: 0 }), [3], Number.NaN],
    ["var", () => variance(x(0, huge)), [], Number.NaN],
    ["max, dim 0", () => max(x(huge, 0), { dim: 0 }), [0]],
    ["max, dim 1", () => max(x(0, 3, huge), { dim: 1 }), [0, huge]],
    ["softmax", () => softmax(x(huge, 0)), [huge, 0]],
    ["softmax, dim 0", () => softmax(x(huge, 0), { dim: 0 }), [huge, 0]],
    ["softmax of no rows", () => softmax(x(0, huge)), [0, huge]],
    ["logSoftmax", () => logSoftmax(x(0, 3, 0), { dim: 1 }), [0, 3, 0]],
    ["matmul", () => matmul(x(huge, 0), x(0, 0)), [huge, 0]],
    ["matmul, K = 0", () => matmul(x(3, 0), x(0, 2)), [3, 2], 0],
    ["matmul, K = 0, batch", () => matmul(x(2, 3, 0), x(2, 0, 4)), [2, 3, 4], 0],
    ["matmul, M = 0", () => matmul(x(huge, 0, 3), x(3, 5)), [huge, 0, 5]],
    ["matmul, N = 0", () => matmul(x(3, 5), x(5, 0)), [3, 0]],
    ["matmul of an empty batch", () => matmul(x(0, 3, 5), x(0, 5, huge)), [0, 3, huge]],
    ["linear", () => linear(x(huge, 0), x(0, 0), x(0)), [huge, 0]],
    ["linear of no rows", () => linear(x(huge, 0, 3), x(5, 3), x(5)), [huge, 0, 5]],
    ["linear of no inputs", () => linear(x(4, 0), x(5, 0), ones([5], { requiresGrad: true })), [4, 5], 1],
    ["mlp", () => mlp(x(0, 3), x(5, 3), x(5), x(2, 5), x(2)), [0, 2]],
    ["mlp of no hidden units", () => mlp(x(4, 3), x(0, 3), x(0), x(2, 0), x(2)), [4, 2], 0],
    ["layerNorm", () => layerNorm(x(huge, 0), x(0), x(0)), [huge, 0]],
    ["layerNorm of no rows", () => layerNorm(x(0, 3), x(3), x(3)), [0, 3]],
    ["rmsNorm", () => rmsNorm(x(huge, 0, 4), x(4)), [huge, 0, 4]],
    ["embedding of no indices", () => embedding(ids(huge, 0), x(4, 3)), [huge, 0, 3]],
    ["embedding of an empty table", () => embedding(ids(0), x(0, 3)), [0, 3]],
    ["embedding of empty rows", () => embedding(ids(5), x(4, 0)), [5, 0]],
    ["embedding of nothing", () => embedding(ids(0), x(0, 0)), [0, 0]],
    ["crossEntropy", () => crossEntropy(x(huge, 0, 3), ids(huge, 0)), [], Number.NaN],
    ["linearCrossEntropy", () => linearCrossEntropy(x(0, 3), x(5, 3), x(5), ids(0)), [], Number.NaN],
    ["transpose", () => transpose(x(huge, 0), 0, 1), [0, huge]],
    ["permute", () => permute(x(2, huge, 0, 3), [3, 1, 0, 2]), [3, huge, 2, 0]],
    ["reshape", () => reshape(x(huge, 0), [0, 7]), [0, 7]],
    ["slice", () => slice(x(huge, 0), { dim: 0, start: 1 }), [huge - 1, 0]],
    ["slice of nothing", () => slice(x(5, 4), { dim: 1, start: 2, end: 2 }), [5, 0]],
    ["cat", () => cat([x(huge, 0), x(huge, 0)], { dim: 1 }), [huge, 0]],
    ["cat with nothing", () => cat([x(0, 3), x(2, 3), x(0, 3)]), [2, 3], 0],
    ["stack", () => stack([x(huge, 0), x(huge, 0)]), [2, huge, 0]],
    ["split", () => split(x(3, huge, 0), 2)[1], [1, huge, 0]],
    ["dropout", () => dropout(x(huge, 0), { p: 0.5 }), [huge, 0]],
    ["tril", () => tril(x(0, 2 ** 26, 2 ** 27)), [0, 2 ** 26, 2 ** 27]],
    ["attention", () => attention(x(huge, 0, 3, 2), x(huge, 0, 3, 2), x(huge, 0, 3, 2)), [huge, 0, 3, 2]],
    ["attention of no channels", () => attention(x(2, 2, 3, 0), x(2, 2, 4, 0), x(2, 2, 4, 0)), [2, 2, 3, 0]],
    ["selfAttention", () => selfAttention(x(huge, 0, 6), { nHead: 2, causal: true }), [huge, 0, 2]],
  ];
  for (const [what, f, shape, value] of cases) {
    test(what, () => {
      const y = f();
      assert.equal(y.shape, shape);
      const leaves = (y.node?.inputs ?? []).filter((input) => !input.node && input.requiresGrad);
      if (value !== undefined)
        for (const element of y.data()) assert.ok(Object.is(element + 0, value), `${element}`);
      y.backward(y.size === 1 ? ones(shape) : zeros(shape));
      if (value !== undefined) return;
      for (const { grad } of leaves) assert.ok(grad?.data().every((element) => element === 0));
    });
  }

  test("the gradients of weights of no rows are 0", () => {
    const [w, b, v] = [x(5, 3), x(5), x(4, 3)];
    linear(zeros([0, 3]), w, b).backward(zeros([0, 5]));
    embedding(ids(0), v).backward(zeros([0, 3]));
    for (const { grad } of [w, b, v]) assert.ok(grad?.data().every((element) => element === 0));
  });

  test("gradients of sums of nothing and to rows of nothing", () => {
    const [row, column] = [x(3), x(4, 1)];
    add(zeros([0, 3]), row).backward(zeros([0, 3]));
    add(zeros([4, 0]), column).backward(zeros([4, 0]));
    assert.equal(row.grad?.data(), new Float32Array(3));
    assert.equal(column.grad?.data(), new Float32Array(4));
    const embedded = x(0, 3);
    embedding(ids(0), embedded).backward(zeros([0, 3]));
    assert.equal(embedded.grad?.shape, [0, 3]);
  });

  test("the largest of no elements, and an index into an empty table, are errors", () => {
    assert.throws(() => max(zeros([0, 3]), { dim: 0 }), /max: x has shape \[0, 3\]/);
    assert.throws(() => argmax(zeros([3, 0]), { dim: 1 }), /argmax: x has shape \[3, 0\]/);
    assert.throws(() => embedding(tensor([0], { dtype: "i32" }), zeros([0, 3])).data(), RangeError);
    assert.throws(() => crossEntropy(zeros([2, 0]), ids(2)), /crossEntropy: x has no classes/);
  });

  test("creation", () => {
    assert.equal(rand([huge, 0]).shape, [huge, 0]);
    assert.equal(randn([0, huge]).shape, [0, huge]);
    assert.equal(arange(0).shape, [0]);
    assert.equal(tensor(new Float32Array(0), { shape: [huge, 0] }).data(), new Float32Array(0));
    assert.is(inspect(zeros([2 ** 27, 0])), "tensor([], shape=[134217728, 0])");
  });
});
