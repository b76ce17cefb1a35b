import { logSoftmax, softmax, tensor, zeros } from "tinybard";
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

  test("a scalar is an error", () => {
    assert.throws(() => softmax(zeros([], { device: on })), /softmax/);
  });
});
