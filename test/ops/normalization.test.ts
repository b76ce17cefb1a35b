import {
  add,
  cat,
  layerNorm,
  mul,
  randn,
  residualLayerNorm,
  residualRMSNorm,
  rmsNorm,
  sum,
  type Tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import {
  layerNormSpec,
  residualLayerNormSpec,
  residualRMSNormSpec,
  rmsNormSpec,
} from "#src/ops/normalization.js";
import { eachDevice, testOp } from "../support/harness.js";
import { rowShapes } from "../support/op-shapes.js";

eachDevice("normalization", (test, on) => {
  testOp(test, on, {
    name: "layerNorm",
    f: (x, w, b) => layerNorm(x, w, b),
    spec: (x, w, b) => layerNormSpec(x, w, b),
    shapes: rowShapes.map((shape) => [shape, shape.slice(-1), shape.slice(-1)]),
    rtol: 1e-4,
    atol: 1e-5,
  });
  for (const dropout of [0, 0.3]) {
    testOp(test, on, {
      name: `residualLayerNorm with dropout ${dropout}`,
      f: (x, y, w, b) => cat(residualLayerNorm(x, y, w, b, { dropout }), { dim: -1 }),
      spec: (x, y, w, b) => cat(residualLayerNormSpec(x, y, w, b, dropout), { dim: -1 }),
      shapes: rowShapes.slice(1).map((shape) => [shape, shape, shape.slice(-1), shape.slice(-1)]),
      domain: (x) => 2 * x,
    });
  }
  for (const result of [0, 1]) {
    testOp(test, on, {
      name: `residualLayerNorm, only result ${result} used`,
      f: (x, y, w, b) => residualLayerNorm(x, y, w, b)[result],
      spec: (x, y, w, b) => residualLayerNormSpec(x, y, w, b)[result],
      shapes: [[[3, 5], [3, 5], [5], [5]]],
    });
  }
  testOp(test, on, {
    name: "layerNorm without a bias",
    f: (x, w) => layerNorm(x, w, null, { eps: 1e-3 }),
    shapes: [[[3, 9], [9]]],
    spec: (x, w) => layerNormSpec(x, w, w.mul(0), 1e-3),
    rtol: 1e-4,
  });
  testOp(test, on, {
    name: "rmsNorm",
    f: (x, w) => rmsNorm(x, w),
    spec: (x, w) => rmsNormSpec(x, w),
    shapes: [1, 3, 9, 33, 64, 65, 130].map((n) => [[2, 3, n], [n]]),
    rtol: 1e-4,
  });
  for (const dropout of [0, 0.3])
    testOp(test, on, {
      name: `residualRMSNorm with dropout ${dropout}`,
      f: (x, y, w) => cat(residualRMSNorm(x, y, w, { dropout }), { dim: -1 }),
      spec: (x, y, w) => cat(residualRMSNormSpec(x, y, w, dropout), { dim: -1 }),
      shapes: [5, 32, 67].map((n) => [[4, n], [4, n], [n]]),
      rtol: 1e-4,
    });

  test("freezing a weight or a bias leaves the other gradients unchanged", () => {
    for (const n of [5, 48, 200, 4200]) {
      const inputs = [[3, n], [3, n], [n], [n]].map((shape) => randn(shape, { device: on }));
      const [x, y, w, b] = inputs;
      const computeGradients = (frozen: readonly Tensor[]) => {
        for (const input of inputs) {
          input.requiresGrad = !frozen.includes(input);
          input.grad = null;
        }
        const [r, z] = residualLayerNorm(x, y, w, b);
        sum(mul(layerNorm(add(r, z), w, b), z)).backward();
        return inputs.map((input) => input.grad?.data());
      };
      const gradients = computeGradients([]);
      for (const frozen of [[w], [b], [w, b]]) {
        const expected = gradients.map((dx, i) => (frozen.includes(inputs[i]) ? undefined : dx));
        assert.equal(computeGradients(frozen), expected, `n ${n}`);
      }
    }
  });

  test("a weight of the wrong shape is an error", () => {
    const x = zeros([2, 4], { device: on });
    const w = zeros([3], { device: on });
    assert.throws(() => layerNorm(x, w, w), /layerNorm: w has shape \[3\], expected \[4\]/);
  });
});
