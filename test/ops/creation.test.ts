import { arange, full, ones, rand, randn, tensor, tril, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice } from "../support/harness.js";

eachDevice("creation", (test, on) => {
  test("tensor: shapes from nesting, types from arrays, values copied", () => {
    assert.equal(
      tensor(
        [
          [1, 2, 3],
          [4, 5, 6],
        ],
        { device: on },
      ).shape,
      [2, 3],
    );
    assert.equal(tensor(7, { device: on }).shape, []);
    assert.equal(tensor([], { device: on }).shape, [0]);
    assert.equal(tensor([[], []], { device: on }).shape, [2, 0]);
    const values = Float32Array.of(1, 2);
    const x = tensor(values, { shape: [2, 1], device: on });
    values[0] = 9;
    assert.equal(x.toArray(), [[1], [2]]);
    assert.is(tensor(Int32Array.of(1)).dtype, "i32");
    assert.is(tensor(Uint8Array.of(200)).item(), 200);
    assert.is(tensor(Float64Array.of(0.1), { device: "ts" }).item(), 0.1);
    assert.is(tensor([0.1], { device: on }).item(), Math.fround(0.1));
  });

  test("data() and toArray() return copies", () => {
    const x = tensor([1, 2], { device: on });
    x.data()[0] = 5;
    assert.equal(x.toArray(), [1, 2]);
    assert.instance(x.data(), Float32Array);
    assert.is(x.data().length, 2);
  });

  test("zeros, ones, full, arange, tril, rand, randn", () => {
    assert.equal(zeros([2, 2], { device: on }).toArray(), [
      [0, 0],
      [0, 0],
    ]);
    assert.equal(ones([], { device: on }).item(), 1);
    assert.equal(full([2], -1.5, { device: on }).toArray(), [-1.5, -1.5]);
    assert.equal(arange(3, { device: on }).toArray(), [0, 1, 2]);
    assert.equal(arange(2, 5, { device: on, dtype: "f32" }).toArray(), [2, 3, 4]);
    assert.is(arange(3).dtype, "i32");
    assert.equal(arange(0, 7, 3, { device: on }).toArray(), [0, 3, 6]);
    assert.equal(arange(1, 0, -0.25, { device: on }).toArray(), [1, 0.75, 0.5, 0.25]);
    assert.throws(() => arange(0, 3, 0), /arange: step is 0, expected another number/);
    assert.equal(tril(ones([2, 3], { device: on })).toArray(), [
      [1, 0, 0],
      [1, 1, 0],
    ]);
    assert.equal(tril(ones([2, 2], { device: on }), { diagonal: -1 }).toArray(), [
      [0, 0],
      [1, 0],
    ]);
    const infinite = full([2, 2], Infinity, { device: on });
    assert.equal(tril(infinite).toArray(), [
      [Infinity, 0],
      [Infinity, Infinity],
    ]);
    assert.ok(
      rand([100], { device: on })
        .data()
        .every((x) => x >= 0 && x < 1),
    );
    assert.equal(randn([2, 3], { device: on, requiresGrad: true }).shape, [2, 3]);
  });

  test("invalid arguments are errors", () => {
    assert.throws(() => tensor([[1, 2], [3]]), /tensor: values has rows of shapes \[2\] and \[1\]/);
    assert.throws(() => tensor([1, "2"] as never), /tensor: values has a string, expected numbers/);
    assert.throws(
      () => tensor([1, 2, 3], { shape: [2, 2] }),
      /tensor: values has 3 elements, expected those of \[2, 2\]/,
    );
    assert.throws(() => zeros([-1]), /zeros: shape is \[-1\]/);
    assert.throws(() => zeros([1.5]), /zeros: shape is \[1.5\]/);
    assert.throws(() => zeros([2 ** 30, 2 ** 30]), /zeros: shape is/);
    assert.throws(
      () => tensor([1], { requires_grad: true } as never),
      /tensor: unknown option requires_grad/,
    );
    assert.throws(
      () => tensor([1], { dtype: "i32", requiresGrad: true }),
      /dtype is i32, expected floats/,
    );
    assert.throws(() => tensor([1], { dtype: "bf16", device: "ts" }), /bf16/);
  });
});
