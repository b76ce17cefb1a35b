// Linear layers as ops: matmul with a weight, bias and activation in one kernel, and two such
// layers in a row.

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { formatShape, numel } from "../shape.ts";
import { checkTensor, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { gelu, relu, relu2, silu, tanh } from "./activations.ts";
import { add, mul } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { slice, transpose } from "./movement.ts";

/**
 * y = silu(a) b, where a and b are the halves of x. x [..., 2n], y [..., n]. Shazeer (2020).
 * @example
 * console.log(swiglu(randn([2, 6])).shape); // [ 2, 3 ]
 */
export function swiglu(x: Tensor): Tensor {
  checkTensor("swiglu", "x", x);
  const width = x.shape.at(-1) ?? 1;
  if (width % 2 !== 0) fail(`swiglu: x has shape ${formatShape(x.shape)}, expected [..., 2n]`);
  const a = slice(x, { dim: -1, end: width / 2 });
  const b = slice(x, { dim: -1, start: width / 2 });
  return mul(silu(a), b);
}

/** The activations of linear() and mlp(), as ops of their own. */
const activations = {
  none: (x: Tensor) => x,
  relu,
  relu2,
  gelu: (x: Tensor) => gelu(x),
  "gelu-tanh": (x: Tensor) => gelu(x, { approximate: "tanh" }),
  silu,
  tanh,
  swiglu,
};
export type Activation = keyof typeof activations;

/** y = f(x) for an activation f by name. */
export function activate(x: Tensor, activation: Activation): Tensor {
  return activations[activation](x);
}

/** The activations that the kernel `linear` applies itself, by their code there. */
const fusedCodes = {
  none: 0,
  relu: 1,
  gelu: 2,
  "gelu-tanh": 3,
  relu2: 4,
} as const;

/** The kernels of their derivatives, by code. */
const derivativeKernels = [
  null,
  "reluBackward",
  "geluBackward",
  "geluTanhBackward",
  "relu2Backward",
] as const;

/** The activations whose derivative is a function of their argument; the others use the result. */
const usesArgument: readonly number[] = [fusedCodes.gelu, fusedCodes["gelu-tanh"]];

/** Returns the code of an activation for the kernels, undefined if it is not fused. */
export function getFusedCode(op: string, activation: Activation): number | undefined {
  if (!Object.hasOwn(activations, activation))
    fail(`${op}: activation is ${activation}, expected ${Object.keys(activations).join(", ")}`);
  return (fusedCodes as Partial<Record<Activation, number>>)[activation];
}

/**
 * y = f(x w^T + b), where f is the activation, by default none. x [..., in], w [out, in], b [out],
 * y [..., out]; with swiglu y [..., out / 2].
 * @example
 * const w = tensor([[1, 0], [0, 1], [1, 1]]); // (out, in)
 * console.log(linear(tensor([[1, 2]]), w).toArray()); // [ [ 1, 2, 3 ] ]
 */
export function linear(
  x: Tensor,
  w: Tensor,
  b: Tensor | null = null,
  options: { activation?: Activation } = {},
): Tensor {
  checkOptions("linear", options, ["activation"]);
  const { activation = "none" } = options;
  const code = getFusedCode("linear", activation);
  if (code === undefined) return activate(linear(x, w, b), activation);
  const { y, preActivation } = computeLayer("linear", x, w, b, code);
  const backward = (dy: Tensor) => {
    const derivative = derivativeKernels[code];
    let dh = dy; // the gradient of the pre-activation
    if (derivative) {
      dh = empty(y);
      x.device.kernels[derivative]((preActivation ?? y).floats, dy.floats, dh.floats, y.size);
    }
    const { dx, dw, db } = differentiateLayer(x, w, b, dh);
    return [dx, dw, db];
  };
  return record("linear", y, withoutNulls(x, w, b), backward, withoutNulls(preActivation));
}

/** The reference for linear(), composed of small ops. */
export function linearSpec(
  x: Tensor,
  w: Tensor,
  b: Tensor,
  activation: Activation = "none",
): Tensor {
  return activations[activation](add(matmul(x, transpose(w, 0, 1)), b));
}

/**
 * y = f(x w^T + b) v^T + c: two layers with an activation f between them, by default gelu.
 * x [..., in], w [hidden, in], b [hidden], v [out, hidden], c [out], y [..., out]; with swiglu
 * v [out, hidden / 2]. In backward the matmul that computes the gradient of the hidden layer
 * multiplies by f' as it stores, which saves a GPU a pass over the widest tensors of a transformer.
 * @example
 * const w = randn([8, 4]); // (hidden, in)
 * const v = randn([4, 8]); // (out, hidden)
 * console.log(mlp(randn([2, 4]), w, null, v, null, { activation: "gelu" }).shape); // [ 2, 4 ]
 */
export function mlp(
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  v: Tensor,
  c: Tensor | null,
  options: { activation?: Activation } = {},
): Tensor {
  checkOptions("mlp", options, ["activation"]);
  const { activation = "gelu" } = options;
  const code = getFusedCode("mlp", activation);
  if (code === undefined) return linear(linear(x, w, b, { activation }), v, c);
  const { y: hidden, preActivation } = computeLayer("mlp", x, w, b, code);
  const { y } = computeLayer("mlp", hidden, v, c, 0);
  const innerInputs = withoutNulls(x, w, b);
  const backward = (dy: Tensor) => {
    const outer = differentiateLayer(hidden, v, c, dy, {
      needsX: innerInputs.some((input) => input.requiresGrad),
      code,
      preActivation: preActivation ?? hidden,
    });
    const inner = outer.dx
      ? differentiateLayer(x, w, b, outer.dx)
      : { dx: null, dw: null, db: null };
    return b
      ? [inner.dx, inner.dw, inner.db, outer.dw, outer.db]
      : [inner.dx, inner.dw, outer.dw, outer.db];
  };
  const inputs = [...innerInputs, ...withoutNulls(v, c)];
  return record("mlp", y, inputs, backward, withoutNulls(hidden, preActivation));
}

/** The reference for mlp(), composed of small ops. */
export function mlpSpec(
  x: Tensor,
  w: Tensor,
  b: Tensor,
  v: Tensor,
  c: Tensor,
  activation: Activation = "gelu",
): Tensor {
  return linearSpec(linearSpec(x, w, b, activation), v, c);
}

/**
 * y = f(x w^T + b). Returns the pre-activation x w^T + b too if the derivative of f needs it.
 */
function computeLayer(
  op: string,
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  code: number,
): { y: Tensor; preActivation: Tensor | null } {
  checkTensor(op, "x", x);
  checkWeight(op, "w", w, x);
  if (w.shape.length !== 2) fail(`${op}: w has shape ${formatShape(w.shape)}, expected [out, in]`);
  const [N, K] = w.shape;
  if (x.shape.at(-1) !== K)
    fail(`${op}: x has shape ${formatShape(x.shape)}, expected [..., ${K}]`);
  if (b !== null) checkWeight(op, "b", b, x, [N]);
  const rows = x.shape.slice(0, -1);
  const y = empty(x, [...rows, N]);
  const preActivation = usesArgument.includes(code) ? empty(y) : null;
  x.device.kernels.linear(
    x.floats,
    w.floatsAs(x.dtype),
    b && b.floatsAs(x.dtype),
    preActivation && preActivation.floats,
    y.floats,
    numel(rows),
    N,
    K,
    code,
  );
  return { y, preActivation };
}

/**
 * The gradients of x, w and b from dy, the gradient of y = x w^T + b; null where none is required.
 * If x = f(h) for the activation with this code, dx is the gradient of h instead of that of x.
 */
function differentiateLayer(
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  dy: Tensor,
  options: { needsX?: boolean; code?: number; preActivation?: Tensor } = {},
): { dx: Tensor | null; dw: Tensor | null; db: Tensor | null } {
  const { needsX = x.requiresGrad, code = 0, preActivation } = options;
  const [N, K] = w.shape;
  const dx = needsX ? empty(x) : null;
  const dw = w.gradBuffer();
  const db = b && b.gradBuffer();
  x.device.kernels.linearBackward(
    x.floats,
    w.floatsAs(x.dtype),
    preActivation ? preActivation.floats : null,
    dy.floats,
    dx && dx.floats,
    dw && dw.floats,
    db && db.floats,
    numel(x.shape.slice(0, -1)),
    N,
    K,
    code,
  );
  return { dx, dw, db };
}

function withoutNulls(...tensors: (Tensor | null)[]): Tensor[] {
  return tensors.filter((x) => x !== null);
}
