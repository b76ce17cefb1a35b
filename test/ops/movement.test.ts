import {
  arange,
  cat,
  embedding,
  permute,
  reshape,
  slice,
  split,
  stack,
  tensor,
  transpose,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, testOp } from "../support/harness.js";

const exact = { rtol: 0, atol: 0 };

eachDevice("movement", (test, on) => {
  /** Returns a tensor with the elements 0, 1, 2, ... */
  const arangeOfShape = (...shape: number[]) =>
    reshape(
      arange(
        shape.reduce((a, b) => a * b, 1),
        { device: on },
      ),
      shape,
    );

  testOp(test, on, {
    name: "reshape",
    f: (x) => reshape(x, [-1, 2]),
    shapes: [[3, 4], [2], [1, 2, 5]],
    ...exact,
  });
  testOp(test, on, {
    name: "transpose",
    f: (x) => transpose(x, 0, -1),
    shapes: [[3], [2, 3], [17, 33], [2, 3, 5], [2, 3, 4, 5]],
    ...exact,
  });
  testOp(test, on, {
    name: "permute",
    f: (x) => permute(x, [2, 0, 3, 1]),
    shapes: [
      [2, 3, 4, 5],
      [1, 7, 1, 3],
    ],
    ...exact,
  });
  testOp(test, on, {
    name: "slice",
    f: (x) => slice(x, { dim: 1, start: 1, end: 4 }),
    shapes: [
      [3, 6],
      [3, 6, 2],
      [1, 2],
    ],
    ...exact,
  });
  testOp(test, on, {
    name: "cat",
    f: (a, b) => cat([a, b, a], { dim: 1 }),
    shapes: [
      [
        [2, 3, 4],
        [2, 5, 4],
      ],
      [
        [1, 1],
        [1, 0],
      ],
    ],
  });
  testOp(test, on, {
    name: "stack",
    f: (a, b) => stack([a, b], { dim: -1 }),
    shapes: [
      [
        [2, 3],
        [2, 3],
      ],
    ],
    ...exact,
  });
  testOp(test, on, {
    name: "split",
    f: (x) => cat(split(x, 2, { dim: 1 }).reverse(), { dim: 1 }),
    shapes: [[3, 5]],
    ...exact,
  });
  testOp(test, on, {
    name: "embedding",
    f: (w) =>
      embedding(
        tensor(
          [
            [0, 2, 2],
            [1, 0, 2],
          ],
          { dtype: "i32", device: w.device },
        ),
        w,
      ),
    shapes: [
      [3, 4],
      [5, 1],
      [3, 17],
    ],
  });
  if (on.memory.isHost)
    testOp(test, on, {
      name: "to f64 and back",
      f: (x) => x.to("f64").to(x.dtype),
      shapes: [[2, 3]],
    });

  test("values: transpose, permute", () => {
    assert.equal(transpose(arangeOfShape(2, 3), 0, 1).toArray(), [
      [0, 3],
      [1, 4],
      [2, 5],
    ]);
    assert.equal(permute(arangeOfShape(2, 1, 3), [2, 0, 1]).toArray(), [
      [[0], [3]],
      [[1], [4]],
      [[2], [5]],
    ]);
    assert.equal(transpose(arangeOfShape(2, 2, 2), 0, 2).toArray(), [
      [
        [0, 4],
        [2, 6],
      ],
      [
        [1, 5],
        [3, 7],
      ],
    ]);
  });

  test("values: every permutation of four axes, by index", () => {
    const shape = [2, 3, 4, 5];
    const x = arangeOfShape(...shape);
    const permutations = (dims: number[]): number[][] => {
      if (dims.length === 0) return [[]];
      return dims.flatMap((first) =>
        permutations(dims.filter((dim) => dim !== first)).map((rest) => [first, ...rest]),
      );
    };
    for (const dims of permutations([0, 1, 2, 3])) {
      const y = permute(x, dims);
      const index = [1, 2, 3, 4];
      const toOffset = (index: number[], sizes: readonly number[]) =>
        index.reduce((sum, i, d) => sum * sizes[d] + i, 0);
      const permuted = dims.map((d) => index[d]);
      const actual = y.data()[toOffset(permuted, y.shape)];
      assert.is(actual, toOffset(index, shape), `${dims}`);
      assert.equal(
        y.shape,
        dims.map((d) => shape[d]),
      );
    }
  });

  test("values: slice, split, stack, cat of integers", () => {
    const x = arangeOfShape(3, 4);
    assert.equal(slice(x, { dim: 1, start: -2 }).toArray(), [
      [2, 3],
      [6, 7],
      [10, 11],
    ]);
    assert.equal(slice(x, { dim: 0, start: 1, end: 2 }).toArray(), [[4, 5, 6, 7]]);
    assert.equal(slice(x, { dim: 0, start: 2, end: 1 }).shape, [0, 4]);
    assert.equal(split(zeros([0, 2], { device: on }), 1)[0].shape.join(), "0,2");
    assert.equal(
      split(x, 3, { dim: -1 }).map((y) => y.shape),
      [
        [3, 3],
        [3, 1],
      ],
    );
    assert.equal(stack([arangeOfShape(2), arangeOfShape(2)], { dim: 1 }).toArray(), [
      [0, 0],
      [1, 1],
    ]);
    assert.equal(cat([x, arangeOfShape(1, 4)]).shape, [4, 4]);
    assert.is(x.to("f32").dtype, "f32");
    assert.equal(tensor([1.9, -1.9], { device: on }).to("i32").toArray(), [1, -1]);
  });

  test("reshape shares memory", () => {
    const x = zeros([2, 3], { device: on });
    x.reshape([6]).fill(7);
    assert.is(x.slice({ dim: 0, end: 1 }).data()[0], 7);
  });

  test("an index out of range is an error", () => {
    const w = zeros([3, 2], { device: on });
    for (const bad of [3, -1, 2 ** 31 - 1]) {
      const idx = tensor([0, bad], { dtype: "i32", device: on });
      assert.throws(
        () => embedding(idx, w).data(),
        new RegExp(`embedding: idx\\[1\\] is ${bad}, expected 0 to 2`),
      );
    }
    assert.throws(
      () => embedding(zeros([2], { device: on }), w),
      /embedding: idx has dtype f32, expected i32/,
    );
  });

  test("invalid arguments are errors", () => {
    const x = zeros([2, 3], { device: on });
    assert.throws(() => reshape(x, [4, 2]), /reshape: x has shape \[2, 3\]/);
    assert.throws(() => reshape(x, [-1, -1]), /reshape/);
    assert.throws(() => transpose(x, 0, 2), /transpose: dim is 2, expected -2 to 1/);
    assert.throws(() => permute(x, [0, 0]), /permute: dims are \[0, 0\]/);
    assert.throws(
      () => cat([x, zeros([2, 2], { device: on })]),
      /cat: list\[1\] has shape \[2, 2\], expected \[2, 3\]/,
    );
    assert.throws(() => cat([]), /cat: list is empty/);
    assert.throws(() => split(x, 0), /split: size is 0/);
    assert.throws(() => slice(x, { dim: 0, begin: 1 } as never), /slice: unknown option begin/);
  });
});
