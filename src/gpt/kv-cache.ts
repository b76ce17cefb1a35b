// The keys and values of the tokens that a model has read: a new token need not read them again.

import type { Device, DType } from "../backend/device.ts";
import type { Past } from "../nn/index.ts";
import { full, zeros } from "../ops/creation.ts";
import { keep } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GPTConfig } from "./config.ts";

/** Has its whole capacity, blockSize, from the start: a token neither copies nor resizes it. */
export class KVCache {
  readonly layers: readonly Past[]; // of one block each, with the same length
  readonly length: Tensor; // [] of i32, on the device: the place of the next token
  #used = 0;

  constructor(
    { nLayer, nEmbd, blockSize }: GPTConfig,
    { device, dtype = "f32", batch = 1 }: { device: Device; dtype?: DType; batch?: number },
  ) {
    const length = keep(full([], 0, { dtype: "i32", device }));
    const layer = () => ({
      kv: keep(zeros([batch, blockSize, 2 * nEmbd], { device, dtype })),
      length,
    });
    this.layers = Array.from({ length: nLayer }, layer);
    this.length = length;
  }

  /** How many tokens it holds. */
  get used(): number {
    return this.#used;
  }

  /** Counts tokens that all blocks have now read: to be called after each piece. */
  advance(tokens: number): void {
    this.#used += tokens;
    this.length.fill(this.#used);
  }

  clear(): void {
    this.advance(-this.#used);
  }
}
