// Broadcasting and its reverse, on plain values (nothing is recorded): what ops and derivatives
// share.

import { isTail, padTo, type Shape, same, sizeOf } from "../shape.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";

/** x repeated until it has `shape`; x itself if it has. */
export function expandTo(x: Tensor, shape: Shape): Tensor {
  if (same(x.shape, shape)) return x;
  const sizes = padTo(shape.length, x.shape);
  let y = x.detach();
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (sizes[axis] === shape[axis]) continue;
    const [outer, inner] = [sizeOf(sizes.slice(0, axis)), sizeOf(sizes.slice(axis + 1))];
    sizes[axis] = shape[axis];
    const wider = empty(y, sizes);
    y.device.kernels.expand(y.buffer, wider.buffer, outer, shape[axis], inner);
    y = replace(y, wider);
  }
  return replace(y, y.detach(shape));
}

/**
 * x summed over every axis along which `shape` was repeated: broadcasting's derivative. x if none
 * was.
 */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (same(x.shape, shape)) return x;
  const sizes = [...x.shape];
  const target = padTo(x.shape.length, shape);
  let y = x.detach();
  for (let axis = 0; axis < sizes.length; axis++) {
    if (sizes[axis] === target[axis]) continue;
    let end = axis + 1; // neighbouring axes are summed in one go
    while (end < sizes.length && target[end] === 1) end++;
    const n = sizeOf(sizes.slice(axis, end));
    const [outer, inner] = [sizeOf(sizes.slice(0, axis)), sizeOf(sizes.slice(end))];
    sizes.fill(1, axis, end);
    const narrower = empty(y, sizes);
    y.device.kernels.sum(y.floats, narrower.floats, outer, n, inner);
    y = replace(y, narrower);
  }
  return replace(y, y.detach(shape));
}

/**
 * x as an elementwise kernel takes it: any tail of `shape` repeats by itself, the rest is expanded.
 */
export function tile(x: Tensor, shape: Shape): Tensor {
  return isTail(x.shape, shape) ? x.detach() : expandTo(x, shape);
}

function replace(old: Tensor, now: Tensor): Tensor {
  old.free("replaced");
  return now;
}
