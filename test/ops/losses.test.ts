import {
  binaryCrossEntropyWithLogits,
  crossEntropy,
  klDiv,
  l1Loss,
  logSoftmax,
  mseLoss,
  nllLoss,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

eachDevice("losses", (test, on) => {
  const shapes = [
    [
      [3, 5],
      [3, 5],
    ],
  ];
  testOp(test, on, { name: "mseLoss", f: (x, target) => mseLoss(x, target), shapes });
  testOp(test, on, { name: "l1Loss", f: (x, target) => l1Loss(x, target), shapes });
  testOp(test, on, {
    name: "binaryCrossEntropyWithLogits",
    f: (x, target) => binaryCrossEntropyWithLogits(x, target.sigmoid(), { posWeight: 2 }),
    shapes,
  });
  testOp(test, on, { name: "klDiv", f: (x, target) => klDiv(x, target.exp()), shapes });
  testOp(test, on, {
    name: "nllLoss",
    f: (x) => nllLoss(x, tensor([1, -100, 4], { dtype: "i32", device: x.device })),
    shapes: [[3, 5]],
  });

  test("crossEntropy with class weights and label smoothing: the values of PyTorch", () => {
    const rows = [
      [1, 2, 0.5],
      [0, 0, 3],
      [1, 1, 1],
      [2, -1, 0],
    ];
    const x = tensor(rows, { device: on, requiresGrad: true });
    const target = tensor([2, 0, -100, 1], { dtype: "i32", device: on });
    const weight = tensor([0.5, 2, 1], { device: on });
    const loss = (labelSmoothing: number, reduction: "mean" | "sum" | "none") =>
      crossEntropy(x, target, { weight, labelSmoothing, reduction });
    assertClose(loss(0, "mean"), [2.8147207]);
    assertClose(loss(0, "sum"), [9.8515223]);
    assertClose(loss(0, "none"), [1.9643688, 1.5474615, 0, 6.339692]);
    assertClose(loss(0.2, "mean"), [2.633719]);
    assertClose(loss(0.2, "sum"), [9.2180167]);
    assertClose(loss(0.2, "none"), [1.8131811, 1.7601179, 0, 5.6447177]);
    loss(0.2, "mean").backward();
    assertClose(
      x.grad as Tensor,
      [
        [0.0587423, 0.1474713, -0.2062136],
        [-0.1156163, -0.029902, 0.1455183],
        [0, 0, 0],
        [0.4324639, -0.4732328, 0.0407689],
      ].flat(),
      { atol: 1e-6 },
    );
    for (const labelSmoothing of [-0.1, 1.5, NaN])
      assert.throws(
        () => crossEntropy(x, target, { labelSmoothing }),
        /crossEntropy: labelSmoothing is .*, expected 0 to 1/,
      );
    assert.throws(
      () => crossEntropy(x, target, { weight: zeros([2], { device: on }) }),
      /crossEntropy: weight has shape \[2\], expected \[3\]/,
    );
  });

  test("a weight for each class: the mean is divided by the weights that count", () => {
    const x = tensor(
      [
        [-1, -2],
        [-3, -4],
        [-5, -6],
      ],
      { device: on },
    );
    const target = tensor([0, 1, 0], { dtype: "i32", device: on });
    const weight = tensor([1, 3], { device: on });
    assert.is(nllLoss(x, target, { weight }).item(), Math.fround((1 + 3 * 4 + 5) / 5));
    assert.equal(nllLoss(x, target, { weight, reduction: "none" }).toArray(), [1, 12, 5]);
  });

  test("klDiv adds 0 where the target is 0", () => {
    const x = logSoftmax(zeros([1, 2], { device: on }));
    const target = tensor([[1, 0]], { device: on, requiresGrad: true });
    const y = klDiv(x, target, { reduction: "sum" });
    assertClose(y, [Math.LN2]);
    y.backward();
    assert.ok(target.grad?.data().every(Number.isFinite));
  });

  test("an ignored row of NaN does not count", () => {
    const x = tensor(
      [
        [NaN, NaN],
        [-1, -2],
      ],
      { device: on, requiresGrad: true },
    );
    const loss = nllLoss(x, tensor([-100, 1], { dtype: "i32", device: on }));
    assert.is(loss.item(), 2);
    loss.backward();
    assert.equal(x.grad?.toArray(), [
      [0, 0],
      [0, -1],
    ]);
  });

  test("invalid arguments are errors", () => {
    const x = zeros([2, 3], { device: on });
    const target = zeros([2], { dtype: "i32", device: on });
    assert.throws(
      () => crossEntropy(x, zeros([2], { device: on })),
      /crossEntropy: target has dtype f32, expected i32; make it by tensor\(\.\.\., \{ dtype: "i32"/,
    );
    assert.throws(() => mseLoss(x, target), /mseLoss: target has shape \[2\], expected \[2, 3\]/);
    assert.throws(
      () => mseLoss(x, x, { reduction: "batch" } as never),
      /mseLoss: reduction is batch, expected mean, sum or none/,
    );
    const far = tensor([0, 3], { dtype: "i32", device: on });
    assert.throws(() => nllLoss(x, far), /nllLoss: target has 3 at element 1, expected 0 to 2/);
    assert.throws(
      () => nllLoss(x, target, { reduction: "batchmean" } as never),
      /nllLoss: reduction is batchmean/,
    );
  });
});
