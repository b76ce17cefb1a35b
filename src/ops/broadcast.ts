// Broadcasting and its derivative, without recording: shared by ops and derivatives.

import { isSameShape, isSuffix, numel, padTo, type Shape } from "../shape.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";

/** Returns x repeated to `shape`, or x itself. */
export function expandTo(x: Tensor, shape: Shape): Tensor {
  if (isSameShape(x.shape, shape)) return x;
  if (numel(shape) === 0) return empty(x, shape); // the steps on the way need not be empty
  const sizes = padTo(shape.length, x.shape);
  let y = x.detach();
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (sizes[axis] === shape[axis]) continue;
    const outer = numel(sizes.slice(0, axis));
    const inner = numel(sizes.slice(axis + 1));
    sizes[axis] = shape[axis];
    const wider = empty(y, sizes);
    y.device.kernels.expand(y.buffer, wider.buffer, outer, shape[axis], inner);
    y = replace(y, wider);
  }
  return replace(y, y.detach(shape));
}

/** Returns x summed over the axes along which `shape` was repeated, or x itself. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (isSameShape(x.shape, shape)) return x;
  if (x.size === 0) return empty(x, shape).fill(0);
  const sizes = [...x.shape];
  const target = padTo(x.shape.length, shape);
  let y = x.detach();
  for (let axis = 0; axis < sizes.length; axis++) {
    if (sizes[axis] === target[axis]) continue;
    let end = axis + 1; // adjacent axes are summed together
    while (end < sizes.length && target[end] === 1) end++;
    const n = numel(sizes.slice(axis, end));
    const outer = numel(sizes.slice(0, axis));
    const inner = numel(sizes.slice(end));
    sizes.fill(1, axis, end);
    const narrower = empty(y, sizes);
    y.device.kernels.sum(y.floats, narrower.floats, outer, n, inner);
    y = replace(y, narrower);
  }
  return replace(y, y.detach(shape));
}

/** Returns x as elementwise kernels take it: they repeat a suffix of `shape` themselves. */
export function tile(x: Tensor, shape: Shape): Tensor {
  return isSuffix(x.shape, shape) ? x.detach() : expandTo(x, shape);
}

/** Frees a tensor and returns its replacement. */
function replace(old: Tensor, replacement: Tensor): Tensor {
  old.free("replaced");
  return replacement;
}
