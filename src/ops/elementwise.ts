// Elementwise ops, each with its derivative: the derivative of the function times dy. Two operands
// broadcast as in NumPy; the derivative of broadcasting is a sum over the repeated axes.

import { record } from "../autograd.ts";
import type { Floats, Kernels } from "../backend/device.ts";
import { checkNumber, fail } from "../errors.ts";
import { broadcast } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { type Backward, empty, Tensor } from "../tensor/tensor.ts";
import { sumTo, tile } from "./broadcast.ts";

/** An operand of add, sub, mul and div: a number stands for a tensor with that value. */
export type Operand = Tensor | number;

/**
 * y = a + b
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
 * y = a / b
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
  const y = empty(x);
  x.device.kernels.pow(x.floats, y.floats, x.size, exponent);
  return record("pow", y, [x], (dy) => [
    exponent === 0 ? empty(x).fill(0) : mul(dy, mul(pow(x, exponent - 1), exponent)),
  ]);
}

/**
 * y = a where cond is not 0, b elsewhere; cond is i32. All three broadcast.
 * @example
 * const cond = tensor([1, 0], { dtype: "i32" });
 * console.log(where(cond, tensor([1, 2]), 0).toArray()); // [ 1, 0 ]
 */
export function where(cond: Tensor, yes: Operand, no: Operand): Tensor {
  checkTensor("where", "cond", cond);
  const { a, b, created } = toTensors("where", yes, no);
  const shape = broadcast("where", broadcast("where", a.shape, b.shape), cond.shape);
  const choose = (a: Tensor, b: Tensor) => {
    const y = empty(a, shape);
    const condTiled = tile(cond, shape);
    const aTiled = tile(a, shape);
    const bTiled = tile(b, shape);
    a.device.kernels.where(
      condTiled.ints,
      aTiled.floats,
      bTiled.floats,
      y.floats,
      condTiled.size,
      aTiled.size,
      bTiled.size,
      y.size,
    );
    for (const operand of [condTiled, aTiled, bTiled]) operand.free("an operand of where");
    return y;
  };
  const backward: Backward = (dy) => [
    false,
    a.requiresGrad && sumTo(choose(dy, scalarLike(dy, 0)), a.shape),
    b.requiresGrad && sumTo(choose(scalarLike(dy, 0), dy), b.shape),
  ];
  return record("where", choose(a, b), [cond, a, b], backward, created);
}

/**
 * x, with `value` wherever the mask (i32) is not 0. Both broadcast.
 * @example
 * const mask = tensor([1, 0], { dtype: "i32" });
 * console.log(maskedFill(tensor([3, 4]), mask, -1).toArray()); // [ -1, 4 ]
 */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  checkTensor("maskedFill", "x", x);
  checkTensor("maskedFill", "mask", mask);
  checkNumber("maskedFill", "value", value);
  return where(mask, value, x);
}

/** Returns a scalar with x's dtype and device. */
function scalarLike(x: Tensor, value: number): Tensor {
  return empty(x, []).fill(value);
}

/** Converts operands to tensors of the same device and dtype; `created` are those of numbers. */
function toTensors(op: string, left: Operand, right: Operand) {
  const reference = left instanceof Tensor ? left : right;
  if (!(reference instanceof Tensor))
    fail(`${op}: a and b are ${typeof left}, ${typeof right}, expected a tensor`);
  const a = typeof left === "number" ? scalarLike(reference, left) : left;
  const b = typeof right === "number" ? scalarLike(reference, right) : right;
  checkSameKind(op, "a", a, reference);
  checkSameKind(op, "b", b, reference);
  return { a, b, created: [a, b].filter((x) => x !== left && x !== right) };
}

/** Returns the gradient of one operand from that of y, in the shape of y. */
type Derivative = (dy: Tensor, at: { a: Tensor; b: Tensor; y: Tensor }) => Tensor;

/** An op on two operands that broadcast; da and db are the derivatives. */
function binary(
  op: "add" | "sub" | "mul" | "div",
  left: Operand,
  right: Operand,
  { da, db }: { da: Derivative; db: Derivative },
): Tensor {
  const { a, b, created } = toTensors(op, left, right);
  const y = empty(a, broadcast(op, a.shape, b.shape));
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

/** The names of the kernels with a given signature. */
type KernelsLike<F> = { [K in keyof Kernels]: Kernels[K] extends F ? K : never }[keyof Kernels];
type Unary = KernelsLike<(x: Floats, y: Floats, n: number) => void>;
type UnaryBackward = KernelsLike<(from: Floats, dy: Floats, dx: Floats, n: number) => void>;

/** Applies a kernel to each element. */
export function map(kernel: Unary, x: Tensor): Tensor {
  checkTensor(kernel, "x", x);
  const y = empty(x);
  x.device.kernels[kernel](x.floats, y.floats, x.size);
  return y;
}

/** Computes dx by a kernel of dy and `from`, which is x or y. */
export function mapBackward(kernel: UnaryBackward, from: Tensor, dy: Tensor): Tensor {
  const dx = empty(from);
  dy.device.kernels[kernel](from.floats, dy.floats, dx.floats, dx.size);
  return dx;
}
