// Matrix products. The derivative of a product is two products: of dy with each operand transposed,
// which costs no transposition, since the kernel takes its operands either way.

import { record } from "../autograd.ts";
import { fail } from "../errors.ts";
import { broadcast, same, show, sizeOf } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { expandTo, sumTo } from "./broadcast.ts";
import { reshape } from "./movement.ts";

/**
 * c = a b over the last two axes; the axes before them are batches and broadcast. a [..., M, K],
 * b [..., K, N], c [..., M, N]. A vector counts as a row on the left, a column on the right.
 * @example
 * const a = tensor([[1, 2], [3, 4]]);
 * console.log(matmul(a, a).toArray()); // [ [ 7, 10 ], [ 15, 22 ] ]
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkTensor("matmul", "a", a);
  checkSameKind("matmul", "b", b, a);
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
