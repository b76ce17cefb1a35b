import { clamp, eq, gt, maximum, minimum, ones, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, testOp } from "../support/harness.js";

eachDevice("comparison", (test, on) => {
  const shapes = [
    [[], []],
    [
      [3, 5],
      [3, 5],
    ],
    [
      [2, 1, 3],
      [4, 1],
    ],
    [[17], []],
    [
      [0, 2],
      [1, 2],
    ],
  ];
  testOp(test, on, { name: "maximum", f: maximum, shapes });
  testOp(test, on, { name: "minimum", f: minimum, shapes });
  testOp(test, on, { name: "clamp", f: (x) => clamp(x, -0.5, 0.7), shapes: [[33], [2, 3], []] });

  test("comparisons carry no gradient", () => {
    const x = tensor([1, 2], { device: on, requiresGrad: true });
    assert.is(gt(x, 1).requiresGrad, false);
    assert.is(gt(x, 1).node, null);
  });

  test("an accuracy is a mean of equal ids", () => {
    const logits = tensor(
      [
        [1, 2],
        [4, 3],
        [0, 5],
      ],
      { device: on },
    );
    const target = tensor([1, 1, 1], { dtype: "i32", device: on });
    assert.is(logits.argmax(-1).eq(target).mean().item(), Math.fround(2 / 3));
  });

  test("the gradient is masked, not multiplied by 0", () => {
    const a = tensor([1, 5], { device: on, requiresGrad: true });
    maximum(a, 3).backward(tensor([Infinity, 2], { device: on }));
    assert.equal(a.grad?.toArray(), [0, 2]);
    const b = tensor([1, 5], { device: on, requiresGrad: true });
    clamp(b, 2, 6).backward(tensor([NaN, 2], { device: on }));
    assert.equal(b.grad?.toArray(), [0, 2]);
  });

  test("invalid arguments are errors", () => {
    const x = zeros([2, 3], { device: on });
    assert.throws(() => eq(x, ones([4], { device: on })), /eq: b has shape \[4\], expected one/);
    assert.throws(() => eq(1, 2), /eq: a and b are 1 and 2, expected a tensor/);
    assert.throws(() => clamp(x, null), /clamp: min and max are missing, expected at least one/);
    assert.throws(() => clamp(x, { low: 1 } as never), /clamp: unknown option low, expected min/);
    assert.throws(() => clamp(x, "1" as never), /clamp: min is 1, expected a number/);
  });
});
