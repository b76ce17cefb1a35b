// Matrix multiplication. Its derivative is two matmuls, of dy with each operand transposed; nothing
// is transposed in memory, since the kernel takes its operands either way.

import { record } from "../autograd.ts";
import { fail } from "../errors.ts";
import { broadcast, formatShape, isSameShape, numel } from "../shape.ts";
import { checkFloats, checkSameKind } from "../tensor/ndarray.ts";
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
  checkFloats("matmul", "a", a);
  checkSameKind("matmul", "b", b, a);
  const aRank = a.shape.length;
  const bRank = b.shape.length;
  if (aRank === 0 || bRank === 0) fail("matmul: an operand is a scalar, expected a matrix");
  if (aRank === 1) {
    const c = matmul(reshape(a, [1, -1]), b); // [..., 1, N], or [1] if b is a vector too
    return reshape(c, bRank === 1 ? [] : [...c.shape.slice(0, -2), ...c.shape.slice(-1)]);
  }
  if (bRank === 1) {
    const c = matmul(a, reshape(b, [-1, 1]));
    return reshape(c, c.shape.slice(0, -1));
  }
  const [M, K] = a.shape.slice(-2);
  const N = b.shape[bRank - 1];
  if (b.shape[bRank - 2] !== K)
    fail(
      `matmul: b has shape ${formatShape(b.shape)}, ` +
        `expected [..., ${K}, N] with a ${formatShape(a.shape)}`,
    );
  const batch = broadcast("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const c = multiply(a, b, [...batch, M, N]);
  return record("matmul", c, [a, b], (dy) => [
    a.requiresGrad && multiply(dy, b, a.shape, { transB: true }),
    b.requiresGrad && multiply(a, dy, b.shape, { transA: true }),
  ]);
}

/**
 * Returns op(a) op(b) without recording, summed to `shape` where a batch was broadcast. A matrix
 * that a whole batch shares is multiplied once with the rows of all batches, so the gradient of a
 * weight is never as large as [batch, K, N].
 */
function multiply(
  a: Tensor,
  b: Tensor,
  shape: readonly number[],
  { transA = false, transB = false } = {},
): Tensor {
  const M = a.shape.at(transA ? -1 : -2) as number;
  const N = b.shape.at(transB ? -2 : -1) as number;
  const K = a.shape.at(transA ? -2 : -1) as number;
  const aBatch = a.shape.slice(0, -2);
  const bBatch = b.shape.slice(0, -2);
  const batch = broadcast("matmul", aBatch, bBatch);
  const { kernels } = a.device;
  const count = numel(batch);
  if (!transA && numel(bBatch) === 1) {
    const c = empty(a, [...batch, M, N]); // the rows of all batches times the one b
    kernels.matmul(a.floats, b.floats, c.floats, 1, count * M, N, K, 0, 0, false, transB, false);
    return sumTo(c, shape);
  }
  if (transA && numel(shape.slice(0, -2)) === 1 && isSameShape(aBatch, bBatch)) {
    const c = empty(a, shape); // the sum over the batch is part of the sum over rows
    kernels.matmul(a.floats, b.floats, c.floats, 1, M, N, count * K, 0, 0, true, transB, false);
    return c;
  }
  const expandBatch = (x: Tensor, xBatch: readonly number[]) =>
    numel(xBatch) === 1 || isSameShape(xBatch, batch)
      ? x.detach()
      : expandTo(x, [...batch, ...x.shape.slice(-2)]);
  const aExpanded = expandBatch(a, aBatch);
  const bExpanded = expandBatch(b, bBatch);
  const c = empty(a, [...batch, M, N]);
  kernels.matmul(
    aExpanded.floats,
    bExpanded.floats,
    c.floats,
    count,
    M,
    N,
    K,
    aExpanded.size === M * K ? 0 : M * K, // the distance between matrices; 0 shares one
    bExpanded.size === K * N ? 0 : K * N,
    transA,
    transB,
    false,
  );
  aExpanded.free("an operand of matmul");
  bExpanded.free("an operand of matmul");
  return sumTo(c, shape);
}
