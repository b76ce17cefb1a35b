import {
  linear,
  matmul,
  mlp,
  ones,
  randn,
  swiglu,
  type Tensor,
  tensor,
  transpose,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { linearSpec, mlpSpec } from "#src/ops/linear.js";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

eachDevice("linear", (test, on) => {
  testOp(test, on, {
    name: "linear",
    f: (x, w, b) => linear(x, w, b),
    spec: (x, w, b) => linearSpec(x, w, b),
    atol: 1e-5,
    shapes: [
      [[6, 5], [4, 5], [4]],
      [[2, 3, 17], [33, 17], [33]],
      [[1, 1], [1, 1], [1]],
      [[7, 0], [3, 0], [3]],
      [[5], [3, 5], [3]],
    ],
  });
  for (const activation of [
    "relu",
    "relu2",
    "gelu",
    "gelu-tanh",
    "silu",
    "tanh",
    "swiglu",
  ] as const) {
    testOp(test, on, {
      name: `linear with ${activation}`,
      f: (x, w, b) => linear(x, w, b, { activation }),
      spec: (x, w, b) => linearSpec(x, w, b, activation),
      atol: 1e-5,
      shapes: [
        [[6, 5], [4, 5], [4]],
        activation === "swiglu" ? [[2, 29, 17], [34, 17], [34]] : [[2, 29, 17], [33, 17], [33]],
      ],
    });
  }

  test("swiglu: a worked example", () => {
    const x = tensor([[1, -2, 3, 0.5]], { device: on });
    const silu = (a: number) => a / (1 + Math.exp(-a));
    assertClose(swiglu(x), [silu(1) * 3, silu(-2) * 0.5]);
    assert.throws(() => swiglu(zeros([2, 3], { device: on })), /swiglu: x has shape \[2, 3\]/);
  });

  testOp(test, on, {
    name: "linear without a bias",
    f: (x, w) => linear(x, w),
    shapes: [
      [
        [2, 3, 5],
        [4, 5],
      ],
    ],
    atol: 1e-5,
  });

  for (const activation of [
    "none",
    "relu",
    "relu2",
    "gelu",
    "gelu-tanh",
    "silu",
    "swiglu",
  ] as const) {
    const isGated = activation === "swiglu";
    testOp(test, on, {
      name: `mlp with ${activation}`,
      f: (x, w, b, v, c) => mlp(x, w, b, v, c, { activation }),
      spec: (x, w, b, v, c) => mlpSpec(x, w, b, v, c, activation),
      // squares of sums are up to 200: in 32 bits, their sums round by more than the tolerance
      domain: activation === "relu2" ? (x) => x / 2 : undefined,
      atol: 2e-5,
      shapes: [
        [[6, 5], [4, 5], [4], isGated ? [3, 2] : [3, 4], [3]],
        [[2, 29, 17], [34, 17], [34], isGated ? [9, 17] : [9, 34], [9]],
      ],
    });
  }

  testOp(test, on, {
    name: "mlp without biases, gelu by default",
    f: (x, w, v) => mlp(x, w, null, v, null),
    spec: (x, w, v) => linear(linear(x, w, null, { activation: "gelu" }), v),
    atol: 1e-5,
    shapes: [
      [
        [3, 7],
        [8, 7],
        [5, 8],
      ],
    ],
  });

  test("mlp computes no gradient that is not required", () => {
    const sizes = [[6, 5], [4, 5], [4], [3, 4], [3]];
    const countCalls = () =>
      (on.calls.ts.get("linearBackward") ?? 0) + (on.calls.native.get("linearBackward") ?? 0);
    for (const required of [[0], [1], [2], [3], [4], [1, 3], [2, 4], [0, 1, 2, 3, 4]]) {
      const all = sizes.map((size, i) =>
        randn(size, { device: on, requiresGrad: required.includes(i) }),
      ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
      const copies = all.map((x, i) =>
        tensor(x.data(), { shape: x.shape, device: on, requiresGrad: required.includes(i) }),
      ) as typeof all;
      mlpSpec(...copies)
        .sum()
        .backward();
      const loss = mlp(...all).sum();
      const before = countCalls();
      loss.backward();
      assert.is(countCalls() - before, required.some((i) => i < 3) ? 2 : 1, `${required}`);
      for (const [i, x] of all.entries()) {
        if (required.includes(i))
          assertClose(x.grad as Tensor, copies[i].grad as Tensor, { atol: 1e-5 });
        else assert.is(x.grad, null);
      }
    }
  });

  test("NaN passes through every activation and matmul kernel", () => {
    const x = new Float32Array(64 * 512).fill(1);
    x[3 * 512 + 7] = Number.NaN; // in row 3
    const w = ones([128, 512], { device: on });
    for (const activation of ["none", "relu", "relu2", "gelu", "gelu-tanh"] as const) {
      const y = linear(tensor(x, { shape: [64, 512], device: on }), w, null, { activation }).data();
      const rows = Array.from({ length: 64 }, (_, row) => row);
      const nanRows = rows.filter((row) => Number.isNaN(y[row * 128 + 5]));
      assert.equal(nanRows, [3], activation);
    }
  });

  test("a parameter that an op uses twice accumulates both gradients", () => {
    const w = randn([3, 3], { device: on, requiresGrad: true });
    for (const _ of [1, 2]) linear(w, w).sum().backward(); // y = w w^T
    const x = tensor(w.data(), { shape: [3, 3], device: on, requiresGrad: true });
    for (const _ of [1, 2])
      matmul(x, transpose(x, 0, 1))
        .sum()
        .backward();
    assertClose(w.grad as Tensor, x.grad as Tensor, { atol: 1e-5 });
  });

  test("invalid operands are errors", () => {
    const a = zeros([2, 3], { device: on });
    assert.throws(
      () => linear(a, zeros([4, 2], { device: on })),
      /linear: x has shape \[2, 3\], expected \[\.\.\., 2\]/,
    );
    assert.throws(
      () => linear(a, zeros([4, 3], { device: on }), zeros([3], { device: on })),
      /linear: b has shape/,
    );
    const w = zeros([4, 3], { device: on });
    assert.throws(
      () => mlp(a, w, null, zeros([2, 3], { device: on }), null),
      /mlp: x has shape \[2, 4\], expected \[\.\.\., 3\]/,
    );
    assert.throws(
      () => mlp(a, w, null, zeros([2, 4], { device: on }), null, { activation: "swish" as never }),
      /mlp: activation is swish, expected none, relu/,
    );
  });
});
