import {
  add,
  argmax,
  cat,
  crossEntropy,
  type Device,
  layerNorm,
  linearCrossEntropy,
  logSoftmax,
  max,
  mean,
  mul,
  ones,
  randn,
  residualLayerNorm,
  residualRMSNorm,
  rmsNorm,
  softmax,
  sum,
  type Tensor,
  tensor,
  var as variance,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { crossEntropySpec, linearCrossEntropySpec } from "#src/ops/loss.js";
import {
  layerNormSpec,
  residualLayerNormSpec,
  residualRMSNormSpec,
  rmsNormSpec,
} from "#src/ops/normalization.js";
import { logSoftmaxSpec, softmaxSpec } from "#src/ops/softmax.js";
import { assertClose, eachDevice, testOp } from "../support/support.js";

const widths = [
  [2, 1],
  [3, 5],
  [2, 3, 7],
  [1, 8],
  [2, 9],
  [3, 15],
  [2, 16],
  [17],
  [2, 31],
  [4, 33],
  [3, 65],
];
const wb = widths.map((shape) => [shape, shape.slice(-1), shape.slice(-1)]);

eachDevice("rows", (test, on) => {
  const integers = (values: number[], device: Device | "ts" = on) =>
    tensor(values, { dtype: "i32", device });

  for (const dim of [undefined, 0, -1, 1]) {
    const shapes = [
      [2, 3, 4],
      [5, 1, 17],
      [1, 33, 2],
    ];
    const options = dim === undefined ? {} : { dim };
    testOp(test, on, { name: `sum ${dim}`, f: (x) => sum(x, options), shapes, atol: 1e-5 });
    testOp(test, on, {
      name: `mean ${dim}`,
      f: (x) => mean(x, { ...options, keepdim: true }),
      shapes,
    });
    testOp(test, on, {
      name: `max ${dim}`,
      f: (x) => max(x, options),
      shapes,
      domain: (x) => x * 50,
    });
    testOp(test, on, { name: `var ${dim}`, f: (x) => variance(x, options), shapes });
  }
  testOp(test, on, {
    name: "var unbiased",
    f: (x) => variance(x, { dim: 1, unbiased: true }),
    shapes: [[3, 5]],
  });
  testOp(test, on, { name: "sum of a scalar", f: (x) => sum(x), shapes: [[]] });
  testOp(test, on, { name: "softmax", f: (x) => softmax(x), spec: softmaxSpec, shapes: widths });
  testOp(test, on, {
    name: "softmax 0",
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
    shapes: widths,
  });
  testOp(test, on, {
    name: "logSoftmax 1",
    f: (x) => logSoftmax(x, { dim: 1 }),
    shapes: [[2, 3, 4]],
  });
  testOp(test, on, {
    name: "layerNorm",
    f: (x, w, b) => layerNorm(x, w, b),
    spec: (x, w, b) => layerNormSpec(x, w, b),
    shapes: wb,
    rtol: 1e-4,
    atol: 1e-5,
  });
  for (const dropout of [0, 0.3]) {
    testOp(test, on, {
      name: `residualLayerNorm with dropout ${dropout}`,
      f: (x, y, w, b) => cat(residualLayerNorm(x, y, w, b, { dropout }), { dim: -1 }),
      spec: (x, y, w, b) => cat(residualLayerNormSpec(x, y, w, b, dropout), { dim: -1 }),
      shapes: widths.slice(1).map((s) => [s, s, s.slice(-1), s.slice(-1)]),
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

  test("values: sum, mean, var, max, argmax", () => {
    const x = tensor(
      [
        [1, 5, 5],
        [-2, -1, -3],
      ],
      { device: on, requiresGrad: true },
    );
    assert.equal(sum(x).shape, []);
    assert.is(sum(x).item(), 5);
    assert.equal(sum(x, { dim: 0, keepdim: true }).toArray(), [[-1, 4, 2]]);
    assertClose(mean(x, { dim: -1 }), [11 / 3, -2]);
    assertClose(variance(tensor([1, 2, 3, 4], { device: on })), [1.25]);
    assertClose(variance(tensor([1, 2, 3, 4], { device: on }), { unbiased: true }), [5 / 3]);
    assert.ok(Number.isNaN(variance(zeros([0], { device: on }), { unbiased: true }).item()));
    assert.equal(max(x, { dim: 1 }).toArray(), [5, -1]);
    assert.equal(argmax(x, { dim: 1 }).toArray(), [1, 1]);
    assert.is(argmax(x).item(), 1);
    assert.is(argmax(x).dtype, "i32");
    max(x, { dim: 1 }).backward(ones([2], { device: on }));
    assert.equal(x.grad?.toArray(), [
      [0, 1, 0],
      [0, 1, 0],
    ]); // the first of equals
    assert.ok(Number.isNaN(max(tensor([1, NaN, 3], { device: on })).item()));
  });

  test("softmax does not overflow, and knows -Infinity", () => {
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

  test("crossEntropy: the mean is over the targets that count", () => {
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

  test("crossEntropy: neither loss nor gradient depends on what is added to all logits", () => {
    for (const shift of [0, 1e3, 1e5]) {
      const x = tensor([[shift + 1, shift + 2, shift + 3]], { device: on, requiresGrad: true });
      const loss = crossEntropy(x, integers([0]));
      loss.backward();
      assertClose([loss.item()], [2.4076059644443806], { rtol: 1e-6 });
      assertClose(x.grad as Tensor, [-0.9099694268296662, 0.24472847105479767, 0.6652409557748219]);
    }
  });

  test("a frozen scale or shift gets no gradient, and changes none of the others", () => {
    for (const n of [5, 48, 200, 4200]) {
      const [x, y, w, b] = [[3, n], [3, n], [n], [n]].map((shape) => randn(shape, { device: on }));
      const gradients = (frozen: readonly Tensor[]) => {
        for (const each of [x, y, w, b]) {
          each.requiresGrad = !frozen.includes(each);
          each.grad = null;
        }
        const [r, z] = residualLayerNorm(x, y, w, b);
        sum(mul(layerNorm(add(r, z), w, b), z)).backward();
        return [x, y, w, b].map((each) => each.grad?.data());
      };
      const all = gradients([]);
      for (const frozen of [[w], [b], [w, b]]) {
        const expected = all.map((dx, i) => (frozen.includes([x, y, w, b][i]) ? undefined : dx));
        assert.equal(gradients(frozen), expected, `n ${n}`);
      }
    }
  });

  test("wrong arguments are named", () => {
    const x = zeros([2, 4], { device: on });
    const w = zeros([3], { device: on });
    assert.throws(() => layerNorm(x, w, w), /layerNorm: w has shape \[3\], expected \[4\]/);
    assert.throws(() => sum(x, { dim: 2 }), /sum: dim is 2, expected -2 to 1/);
    assert.throws(() => softmax(zeros([], { device: on })), /softmax/);
    assert.throws(() => mean(x, { axis: 0 } as never), /mean: unknown option axis/);
    assert.throws(() => max(zeros([0], { device: on })), /max: x has shape \[0\]/);
  });
});
