// Token shift: each token passes a part of itself on to the next one.

import { record } from "../autograd.ts";
import { fail } from "../errors.ts";
import { formatShape } from "../shape.ts";
import { checkFloats, checkSameKind, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { zeros } from "./creation.ts";
import { add, mul } from "./elementwise.ts";
import { cat, slice, to } from "./movement.ts";

/**
 * y_t = x_t + w x_(t-1) for each channel; x_(-1) is `previous` [B, 1, C], or 0. x, y [B, T, C];
 * w [C]. After Peng et al. (2023), "RWKV", section 3.
 */
export function tokenShift(x: Tensor, w: Tensor, previous: Tensor | null = null): Tensor {
  checkFloats("tokenShift", "x", x);
  const [B, T, C] = x.shape;
  if (x.shape.length !== 3)
    fail(`tokenShift: x has shape ${formatShape(x.shape)}, expected [B, T, C]`);
  checkWeight("tokenShift", "w", w, x, [C]);
  if (previous) checkSameKind("tokenShift", "previous", previous, x, [B, 1, C]);
  const { kernels } = x.device;
  const y = empty(x);
  kernels.tokenShift(x.floats, w.floatsAs(x.dtype), previous && previous.floats, y.floats, B, T, C);
  const backward = (dy: Tensor) => {
    const dx = empty(x);
    const dw = w.gradBuffer();
    kernels.tokenShiftBackward(
      x.floats,
      w.floatsAs(x.dtype),
      previous && previous.floats,
      dy.floats,
      dx.floats,
      dw && dw.floats,
      B,
      T,
      C,
    );
    if (!previous) return [dx, dw];
    const first = slice(dy, { dim: 1, end: 1 }); // (B, 1, C)
    return [dx, dw, previous.requiresGrad ? mul(first, to(w, x.dtype)) : null];
  };
  return record("tokenShift", y, previous ? [x, w, previous] : [x, w], backward);
}

/** The reference for tokenShift(), composed of small ops. */
export function tokenShiftSpec(x: Tensor, w: Tensor, previous?: Tensor): Tensor {
  const [B, , C] = x.shape;
  const first = previous ?? zeros([B, 1, C], { device: x.device, dtype: x.dtype });
  return add(x, mul(cat([first, slice(x, { dim: 1, end: -1 })], { dim: 1 }), w));
}
