import {
  arange,
  crossEntropy,
  full,
  logSoftmax,
  softmax,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { logSoftmaxSpec, softmaxSpec } from "#src/ops/softmax.js";
import { assertClose, eachDevice, testOp } from "../support/harness.js";
import { rowShapes } from "../support/op-shapes.js";

eachDevice("softmax", (test, on) => {
  testOp(test, on, { name: "softmax", f: (x) => softmax(x), spec: softmaxSpec, shapes: rowShapes });
  testOp(test, on, {
    name: "softmax, dim 0",
    f: (x) => softmax(x, { dim: 0 }),
    shapes: [
      [3, 4],
      [4, 2, 3],
    ],
  });
  testOp(test, on, {
    name: "logSoftmax",
    f: (x) => logSoftmax(x),
    spec: logSoftmaxSpec,
    shapes: rowShapes,
  });
  testOp(test, on, {
    name: "logSoftmax, dim 1",
    f: (x) => logSoftmax(x, { dim: 1 }),
    shapes: [[2, 3, 4]],
  });

  test("softmax does not overflow and handles -Infinity", () => {
    const y = softmax(
      tensor(
        [
          [1000, 1000],
          [-1000, -1001],
          [0, -Infinity],
        ],
        { device: on },
      ),
    );
    const p = 1 / (1 + Math.exp(-1));
    assertClose(y, [0.5, 0.5, p, 1 - p, 1, 0]);
    assertClose(logSoftmax(tensor([0, -1000], { device: on })), [0, -1000]);
  });

  for (const large of [1e4, 1e8, 3e38, -1e8, -3e38]) {
    test(`equal logits of ${large}: 1 / n and -log n, and their gradients`, () => {
      for (const n of [1, 2, 3, 50, 1001]) {
        const x = full([2, n], large, { device: on, requiresGrad: true });
        const dy = arange(2 * n, { dtype: "f32" }).reshape([2, n]);
        const p = softmax(x);
        assertClose(p, new Array(2 * n).fill(1 / n));
        const logP = logSoftmax(x);
        assertClose(logP, new Array(2 * n).fill(-Math.log(n)), { rtol: 1e-6 });
        logP.backward(dy);
        const expected = dy.sub(dy.mean({ dim: 1, keepdim: true }));
        assertClose(x.grad as Tensor, expected, { rtol: 1e-4, atol: 1e-5 * n });
        const loss = crossEntropy(x, zeros([2], { dtype: "i32" }));
        assertClose(loss, [Math.log(n)]);
        x.grad = null;
        loss.backward();
        const gradients = Array.from({ length: 2 * n }, (_, i) => (1 / n - (i % n ? 0 : 1)) / 2);
        assertClose(x.grad as unknown as Tensor, gradients);
      }
    });
  }

  test("the same with 10^6 logits", () => {
    if (on.name === "cuda-emulator") return; // it takes a minute there
    const n = 1e6;
    for (const large of [1, 1e8, 3e38]) {
      const x = full([n], large);
      assertClose(softmax(x).slice({ dim: 0, end: 9 }), new Array(9).fill(1 / n));
      assertClose(logSoftmax(x).slice({ dim: 0, end: 9 }), new Array(9).fill(-Math.log(n)));
      const loss = crossEntropy(x.reshape([1, n]), zeros([1], { dtype: "i32" }));
      assertClose(loss, [Math.log(n)]);
    }
  });

  test("a scalar is an error", () => {
    assert.throws(() => softmax(zeros([], { device: on })), /softmax/);
  });
});
