import * as ops from "tinybard";
import { gelu, maskedFill, ones, pow, type Tensor, tensor, where, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, type OpRow, testOp } from "../support/support.js";

// around every width that a vector or a tile may have
const sizes = [[], [1], [3, 5], [7], [8], [9], [15], [16], [17], [2, 31], [33], [0]];
const positive = (x: number) => Math.abs(x) + 0.1;
const offZero = (x: number) => x + Math.sign(x || 1) * 1e-2;

const unary: OpRow[] = [
  { name: "neg", f: ops.neg, shapes: sizes },
  { name: "exp", f: ops.exp, shapes: sizes },
  { name: "log", f: ops.log, shapes: sizes, domain: positive },
  { name: "sqrt", f: ops.sqrt, shapes: sizes, domain: positive },
  { name: "abs", f: ops.abs, shapes: sizes, domain: offZero },
  { name: "sin", f: ops.sin, shapes: sizes },
  { name: "cos", f: ops.cos, shapes: sizes },
  { name: "tanh", f: ops.tanh, shapes: sizes },
  { name: "relu", f: ops.relu, shapes: sizes, domain: offZero },
  { name: "sigmoid", f: ops.sigmoid, shapes: sizes },
  { name: "silu", f: ops.silu, shapes: sizes },
  { name: "gelu", f: (x) => gelu(x), shapes: sizes, domain: (x) => 3 * x },
  { name: "gelu by tanh", f: (x) => gelu(x, { approximate: "tanh" }), shapes: sizes },
  { name: "pow 3", f: (x) => pow(x, 3), shapes: sizes },
  { name: "pow -1.5", f: (x) => pow(x, -1.5), shapes: sizes, domain: positive },
  { name: "pow 0", f: (x) => pow(x, 0), shapes: sizes },
];

const pairs = [
  [[], []],
  [
    [3, 5],
    [3, 5],
  ],
  [
    [4, 6],
    [4, 1],
  ],
  [
    [1, 5],
    [3, 1],
  ],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [[2, 3, 4], [4]],
  [
    [2, 3, 4],
    [3, 4],
  ],
  [[5], [2, 5]],
  [[], [2, 3]],
  [[2, 3], []],
  [[1, 1], [3]],
  [[17], [17]],
  [
    [2, 0],
    [2, 1],
  ],
  [
    [2, 1, 3, 1],
    [4, 1, 5],
  ],
  [
    [1, 3, 1, 2],
    [2, 1, 4, 1],
  ],
];
const binary: OpRow[] = [
  { name: "add", f: ops.add, shapes: pairs },
  { name: "sub", f: ops.sub, shapes: pairs },
  { name: "mul", f: ops.mul, shapes: pairs },
  { name: "div", f: ops.div, shapes: pairs, domain: (x) => offZero(x) + Math.sign(x) / 2 },
];

eachDevice("elementwise", (test, on) => {
  for (const row of [...unary, ...binary]) testOp(test, on, row);

  const even = (shape: number[]) => {
    const n = shape.reduce((a, b) => a * b, 1);
    return tensor(
      Int32Array.from({ length: n }, (_, i) => 1 - (i % 2)),
      { shape, device: on },
    );
  };
  testOp(test, on, {
    name: "where",
    f: (a, b) => where(even([3, 1]).to(a.device), a, b),
    shapes: [
      [
        [3, 5],
        [3, 5],
      ],
      [[5], [3, 1]],
      [[], [2, 3, 5]],
    ],
  });
  testOp(test, on, {
    name: "maskedFill",
    f: (x) => maskedFill(x, even([4]).to(x.device), -3),
    shapes: [[4], [3, 4], [2, 3, 4]],
  });

  test("a number stands for a tensor, on either side", () => {
    const x = tensor([1, 2, 4], { device: on, requiresGrad: true });
    const y = ops.add(ops.div(8, x), ops.sub(ops.mul(3, x), 1));
    assert.equal(y.toArray(), [10, 9, 13]);
    y.backward(ones([3], { device: on }));
    assert.equal(x.grad?.toArray(), [-5, 1, 2.5]); // 3 - 8 / x^2
  });

  test("known values", () => {
    const f = (op: (x: Tensor) => Tensor, x: number) => op(tensor([x], { device: on })).item();
    assertClose([f((x) => gelu(x), 1)], [0.8413447460685429]);
    assertClose([f((x) => gelu(x), -3)], [-0.00404969409489031], { rtol: 1e-5 });
    assertClose([f((x) => gelu(x, { approximate: "tanh" }), 1)], [0.8411919906082768]);
    assertClose([f(ops.silu, 1)], [0.7310585786300049]);
    assert.ok(Number.isNaN(f(ops.relu, NaN)));
    assert.is(f(ops.exp, -1000), 0);
  });

  test("gelu is accurate to f64 on ts", () => {
    const x = tensor(Float64Array.of(-6, -2.5, -1.999, -0.3, 0.7, 2.8284, 3.5), { device: "ts" });
    // x Phi(x), from a 40-digit computation
    const expected = [
      -5.9195258702261885e-9, -0.015524163314440337, -0.04558554968838511, -0.1146265733433142,
      0.5306254434438489, 2.821784186586942, 3.4991857982233756,
    ];
    assertClose(gelu(x), expected, { rtol: 1e-12, atol: 0 });
  });

  test("kernels at known places: the derivatives at kinks", () => {
    for (const op of [ops.abs, ops.relu]) {
      const x = tensor([0, -2, 3], { device: on, requiresGrad: true });
      op(x).sum().backward();
      assert.equal(x.grad?.toArray(), [0, op === ops.abs ? -1 : 0, 1]);
    }
  });

  test("wrong operands are named", () => {
    const x = zeros([2, 3], { device: on });
    assert.throws(() => ops.add(x, zeros([4], { device: on })), /add: b has shape \[4\], expected/);
    assert.throws(
      () => ops.mul(x, zeros([2, 3], { device: on, dtype: "i32" })),
      /mul: b has dtype i32/,
    );
    assert.throws(() => gelu(x, { approximate: "erf" as "none" }), /gelu: approximate is erf/);
    assert.throws(
      () => gelu(x, { aproximate: "none" } as object),
      /gelu: unknown option aproximate/,
    );
    assert.throws(() => ops.add(1, 2), /expected a tensor/);
    assert.throws(() => maskedFill(x, even([4]), 0), /where: b has shape/);
  });
});
