import {
  arange,
  einsum,
  expand,
  flip,
  gather,
  indexSelect,
  matmul,
  oneHot,
  randint,
  randn,
  randperm,
  repeat,
  roll,
  scatter,
  scatterAdd,
  sort,
  tensor,
  topk,
  triu,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, testOp } from "../support/harness.js";

eachDevice("indexing", (test, on) => {
  const ids = (values: number[][]) => tensor(values, { dtype: "i32", device: on });
  const at = ids([
    [2, 0, 1],
    [1, 1, 1],
  ]);
  const shapes = [[2, 5, 3]];
  testOp(test, on, { name: "flip", f: (x) => flip(x, 0, -1), shapes });
  testOp(test, on, { name: "roll", f: (x) => roll(x, [1, -2], [0, 1]), shapes });
  testOp(test, on, { name: "expand", f: (x) => expand(x, 4, -1, 3), shapes: [[2, 1]] });
  testOp(test, on, { name: "repeat", f: (x) => repeat(x, 2, 1, 2), shapes });
  testOp(test, on, { name: "triu", f: (x) => triu(x, -1), shapes });
  testOp(test, on, { name: "sort", f: (x) => sort(x, 1).values, shapes });
  testOp(test, on, { name: "topk", f: (x) => topk(x, 2, 1).values, shapes });
  testOp(test, on, { name: "gather", f: (x) => gather(x, 1, at.to(x.device)), shapes: [[2, 3]] });
  const pair = [
    [
      [2, 4],
      [2, 3],
    ],
  ];
  testOp(test, on, {
    name: "scatterAdd",
    f: (x, src) => scatterAdd(x, 1, at.to(x.device), src),
    shapes: pair,
  });
  testOp(test, on, {
    name: "scatter, the last of equals",
    f: (x, src) => scatter(x, 1, at.to(x.device), src),
    shapes: pair,
  });
  testOp(test, on, {
    name: "einsum",
    f: (a, b) => einsum("bij,bkj->ki", a, b),
    spec: (a, b) => matmul(b, a.transpose(1, 2)).sum(0),
    shapes: [
      [
        [2, 3, 4],
        [2, 5, 4],
      ],
    ],
  });

  test("randint and randperm: their range, and each number once", () => {
    const x = randint(-3, 5, [1000], { device: on });
    assert.is(x.dtype, "i32");
    assert.equal([x.min().item(), x.max().item()], [-3, 4]);
    assert.equal(randint(7, [2, 3], { device: on }).shape, [2, 3]);
    const order = randperm(100, { device: on });
    assert.not.equal(order.toArray(), arange(100).toArray());
    assert.equal(order.sort().values.toArray(), arange(100).toArray());
  });

  test("invalid arguments are errors", () => {
    const x = randn([2, 3], { device: on });
    const far = ids([[3], [0]]);
    assert.throws(() => gather(x, 1, far), /gather: index has 3 at element 0, expected 0 to 2/);
    assert.throws(() => gather(x, 0, ids([[0, 0, 0, 0]])), /gather: index has shape \[1, 4\]/);
    assert.throws(() => gather(x, 1, zeros([2, 1], { device: on })), /gather: index has dtype f32/);
    const wrong = ids([[-1]]).reshape(-1);
    assert.throws(() => indexSelect(x, 1, wrong), /indexSelect: index has -1 at element 0/);
    assert.throws(() => oneHot(wrong), /oneHot: idx has -1 at element 0/);
    assert.throws(() => scatter(x, 1, at, zeros([1, 1], { device: on })), /scatter: src has shape/);
    assert.throws(() => expand(x, 4, 3), /expand: shape is \[4, 3\], expected one that \[2, 3\]/);
    assert.throws(() => topk(x, 4), /topk: k is 4, expected 0 to 3/);
    assert.throws(() => einsum("ij,jk", x), /einsum: equation has 2 operands, expected 1/);
    assert.throws(
      () => einsum("ijk->i", x),
      /einsum: operand 0 has shape \[2, 3\], expected 3 axes/,
    );
    assert.throws(() => einsum("ij,ij->ij", x, x.transpose(0, 1)), /einsum: i has sizes 2 and 3/);
    assert.throws(() => einsum("ij->k", x), /einsum: the result has k, expected letters/);
    assert.throws(() => randint(3, 3, [1]), /randint: low is 3, expected one below high, 3/);
  });
});
