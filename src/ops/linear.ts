// Layers as ops: a product with a weight, a bias, and the activation, all in one pass over the
// result; and two such layers in a row.

import { record } from "../autograd.ts";
import type { Floats } from "../backend/device.ts";
import { checkOptions, fail } from "../errors.ts";
import { show, sizeOf } from "../shape.ts";
import { checkTensor, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { gelu, relu, silu, tanh } from "./activations.ts";
import { add, mul } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { split, transpose } from "./movement.ts";

/**
 * y = silu(a) b, a and b being the halves of x.  x [..., 2n], y [..., n]. Shazeer (2020).
 * @example
 * console.log(swiglu(randn([2, 6])).shape); // [ 2, 3 ]
 */
export function swiglu(x: Tensor): Tensor {
  checkTensor("swiglu", "x", x);
  const width = x.shape.at(-1) ?? 1;
  if (width % 2 !== 0) fail(`swiglu: x has shape ${show(x.shape)}, expected [..., 2n]`);
  const [a, b] = split(x, width / 2, { dim: -1 });
  return mul(silu(a), b);
}

/** What linear() may end in, as functions of their own. */
const activations = {
  none: (x: Tensor) => x,
  relu,
  gelu: (x: Tensor) => gelu(x),
  "gelu-tanh": (x: Tensor) => gelu(x, { approximate: "tanh" }),
  silu,
  tanh,
  swiglu,
};
export type Activation = keyof typeof activations;

/** y = f(x), f being an activation by its name. */
export function activate(x: Tensor, activation: Activation): Tensor {
  return activations[activation](x);
}

/** Those that a kernel applies itself, by their numbers there; and the kernels of their slopes. */
const fused: Partial<Record<Activation, number>> = { none: 0, relu: 1, gelu: 2, "gelu-tanh": 3 };
const slopes = [null, "reluBackward", "geluBackward", "geluTanhBackward"] as const;

/** The number of an activation for kernels; undefined if it takes an op of its own. */
export function codeOf(op: string, activation: Activation): number | undefined {
  if (!Object.hasOwn(activations, activation))
    fail(`${op}: activation is ${activation}, expected ${Object.keys(activations).join(", ")}`);
  return fused[activation];
}

/**
 * y = f(x w^T + b), f being the activation, by default none.  x [..., in], w [out, in], b [out],
 * y [..., out], for swiglu [..., out / 2]
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
  const code = codeOf("linear", activation);
  if (code === undefined) return activate(linear(x, w, b), activation);
  const { y, h } = forward("linear", { x, w, b }, code);
  const slope = slopes[code];
  const passBack = (dy: Tensor) => {
    const dh = slope ? empty(y) : dy;
    if (slope) x.device.kernels[slope]((h ?? y).floats, dy.floats, dh.floats, y.size);
    return backward({ x, w, b }, dh).grads;
  };
  return record("linear", y, present(x, w, b), passBack, present(h));
}

export function linearSpec(
  x: Tensor,
  w: Tensor,
  b: Tensor,
  activation: Activation = "none",
): Tensor {
  return activations[activation](add(matmul(x, transpose(w, 0, 1)), b));
}

/**
 * y = f(x w^T + b) v^T + c: two layers, and f between them, by default gelu. What flows back is
 * multiplied by f' as the product that gives it is stored, which spares a GPU a pass over the
 * widest tensors there are.  x [..., in], w [hidden, in], b [hidden], v [out, hidden], c [out],
 * y [..., out]; for swiglu v is [out, hidden / 2]
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
  const code = codeOf("mlp", activation);
  if (code === undefined) return linear(linear(x, w, b, { activation }), v, c);
  const { y: a, h } = forward("mlp", { x, w, b }, code);
  const { y } = forward("mlp", { x: a, w: v, b: c }, 0);
  const first = present(x, w, b);
  const passBack = (dy: Tensor) => {
    const wantsX = first.some((each) => each.requiresGrad);
    const outer = backward({ x: a, w: v, b: c }, dy, { wantsX, code, slopesOf: h ?? a });
    const inner = outer.dx
      ? backward({ x, w, b }, outer.dx).grads
      : first.map(() => false as const);
    return [...inner, ...outer.grads.slice(1)];
  };
  return record("mlp", y, [...first, ...present(v, c)], passBack, present(a, h));
}

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

interface Layer {
  x: Tensor;
  w: Tensor;
  b: Tensor | null;
}

/** y = f(h), h = x w^T + b; h itself is kept if f' is written in it: relu's is written in y. */
function forward(op: string, { x, w, b }: Layer, code: number): { y: Tensor; h: Tensor | null } {
  checkTensor(op, "x", x);
  checkWeight(op, "w", w, x);
  if (w.shape.length !== 2) fail(`${op}: w has shape ${show(w.shape)}, expected [out, in]`);
  const [N, K] = w.shape;
  if (x.shape.at(-1) !== K) fail(`${op}: x has shape ${show(x.shape)}, expected [..., ${K}]`);
  if (b !== null) checkWeight(op, "b", b, x, [N]);
  const rows = x.shape.slice(0, -1);
  const y = empty(x, [...rows, N]);
  const h = code > 1 ? empty(y) : null;
  const inputs = [x.floats, w.floatsAs(x.dtype), b && b.floatsAs(x.dtype)] as const;
  x.device.kernels.linear(...inputs, h && h.floats, y.floats, sizeOf(rows), N, K, code);
  return { y, h };
}

/** The gradients of a layer, from that of its result; where x = f(h), that of h in place of x's. */
function backward(
  { x, w, b }: Layer,
  dy: Tensor,
  { wantsX = x.requiresGrad, code = 0, slopesOf = null as Tensor | null } = {},
) {
  const [N, K] = w.shape;
  const { wanted, ...grads } = layerGrads(x, w, b, wantsX);
  const inputs = [x.floats, w.floatsAs(x.dtype), slopesOf && slopesOf.floats, dy.floats] as const;
  const rows = sizeOf(x.shape.slice(0, -1));
  x.device.kernels.linearBackward(...inputs, ...wanted, rows, N, K, code);
  return grads;
}

/** Room for the gradients of a layer that are wanted, and the same as kernels take it. */
export function layerGrads(x: Tensor, w: Tensor, b: Tensor | null, wantsX = x.requiresGrad) {
  const dx = wantsX && empty(x);
  const dw = w.requiresGrad && w.gradBuffer();
  const db = b !== null && b.requiresGrad && b.gradBuffer();
  const floats = (each: Tensor | false): Floats | null => (each ? each.floats : null);
  const wanted = [floats(dx), floats(dw), floats(db)] as const;
  return { dx, grads: b ? [dx, dw, db] : [dx, dw], wanted };
}

/** Those that are there. */
function present(...tensors: (Tensor | null)[]): Tensor[] {
  return tensors.filter((each) => each !== null);
}
