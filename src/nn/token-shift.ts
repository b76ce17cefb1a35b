// Token shift: a layer sees the token before each token without attention.

import { checkSize } from "../errors.ts";
import { zeros } from "../ops/creation.ts";
import { slice } from "../ops/movement.ts";
import { tokenShift } from "../ops/token-shift.ts";
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
    const y = tokenShift(x, this.weight, previous);
    previous?.assign(slice(x.detach(), { dim: 1, start: -1 }));
    return y;
  }
}
