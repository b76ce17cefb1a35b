// Matrix products. The derivative of a product is two products: of dy with each operand transposed,
// which costs no transposition, since the kernel takes its operands either way.

import type { Floats } from "../device.ts";
import { broadcast, expectOptions, fail, same, show, sizeOf } from "../shape.ts";
import { expectPeer, expectTensor, expectWeight } from "../tensor/ndarray.ts";
import { empty, record, type Tensor } from "../tensor.ts";
import { expandTo, sumTo } from "./broadcast.ts";
import { add, gelu, mul, relu, silu, tanh } from "./elementwise.ts";
import { reshape, split, transpose } from "./movement.ts";

/**
 * c = a b over the last two axes; the axes before them are batches and broadcast. a [..., M, K],
 * b [..., K, N], c [..., M, N]. A vector counts as a row on the left, a column on the right.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  expectTensor("matmul", "a", a);
  expectPeer("matmul", "b", b, a);
  const [aRank, bRank] = [a.shape.length, b.shape.length];
  if (aRank === 0 || bRank === 0) fail("matmul: an operand is a scalar, expected a matrix");
  if (aRank === 1) {
    const c = matmul(reshape(a, [1, -1]), b);
    return reshape(c, [
      ...c.shape.slice(0, bRank === 1 ? -1 : -2),
      ...c.shape.slice(bRank === 1 ? 1 : -1),
    ]);
  }
  if (bRank === 1) {
    const c = matmul(a, reshape(b, [-1, 1]));
    return reshape(c, c.shape.slice(0, -1));
  }
  const [M, K] = a.shape.slice(-2);
  const N = b.shape[bRank - 1];
  if (b.shape[bRank - 2] !== K)
    fail(`matmul: b has shape ${show(b.shape)}, expected [..., ${K}, N] beside a ${show(a.shape)}`);
  const batch = broadcast("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const c = product(a, b, [...batch, M, N]);
  return record("matmul", c, [a, b], (dy) => [
    a.requiresGrad && product(dy, b, a.shape, { transB: true }),
    b.requiresGrad && product(a, dy, b.shape, { transA: true }),
  ]);
}

/** y = silu(a) b, a and b being the halves of x.  x [..., 2n], y [..., n]. Shazeer (2020). */
export function swiglu(x: Tensor): Tensor {
  expectTensor("swiglu", "x", x);
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

/** Room for the gradients of a layer that are wanted, and the same as kernels take it. */
export function layerGrads(x: Tensor, w: Tensor, b: Tensor | null) {
  const dx = x.requiresGrad && empty(x);
  const dw = w.requiresGrad && w.emptyGrad();
  const db = b !== null && b.requiresGrad && b.emptyGrad();
  const floats = (each: Tensor | false): Floats | null => (each ? each.floats : null);
  const wanted = [floats(dx), floats(dw), floats(db)] as const;
  return { grads: b ? [dx, dw, db] : [dx, dw], wanted };
}

/** Those that a kernel applies itself, by their numbers there. */
const fused: Partial<Record<Activation, number>> = { none: 0, relu: 1, gelu: 2, "gelu-tanh": 3 };

/** The number of an activation for kernels; undefined if it takes an op of its own. */
export function codeOf(op: string, activation: Activation): number | undefined {
  if (!Object.hasOwn(activations, activation))
    fail(`${op}: activation is ${activation}, expected ${Object.keys(activations).join(", ")}`);
  return fused[activation];
}

/**
 * y = f(x w^T + b), f being the activation, by default none.  x [..., in], w [out, in], b [out],
 * y [..., out], for swiglu [..., out / 2]
 */
export function linear(
  x: Tensor,
  w: Tensor,
  b: Tensor | null = null,
  options: { activation?: Activation } = {},
): Tensor {
  expectOptions("linear", options, ["activation"]);
  const { activation = "none" } = options;
  const code = codeOf("linear", activation);
  if (code === undefined) return activate(linear(x, w, b), activation);
  expectTensor("linear", "x", x);
  expectWeight("linear", "w", w, x);
  if (w.shape.length !== 2) fail(`linear: w has shape ${show(w.shape)}, expected [out, in]`);
  const [N, K] = w.shape;
  if (x.shape.at(-1) !== K) fail(`linear: x has shape ${show(x.shape)}, expected [..., ${K}]`);
  if (b !== null) expectWeight("linear", "b", b, x, [N]);
  const M = K === 0 ? sizeOf(x.shape.slice(0, -1)) : x.size / K;
  const { kernels } = x.device;
  const y = empty(x, [...x.shape.slice(0, -1), N]);
  const h = code > 1 ? empty(y) : null; // relu's derivative needs y only
  const results = [h && h.floats, y.floats] as const;
  const inputs = () => [x.floats, w.floatsLike(x)] as const;
  kernels.linear(...inputs(), b && b.floatsLike(x), ...results, M, N, K, code);
  const backward = (dy: Tensor) => {
    const { grads, wanted } = layerGrads(x, w, b);
    const [from, dh] = code ? [(h ?? y).floats, empty(y).floats] : [null, null];
    kernels.linearBackward(...inputs(), from, dy.floats, dh, ...wanted, M, N, K, code);
    return grads;
  };
  return record("linear", y, b ? [x, w, b] : [x, w], backward, h ? [h] : []);
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
 * op(a) op(b), unrecorded, summed down to `shape` where a batch was broadcast. A matrix that a
 * whole batch shares is multiplied once with all rows of the batch: the gradient of a weight never
 * becomes [batch, K, N].
 */
function product(
  a: Tensor,
  b: Tensor,
  shape: readonly number[],
  { transA = false, transB = false } = {},
): Tensor {
  const [M, N] = [a.shape.at(transA ? -1 : -2) as number, b.shape.at(transB ? -2 : -1) as number];
  const K = a.shape.at(transA ? -2 : -1) as number;
  const [aBatch, bBatch] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const batch = broadcast("matmul", aBatch, bBatch);
  const { kernels } = a.device;
  const count = sizeOf(batch);
  if (!transA && sizeOf(bBatch) === 1) {
    const c = empty(a, [...batch, M, N]); // all rows of the batch against the one b
    kernels.matmul(a.floats, b.floats, c.floats, 1, count * M, N, K, 0, 0, false, transB, false);
    return sumTo(c, shape);
  }
  if (transA && sizeOf(shape.slice(0, -2)) === 1 && same(aBatch, bBatch)) {
    const c = empty(a, shape); // the sum over the batch is part of the sum over rows
    kernels.matmul(a.floats, b.floats, c.floats, 1, M, N, count * K, 0, 0, true, transB, false);
    return c;
  }
  const whole = (x: Tensor, own: readonly number[]) =>
    sizeOf(own) === 1 || same(own, batch)
      ? x.detach()
      : expandTo(x, [...batch, ...x.shape.slice(-2)]);
  const [p, q] = [whole(a, aBatch), whole(b, bBatch)];
  const [aStep, bStep] = [p.size === M * K ? 0 : M * K, q.size === K * N ? 0 : K * N];
  const c = empty(a, [...batch, M, N]);
  kernels.matmul(p.floats, q.floats, c.floats, count, M, N, K, aStep, bStep, transA, transB, false);
  for (const each of [p, q]) each.free("an operand of matmul");
  return sumTo(c, shape);
}
