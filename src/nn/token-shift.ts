// Token shift: a layer sees the token before each token without attention.

import { checkSize, fail } from "../errors.ts";
import { zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { cat, slice, to } from "../ops/movement.ts";
import { checkShape, formatShape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Module, parameter } from "./module.ts";

/**
 * y_t = x_t + weight x_(t-1) for each channel, with x_(-1) = 0. Token shift of Peng et al. (2023),
 * "RWKV", section 3, as an addition: the weight starts at 0, so that the layer starts as the
 * identity.
 * @example
 * const layer = new nn.TokenShift(4);
 * console.log(layer.forward(randn([1, 3, 4])).shape); // [ 1, 3, 4 ]
 */
export class TokenShift extends Module {
  /** [size], 0 at first. */
  readonly weight: Tensor;

  constructor(size: number) {
    super();
    checkSize("TokenShift", "size", size);
    this.weight = parameter(zeros([size]));
  }

  override extraRepr(): string {
    return String(this.weight.size);
  }

  /**
   * x [B, T, size] to [B, T, size]. When a text is processed in pieces, `previous` [B, 1, size] is
   * the last token of the piece before, 0 at the start; it becomes the last token of x.
   */
  forward(x: Tensor, previous?: Tensor): Tensor {
    checkTensor("TokenShift", "x", x);
    const C = this.weight.size;
    const [B] = x.shape;
    if (x.shape.length !== 3 || x.shape[2] !== C)
      fail(`TokenShift: x has shape ${formatShape(x.shape)}, expected [B, T, ${C}]`);
    if (previous) checkShape("TokenShift", "previous", previous.shape, [B, 1, C]);
    const first = previous ?? zeros([B, 1, C], { device: x.device, dtype: x.dtype });
    const shifted = cat([first, slice(x, { dim: 1, end: -1 })], { dim: 1 }); // (B, T, C)
    const y = add(x, mul(shifted, to(this.weight, x.dtype)));
    previous?.assign(slice(x.detach(), { dim: 1, start: -1 }));
    return y;
  }
}
