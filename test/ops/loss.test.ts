import { crossEntropy, type Device, linearCrossEntropy, mul, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { crossEntropySpec, linearCrossEntropySpec } from "#src/ops/loss.js";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

eachDevice("loss", (test, on) => {
  const integers = (values: number[], device: Device | "ts" = on) =>
    tensor(values, { dtype: "i32", device });

  for (const n of [1, 2, 5, 17, 65]) {
    const targets = [0, n - 1, Math.floor(n / 2), 0];
    const oneHot = targets.map((t) => Array.from({ length: n }, (_, i) => Number(i === t)));
    testOp(test, on, {
      name: "crossEntropy",
      f: (x) => crossEntropy(x, integers(targets, x.device)),
      spec: (x) => crossEntropySpec(x, tensor(oneHot, { dtype: "f64", device: "ts" })),
      shapes: [[4, n]],
    });
  }
  testOp(test, on, {
    name: "linearCrossEntropy",
    f: (x, w, b) => linearCrossEntropy(x, w, b, integers([1, 4, 0], x.device)),
    spec: (x, w, b) => linearCrossEntropySpec(x, w, b, integers([1, 4, 0], "ts")),
    shapes: [[[3, 7], [5, 7], [5]]],
  });
  testOp(test, on, {
    name: "linearCrossEntropy with an ignored target and a scaled loss",
    f: (x, w) => mul(linearCrossEntropy(x, w, null, integers([1, -100, 4], x.device)), 3),
    shapes: [
      [
        [3, 8],
        [9, 8],
      ],
    ],
  });
  testOp(test, on, {
    name: "crossEntropy with ignored targets",
    f: (x) => crossEntropy(x, integers([1, -100, 4], x.device)),
    shapes: [[3, 5]],
  });

  test("crossEntropy: averages over the targets that are not ignored", () => {
    const x = tensor(
      [
        [0, 0],
        [5, 1],
        [1, 0],
      ],
      { device: on, requiresGrad: true },
    );
    const loss = crossEntropy(x, integers([0, 7, 1]), { ignoreIndex: 7 });
    assertClose([loss.item()], [(Math.log(2) + Math.log(1 + Math.E)) / 2]);
    loss.backward();
    assert.equal((x.grad as Tensor).slice({ dim: 0, start: 1, end: 2 }).toArray(), [[0, 0]]);
    assert.ok(Number.isNaN(crossEntropy(x, integers([7, 7, 7]), { ignoreIndex: 7 }).item()));
    assert.throws(
      () => crossEntropy(x, integers([0, 2, 1])).item(),
      /crossEntropy: target\[1\] is 2, expected 0 to 1/,
    );
    assert.throws(
      () => crossEntropy(x, integers([0, 1])),
      /crossEntropy: target has shape \[2\], expected \[3\]/,
    );
  });

  test("crossEntropy: adding a constant to all logits changes neither loss nor gradient", () => {
    for (const shift of [0, 1e3, 1e5]) {
      const x = tensor([[shift + 1, shift + 2, shift + 3]], { device: on, requiresGrad: true });
      const loss = crossEntropy(x, integers([0]));
      loss.backward();
      assertClose([loss.item()], [2.4076059644443806], { rtol: 1e-6 });
      assertClose(x.grad as Tensor, [-0.9099694268296662, 0.24472847105479767, 0.6652409557748219]);
    }
  });
});
