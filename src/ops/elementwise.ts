// Elementwise ops, each with its derivative: the derivative of the function times dy. Two operands
// broadcast as in NumPy; the derivative of broadcasting is a sum over the repeated axes.

import { record } from "../autograd.ts";
import type { Floats, Kernels } from "../backend/device.ts";
import { checkNumber } from "../errors.ts";
import { broadcast } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { sumTo, tile } from "./broadcast.ts";
import { mapIntegers, type Operand, toFloats, toTensors } from "./operands.ts";

/**
 * y = a + b. As in sub and mul, the result of i32 operands and whole numbers is i32, computed on
 * the host, and i32 with floats becomes floats.
 * @example
 * console.log(add(tensor([[1, 2], [3, 4]]), tensor([10, 20])).toArray());
 */
export function add(a: Operand, b: Operand): Tensor {
  return binary("add", a, b, { da: (dy) => dy, db: (dy) => dy });
}

/**
 * y = a - b
 * @example
 * console.log(sub(tensor([3, 4]), 1).toArray()); // [ 2, 3 ]
 */
export function sub(a: Operand, b: Operand): Tensor {
  return binary("sub", a, b, { da: (dy) => dy, db: (dy) => neg(dy) });
}

/**
 * y = a b, element by element
 * @example
 * console.log(mul(tensor([3, 4]), tensor([[1], [2]])).toArray()); // [ [ 3, 4 ], [ 6, 8 ] ]
 */
export function mul(a: Operand, b: Operand): Tensor {
  return binary("mul", a, b, {
    da: (dy, { b }) => mul(dy, b),
    db: (dy, { a }) => mul(dy, a),
  });
}

/**
 * y = a / b; of i32 too, the result is f32.
 * @example
 * console.log(div(tensor([3, 4]), 2).toArray()); // [ 1.5, 2 ]
 */
export function div(a: Operand, b: Operand): Tensor {
  return binary("div", a, b, {
    da: (dy, { b }) => div(dy, b),
    db: (dy, { b, y }) => neg(div(mul(dy, y), b)), // -a / b^2 = -y / b
  });
}

/**
 * y = -x
 * @example
 * console.log(neg(tensor([1, -2])).toArray()); // [ -1, 2 ]
 */
export function neg(x: Tensor): Tensor {
  if (x?.dtype === "i32") return mapIntegers((n) => -n, [x]);
  return record("neg", map("neg", x), [x], (dy) => [neg(dy)]);
}

/**
 * y = e^x
 * @example
 * console.log(exp(tensor([0])).toArray()); // [ 1 ]
 */
export function exp(x: Tensor): Tensor {
  const y = map("exp", x);
  return record("exp", y, [x], (dy) => [mul(dy, y)]);
}

/**
 * y = ln x
 * @example
 * console.log(log(tensor([1])).toArray()); // [ 0 ]
 */
export function log(x: Tensor): Tensor {
  return record("log", map("log", x), [x], (dy) => [div(dy, x)]);
}

/**
 * y = the square root of x
 * @example
 * console.log(sqrt(tensor([1, 4])).toArray()); // [ 1, 2 ]
 */
export function sqrt(x: Tensor): Tensor {
  const y = map("sqrt", x);
  return record("sqrt", y, [x], (dy) => [div(dy, mul(y, 2))]);
}

/**
 * y = |x|; the derivative at 0 is 0
 * @example
 * console.log(abs(tensor([-1, 2])).toArray()); // [ 1, 2 ]
 */
export function abs(x: Tensor): Tensor {
  if (x?.dtype === "i32") return mapIntegers(Math.abs, [x]);
  return record("abs", map("abs", x), [x], (dy) => [mapBackward("absBackward", x, dy)]);
}

/**
 * y = sin x, elementwise.
 * @example
 * console.log(sin(tensor([0])).toArray()); // [ 0 ]
 */
export function sin(x: Tensor): Tensor {
  return record("sin", map("sin", x), [x], (dy) => [mul(dy, cos(x))]);
}

/**
 * y = cos x, elementwise.
 * @example
 * console.log(cos(tensor([0])).toArray()); // [ 1 ]
 */
export function cos(x: Tensor): Tensor {
  return record("cos", map("cos", x), [x], (dy) => [neg(mul(dy, sin(x)))]);
}

/**
 * y = x^exponent, the exponent being a number
 * @example
 * console.log(pow(tensor([1, 2, 3]), 2).toArray()); // [ 1, 4, 9 ]
 */
export function pow(x: Tensor, exponent: number): Tensor {
  checkTensor("pow", "x", x);
  checkNumber("pow", "exponent", exponent);
  const isWhole = Number.isInteger(exponent) && exponent >= 0;
  if (x.dtype === "i32" && isWhole) return mapIntegers((n) => integerPower(n, exponent), [x]);
  const input = toFloats(x);
  const y = empty(input);
  x.device.kernels.pow(input.floats, y.floats, x.size, exponent);
  return record("pow", y, [x], (dy) => [
    exponent === 0 ? empty(x).fill(0) : mul(dy, mul(pow(x, exponent - 1), exponent)),
  ]);
}

/** Returns the gradient of one operand from that of y, in the shape of y. */
type Derivative = (dy: Tensor, at: { a: Tensor; b: Tensor; y: Tensor }) => Tensor;

const integerOps: Record<string, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: Math.imul,
};

/** An op on two operands that broadcast; da and db are the derivatives. */
function binary(
  op: "add" | "sub" | "mul" | "div",
  left: Operand,
  right: Operand,
  { da, db }: { da: Derivative; db: Derivative },
): Tensor {
  const { a, b, created } = toTensors(op, left, right, op === "div");
  const shape = broadcast(op, a.shape, b.shape);
  if (a.dtype === "i32") return mapIntegers(integerOps[op], [a, b], shape);
  const y = empty(a, shape);
  const aTiled = tile(a, y.shape);
  const bTiled = tile(b, y.shape);
  a.device.kernels[op](aTiled.floats, bTiled.floats, y.floats, aTiled.size, bTiled.size, y.size);
  aTiled.free(`an operand of ${op}`);
  bTiled.free(`an operand of ${op}`);
  const backward = (dy: Tensor) => [
    a.requiresGrad && sumTo(da(dy, { a, b, y }), a.shape),
    b.requiresGrad && sumTo(db(dy, { a, b, y }), b.shape),
  ];
  return record(op, y, [a, b], backward, created);
}

/** Returns n^exponent modulo 2^32, by repeated squaring. */
function integerPower(n: number, exponent: number): number {
  let power = 1;
  let square = n;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power = Math.imul(power, square);
    square = Math.imul(square, square);
  }
  return power;
}

/** The names of the kernels with a given signature. */
type KernelsLike<F> = { [K in keyof Kernels]: Kernels[K] extends F ? K : never }[keyof Kernels];
type Unary = KernelsLike<(x: Floats, y: Floats, n: number) => void>;
type UnaryBackward = KernelsLike<(from: Floats, dy: Floats, dx: Floats, n: number) => void>;

/** Applies a kernel to each element; i32 becomes f32. */
export function map(kernel: Unary, x: Tensor): Tensor {
  checkTensor(kernel, "x", x);
  const input = toFloats(x);
  const y = empty(input);
  x.device.kernels[kernel](input.floats, y.floats, x.size);
  return y;
}

/** Computes dx by a kernel of dy and `from`, which is x or y. */
export function mapBackward(kernel: UnaryBackward, from: Tensor, dy: Tensor): Tensor {
  const dx = empty(from);
  dy.device.kernels[kernel](from.floats, dy.floats, dx.floats, dx.size);
  return dx;
}
