import { argmax, max, mean, min, ones, sum, tensor, var as variance, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

eachDevice("reductions", (test, on) => {
  for (const dim of [undefined, 0, -1, 1]) {
    const shapes = [
      [2, 3, 4],
      [5, 1, 17],
      [1, 33, 2],
    ];
    const options = dim === undefined ? {} : { dim };
    testOp(test, on, { name: `sum, dim ${dim}`, f: (x) => sum(x, options), shapes, atol: 1e-5 });
    testOp(test, on, {
      name: `mean, dim ${dim}`,
      f: (x) => mean(x, { ...options, keepdim: true }),
      shapes,
    });
    testOp(test, on, {
      name: `max, dim ${dim}`,
      f: (x) => max(x, options),
      shapes,
      domain: (x) => x * 50,
    });
    testOp(test, on, { name: `min, dim ${dim}`, f: (x) => min(x, options), shapes: [[2, 3, 4]] });
    testOp(test, on, { name: `var, dim ${dim}`, f: (x) => variance(x, options), shapes });
  }
  testOp(test, on, {
    name: "var, unbiased",
    f: (x) => variance(x, { dim: 1, unbiased: true }),
    shapes: [[3, 5]],
  });
  testOp(test, on, { name: "sum of a scalar", f: (x) => sum(x), shapes: [[]] });

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

  test("invalid arguments are errors", () => {
    const x = zeros([2, 4], { device: on });
    assert.throws(() => sum(x, { dim: 2 }), /sum: dim is 2, expected -2 to 1/);
    assert.throws(() => mean(x, { axis: 0 } as never), /mean: unknown option axis/);
    assert.throws(() => max(zeros([0], { device: on })), /max: x has shape \[0\]/);
    assert.throws(() => max(x, x as never), /max: dim is a tensor, expected a number; maximum\(\)/);
    assert.throws(() => variance(x, 0, true), /var: the argument after dim is true, expected/);
    assert.is(sum(x, null as never).item(), 0);
    assert.is(sum(x, { dim: null } as never).item(), 0);
  });
});
