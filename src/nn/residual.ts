// The residual stream of a transformer: x, then x + branch, and so on. Each branch starts with a
// norm of the sum, so the addition waits for that norm, and one kernel does both.

import { add } from "../ops/elementwise.ts";
import { dropout } from "../ops/random.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Computes x + dropout(branch, p) and its norm, in one kernel. */
export type AddAndNormalize = (
  x: Tensor,
  branch: Tensor,
  p: number,
) => [sum: Tensor, normalized: Tensor];

/**
 * A sum of tensors [..., C] whose last addition may still be pending.
 * @example
 * const stream = new nn.ResidualStream(tensor([1, 2])).add(tensor([3, 4]));
 * console.log(stream.sum().toArray()); // [ 4, 6 ]
 */
export class ResidualStream {
  #x: Tensor;
  #branch: Tensor | null = null;
  #dropout = 0;

  constructor(x: Tensor) {
    this.#x = x;
  }

  /** Returns the stream x + dropout(branch); the next norm, or sum(), computes it. */
  add(branch: Tensor, options: { dropout?: number } = {}): ResidualStream {
    const next = new ResidualStream(this.sum());
    next.#branch = branch;
    next.#dropout = options.dropout ?? 0;
    return next;
  }

  /** Returns x plus all branches as a tensor. */
  sum(): Tensor {
    if (this.#branch) {
      this.#x = add(this.#x, dropout(this.#branch, { p: this.#dropout }));
      this.#branch = null;
    }
    return this.#x;
  }

  /** Returns the norm of the sum: by `fused` if an addition is pending, otherwise by `norm`. */
  normalize(norm: (x: Tensor) => Tensor, fused: AddAndNormalize): Tensor {
    if (!this.#branch) return norm(this.#x);
    const [sum, normalized] = fused(this.#x, this.#branch, this.#dropout);
    this.#x = sum;
    this.#branch = null;
    return normalized;
  }
}
