import * as ops from "tinybard";
import { maskedFill, ones, pow, tensor, where, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, type OpRow, testOp } from "../support/harness.js";
import { awayFromZero, elementwiseShapes } from "../support/op-shapes.js";

const positive = (x: number) => Math.abs(x) + 0.1;

const unary: OpRow[] = [
  { name: "neg", f: ops.neg, shapes: elementwiseShapes },
  { name: "exp", f: ops.exp, shapes: elementwiseShapes },
  { name: "log", f: ops.log, shapes: elementwiseShapes, domain: positive },
  { name: "sqrt", f: ops.sqrt, shapes: elementwiseShapes, domain: positive },
  { name: "abs", f: ops.abs, shapes: elementwiseShapes, domain: awayFromZero },
  { name: "sin", f: ops.sin, shapes: elementwiseShapes },
  { name: "cos", f: ops.cos, shapes: elementwiseShapes },
  { name: "pow 3", f: (x) => pow(x, 3), shapes: elementwiseShapes },
  { name: "pow -1.5", f: (x) => pow(x, -1.5), shapes: elementwiseShapes, domain: positive },
  { name: "pow 0", f: (x) => pow(x, 0), shapes: elementwiseShapes },
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
  { name: "div", f: ops.div, shapes: pairs, domain: (x) => awayFromZero(x) + Math.sign(x) / 2 },
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

  test("a number can replace either operand", () => {
    const x = tensor([1, 2, 4], { device: on, requiresGrad: true });
    const y = ops.add(ops.div(8, x), ops.sub(ops.mul(3, x), 1));
    assert.equal(y.toArray(), [10, 9, 13]);
    y.backward(ones([3], { device: on }));
    assert.equal(x.grad?.toArray(), [-5, 1, 2.5]); // 3 - 8 / x^2
  });

  test("exp underflows to 0", () => {
    assert.is(ops.exp(tensor([-1000], { device: on })).item(), 0);
  });

  test("the derivative of abs at 0 is 0", () => {
    const x = tensor([0, -2, 3], { device: on, requiresGrad: true });
    ops.abs(x).sum().backward();
    assert.equal(x.grad?.toArray(), [0, -1, 1]);
  });

  test("invalid operands are errors", () => {
    const x = zeros([2, 3], { device: on });
    assert.throws(() => ops.add(x, zeros([4], { device: on })), /add: b has shape \[4\], expected/);
    assert.throws(
      () => ops.mul(x, zeros([2, 3], { device: "ts", dtype: "f64" })),
      on.name === "ts" ? /mul: b has dtype f64, expected f32/ : /mul: b is on ts, expected/,
    );
    assert.throws(() => ops.add(1, 2), /expected a tensor/);
    assert.throws(() => maskedFill(x, even([4]), 0), /maskedFill: mask has shape \[4\], expected/);
  });
});
