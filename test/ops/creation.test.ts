import { inspect } from "node:util";
import {
  arange,
  checkGradient,
  exp,
  full,
  mul,
  ones,
  rand,
  randn,
  sum,
  tensor,
  toDot,
  tril,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { record } from "#src/autograd.js";
import { eachDevice } from "../support/support.js";

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

  test("data() and toArray() are fresh", () => {
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

  test("what makes no tensor is named", () => {
    assert.throws(() => tensor([[1, 2], [3]]), /tensor: values has rows of shapes \[2\] and \[1\]/);
    assert.throws(() => tensor([1, "2"] as never), /tensor: values has a string, expected numbers/);
    assert.throws(
      () => tensor([1, 2, 3], { shape: [2, 2] }),
      /tensor: values has 3 elements, expected those of \[2, 2\]/,
    );
    assert.throws(() => zeros([-1]), /full: shape is \[-1\]/);
    assert.throws(() => zeros([1.5]), /full: shape is \[1.5\]/);
    assert.throws(() => zeros([2 ** 30, 2 ** 30]), /full: shape is/);
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

  test("a tensor prints its values and what is not seen in them", () => {
    const x = tensor(
      [
        [1, 2],
        [3, 4],
      ],
      { device: on, requiresGrad: true },
    );
    assert.is(
      inspect(x),
      `tensor([ [ 1, 2 ], [ 3, 4 ] ], shape [2,2], f32 on ${on.name}, requiresGrad)`,
    );
    assert.match(inspect(exp(x)), /made by exp\)$/);
  });

  test("toDot draws ops, values and gradients", () => {
    const a = tensor([2], { device: on, requiresGrad: true });
    const loss = sum(mul(a, a));
    const before = toDot(loss);
    assert.match(before, /^digraph \{/);
    assert.match(before, /label="mul"/);
    assert.is(before.match(new RegExp(`t${a.id} -> op`, "g"))?.length, 2);
    loss.backward();
    assert.match(toDot(a), /2\.000 \| grad 4\.000/);
  });

  test("checkGradient finds a wrong derivative, and says how wrong", () => {
    const x = randn([5], { device: on });
    const right = checkGradient((t) => mul(t, mul(t, t)), [x]);
    assert.ok(right.ok && right.worst < 1e-6, JSON.stringify(right));
    const wrong = checkGradient((t) => record("wrong", exp(t.detach()), [t], (dy) => [dy]), [x]);
    assert.not(wrong.ok);
    assert.ok(wrong.worst > 1e-3);
    const first = checkGradient((a, b) => mul(a, b.detach()), [x, x]);
    assert.not(first.ok);
    assert.is(first.inputs[1].analytic, 0);
    assert.ok(checkGradient((t) => t.dropout({ p: 0.5 }), [x]).ok);
    assert.ok(checkGradient((t) => mul(t, 1 + 1e-4), [x], { tolerance: 1e-3 }).ok);
  });
});
