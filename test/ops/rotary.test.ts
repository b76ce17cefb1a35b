import { cat, nn, ones, qkNorm, randn, type Tensor, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { qkNormSpec, rotary, rotarySpec } from "#src/ops/rotary.js";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

eachDevice("rotary", (test, on) => {
  const createTable = (x: Tensor, D: number) => nn.rotaryTable(40, D).to(x.device).to(x.dtype);
  testOp(test, on, {
    name: "rotary",
    f: (x) => rotary(x, createTable(x, 6), { nHead: 2 }),
    spec: (x) => rotarySpec(x, createTable(x, 6), { nHead: 2 }),
    shapes: [
      [2, 5, 12],
      [1, 1, 12],
      [3, 40, 12],
    ],
  });
  testOp(test, on, {
    name: "rotary of queries, keys and values",
    f: (x) => rotary(x, createTable(x, 34), { nHead: 1 }),
    spec: (x) => {
      const table = createTable(x, 34);
      const [q, k, v] = x.split(34, { dim: 2 });
      return cat([rotarySpec(q, table, { nHead: 1 }), rotarySpec(k, table, { nHead: 1 }), v], {
        dim: 2,
      });
    },
    shapes: [[2, 7, 102]],
  });

  test("rotary: a worked example; scores depend on relative positions only", () => {
    const table = nn.rotaryTable(40, 4).to(on);
    const x = tensor([1, 2, 0, 3], { shape: [1, 1, 4], device: on });
    const rotateAt = (x: Tensor, position: number) =>
      rotary(x, table, { nHead: 1, length: tensor(position, { dtype: "i32", device: on }) });
    // per position, channels 0 and 2 rotate by 1, channels 1 and 3 by 10000^(-2 / 4) = 0.01
    const c = Math.cos(0.07);
    const s = Math.sin(0.07);
    const expected = [Math.cos(7), 2 * c - 3 * s, Math.sin(7), 2 * s + 3 * c];
    assertClose(rotateAt(x, 7), expected, { rtol: 1e-5, atol: 1e-6 });
    const y = randn([1, 1, 4], { device: on });
    const score = (i: number, j: number) => rotateAt(x, i).mul(rotateAt(y, j)).sum().item();
    for (const shift of [1, 5, 30])
      assertClose([score(3 + shift, 1 + shift)], [score(3, 1)], { rtol: 1e-4, atol: 1e-5 });
    assert.ok(Math.abs(score(3, 1) - score(4, 1)) > 1e-3);
    assert.throws(
      () => rotateAt(x, 40).data(),
      /rotary: (40 \+ 1 tokens|position\[0\] is 40), expected/,
    );
    assert.throws(
      () => rotary(zeros([1, 2, 6], { device: on }), table, { nHead: 1 }),
      /rotary: x has shape \[1, 2, 6\], expected \[B, T, parts nHead D\] with nHead 1/,
    );
    assert.throws(() => nn.rotaryTable(3, 5), /rotaryTable: size is 5, expected an even number/);
  });
});

eachDevice("qkNorm", (test, on) => {
  const createOnes = (x: Tensor, D: number) => ones([D], { device: x.device }).to(x.dtype);
  for (const [nHead, parts, D, shapes] of [
    [2, 3, 6, [[2, 5, 36], [1, 1, 36]]],
    [3, 1, 5, [[2, 3, 15]]],
    [1, 2, 34, [[1, 7, 68]]],
    [2, 3, 1, [[3, 2, 6]]],
    [1, 3, 130, [[1, 3, 390]]],
  ] as [number, number, number, number[][]][]) // biome-ignore format: a case a row
    for (const isRotated of D % 2 === 0 ? [false, true] : [false]) {
      const createTable = (x: Tensor) =>
        isRotated ? nn.rotaryTable(9, D).to(x.device).to(x.dtype) : null;
      testOp(test, on, {
        name: `qkNorm of ${parts} parts with ${nHead} heads${isRotated ? ", rotated" : ""}`,
        f: (x) => qkNorm(x, { nHead, parts, table: createTable(x) }),
        spec: (x) => qkNormSpec(x, createOnes(x, D), { nHead, parts, table: createTable(x) }),
        shapes,
      });
    }

  test("qkNorm: a worked example; the values stay, and a head of zeros too", () => {
    const x = tensor([3, 4, 0, 0, -5, 7], { shape: [1, 1, 6], device: on });
    const root = Math.sqrt(12.5 + 1e-5);
    assertClose(qkNorm(x, { nHead: 1 }), [3 / root, 4 / root, 0, 0, -5, 7]);
    assertClose(qkNorm(x, { nHead: 1, eps: 12.5 }), [0.6, 0.8, 0, 0, -5, 7]);
    const scaled = tensor([30, 40, 0, 0, -5, 7], { shape: [1, 1, 6], device: on });
    assertClose(qkNorm(scaled, { nHead: 1 }), qkNorm(x, { nHead: 1 }), { rtol: 1e-5 });
  });

  test("qkNorm with a table equals rotary() of qkNorm(), from any position on", () => {
    const table = nn.rotaryTable(40, 8).to(on);
    const x = randn([2, 3, 48], { device: on });
    for (const position of [0, 5, 37]) {
      const length = tensor(position, { dtype: "i32", device: on });
      const expected = rotary(qkNorm(x, { nHead: 2 }), table, { nHead: 2, length });
      assertClose(qkNorm(x, { nHead: 2, table, length }), expected, { rtol: 1e-5, atol: 1e-6 });
    }
    const length = tensor(38, { dtype: "i32", device: on });
    assert.throws(
      () => qkNorm(x, { nHead: 2, table, length }).data(),
      /qkNorm: (38 \+ 3 tokens|position\[2\] is 40), expected/,
    );
    assert.throws(
      () => qkNorm(randn([1, 41, 48], { device: on }), { nHead: 2, table }).data(),
      /qkNorm: (0 \+ )?41 tokens, expected at most 40/,
    );
  });

  test("qkNorm: invalid arguments are errors", () => {
    const x = zeros([1, 2, 12], { device: on });
    const table = nn.rotaryTable(4, 6).to(on);
    for (const options of [{ nHead: 5 }, { nHead: 0 }, { nHead: 1.5 }, { nHead: 2, parts: 0 }])
      assert.throws(
        () => qkNorm(x, options),
        /qkNorm: x has shape \[1, 2, 12\], expected \[B, T, parts nHead D\] with nHead/,
      );
    assert.throws(
      () => qkNorm(x, { nHead: 1, table }),
      /qkNorm: table has shape \[4, 6\], expected \[positions, 4\]/,
    );
    assert.throws(() => qkNorm(x, { nHead: 1, eps: -1 }), /qkNorm: eps is -1, expected a number/);
  });
});
