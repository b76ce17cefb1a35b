import { cat, nn, randn, type Tensor, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { rotary, rotarySpec } from "#src/ops/rotary.js";
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
