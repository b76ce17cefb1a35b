// Sums of many terms: the rounding error of f32 may not grow with their number. The terms are equal,
// so that the sum is known, and so that the errors of one running sum would all have one sign.

import {
  add,
  crossEntropy,
  embedding,
  full,
  layerNorm,
  linear,
  linearCrossEntropy,
  logSoftmax,
  matmul,
  mean,
  mul,
  ones,
  optim,
  rmsNorm,
  softmax,
  sum,
  type Tensor,
  tensor,
  var as variance,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { tokenShift } from "#src/ops/token-shift.js";
import { eachDevice, isChecked } from "../support/harness.js";

const value = Math.fround(0.7001);

eachDevice("long sums", (test, on) => {
  // on the default device, which is `on`
  const isSlow = on.name === "cuda-emulator";
  const slowCount = isChecked ? 2000 : 20_000; // some blocks of a sum, and its error
  const n = isSlow ? slowCount : 1_000_000;
  const repeated = (shape: number[], x = value) => full(shape, x);
  const weight = (shape: number[]) => full(shape, 1, { requiresGrad: true });

  /** Returns a, b, a, b, ... of n elements. */
  const alternating = (a: number, b: number) =>
    tensor(Float32Array.from({ length: n }, (_, i) => (i % 2 === 0 ? a : b)));

  /** Asserts that every element of y is `expected` within a relative error. */
  const assertNear = (y: Tensor | null, expected: number, rtol = 1e-5) => {
    const values = (y as Tensor).data();
    for (let i = 0; i < values.length; i += Math.max(1, values.length >> 10)) {
      const error = Math.abs(values[i] / expected - 1);
      assert.ok(
        error < rtol,
        `element ${i} is ${values[i]}, expected ${expected}: off by ${error}`,
      );
    }
  };

  test("the weight of tokenShift", () => {
    for (const C of [1, 33]) {
      const w = weight([C]);
      const T = Math.floor(n / (2 * C));
      tokenShift(repeated([2, T, C]), w)
        .sum()
        .backward();
      assertNear(w.grad, 2 * (T - 1) * value);
    }
  });

  const shapes: [shape: number[], dim: number][] = [
    [[n], 0],
    [[n, 3], 0],
    [[n, 33], 0],
    [[2, n, 2], 1],
    [[3, n], 1],
    [[2, 3, n], 2],
    [[n / 10, 70], 0],
  ];
  for (const [shape, dim] of shapes) {
    test(`sum and mean of [${shape}] along ${dim}`, () => {
      const x = repeated(shape);
      assertNear(sum(x, { dim }), shape[dim] * value);
      assertNear(mean(x, { dim }), value);
    });
  }

  test("var along long axes", () => {
    const x = alternating(0, 1);
    assertNear(variance(x), 0.25);
    assertNear(variance(x.reshape([1, n]), { dim: 1 }), 0.25);
    assertNear(variance(mul(x.reshape([n, 1]), ones([1, 3])), { dim: 0 }), 0.25);
  });

  test("gradients of operands that were repeated", () => {
    const row = weight([3]);
    const column = weight([2, 1, 2]);
    add(repeated([n, 3]), row).backward(repeated([n, 3]));
    mul(repeated([2, n, 2]), column).backward(repeated([2, n, 2], 1));
    assertNear(row.grad, n * value);
    assertNear(column.grad, n * value);
  });

  test("gradients of weights and biases of many rows", () => {
    const w = weight([4, 3]);
    const b = weight([4]);
    linear(repeated([n, 3]), w, b).backward(repeated([n, 4]));
    assertNear(w.grad, n * value * value);
    assertNear(b.grad, n * value);
  });

  test("gradients of the weights of norms of many rows", () => {
    const x = mul(repeated([n, 2]), tensor([-1, 1])); // normalized to -1, 1
    const [w, b, v] = [weight([2]), weight([2]), weight([2])];
    layerNorm(x, w, b, { eps: 0 }).backward(repeated([n, 2]));
    assertNear(b.grad, n * value);
    assertNear(mul(w.grad as Tensor, tensor([-1, 1])), n * value);
    rmsNorm(repeated([n, 2]), v, { eps: 0 }).backward(repeated([n, 2]));
    assertNear(v.grad, n * value);
  });

  test("norms of a long row, and their gradients", () => {
    const x = alternating(value, 3 * value); // normalized to -1, 1
    x.requiresGrad = true;
    layerNorm(x, ones([n]), null, { eps: 0 }).backward(alternating(1, 3));
    assertNear(add(x.grad as Tensor, 1), 1); // dy is a multiple of y plus a constant
    const y = rmsNorm(repeated([n]), ones([n]), { eps: 0 });
    assertNear(y, 1);
  });

  test("gradient of an embedding of a frequent index", () => {
    const w = weight([5, 3]);
    const idx = tensor(new Int32Array(n).fill(3));
    embedding(idx, w).backward(repeated([n, 3]));
    assertNear(w.grad?.slice({ dim: 0, start: 3, end: 4 }) ?? null, n * value);
    assert.equal(w.grad?.slice({ dim: 0, end: 3 }).data(), new Float32Array(9));
  });

  test("softmax and logSoftmax of a long row, and their gradients", () => {
    const x = alternating(0, -value);
    const total = (n / 2) * (1 + Math.exp(-value));
    x.requiresGrad = true;
    const y = softmax(x);
    const z = logSoftmax(x);
    assertNear(y.slice({ dim: 0, end: 1 }), 1 / total);
    assertNear(z.slice({ dim: 0, end: 1 }), -Math.log(total));
    z.backward(repeated([n]));
    assertNear(x.grad?.slice({ dim: 0, end: 1 }) ?? null, value - (n * value) / total);
  });

  test("cross-entropy of many classes and of many rows", () => {
    const logits = alternating(0, -value).reshape([1, n]);
    const total = (n / 2) * (1 + Math.exp(-value));
    assertNear(crossEntropy(logits, tensor([0], { dtype: "i32" })), Math.log(total));
    const targets = tensor(new Int32Array(n));
    const two = add(tensor([0, value]), zeros([n, 2]));
    assertNear(crossEntropy(two, targets), Math.log(1 + Math.exp(value)));
    const w = tensor([[0], [1]], { requiresGrad: true });
    const x = repeated([n, 1]);
    const loss = linearCrossEntropy(x, w, null, targets);
    assertNear(loss, Math.log(1 + Math.exp(value)));
    loss.backward();
    const p = 1 / (1 + Math.exp(value));
    assertNear(w.grad?.slice({ dim: 0, end: 1 }) ?? null, (p - 1) * value);
  });

  test("the norm of all gradients", () => {
    const w = weight([n]);
    sum(mul(w, value)).backward();
    assert.ok(Math.abs(optim.clipGradNorm([w], 1) / (value * Math.sqrt(n)) - 1) < 1e-5);
  });

  for (const [M, N] of [
    [1, 3],
    [3, 2],
    [4, 1],
    [9, 5],
    [40, 30],
  ]) {
    test(`matmul of [${M}, K] and [K, ${N}]`, () => {
      for (const K of isSlow ? [isChecked ? 1500 : 49_152] : [1000, 49_152, 60_001, n / 10]) {
        if (isSlow && M * N > 100) continue;
        const a = repeated([M, K]);
        const b = ones([K, N]);
        assertNear(matmul(a, b), K * value);
        assertNear(linear(a, ones([N, K])), K * value);
      }
    });
  }

  test("quantized matmul with many columns", () => {
    const K = 32 * Math.floor(n / 320);
    for (const [M, bits, groups] of [
      [1, 8, 1],
      [3, 4, K / 32],
      [2, 4, 1],
      [5, 8, K / 32],
    ]) {
      const packed = new Int32Array((K * bits) / 32).fill(bits === 8 ? 0x01010101 : 0x11111111);
      const x = repeated([M, K]);
      const [w, scale, y] = [tensor(packed), ones([groups]), zeros([M])];
      on.kernels.linearQuantized(
        x.floats, w.ints, scale.floats, null, y.floats, M, 1, K, groups, bits, 0,
      ); // biome-ignore format: a call
      assertNear(y, K * value);
    }
  });
});
