// The KV cache: keys and values of past tokens, so that each step processes only the new token.

import type { Device, DType } from "../backend/device.ts";
import { fail } from "../errors.ts";
import type { Past } from "../nn/index.ts";
import { full, zeros } from "../ops/creation.ts";
import { formatCount, inspectSymbol } from "../printing.ts";
import { keep } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GPTConfig } from "./config.ts";

/** The state of a block after earlier tokens. */
export interface BlockPast extends Past {
  /** With tokenShift, the inputs of attention and MLP for the last token [B, 1, C] each. */
  readonly inputs?: readonly [attention: Tensor, mlp: Tensor];
}

/** A cache with a fixed capacity of blockSize tokens. Appending a token copies no others. */
export class KVCache {
  readonly layers: readonly BlockPast[]; // one per block; all share `length`
  readonly length: Tensor; // [] of i32, on the device: the position of the next token
  #used = 0;

  constructor(
    { nLayer, nKvHead, headDim, nEmbd, blockSize, tokenShift }: GPTConfig,
    { device, dtype = "f32", batch = 1 }: { device: Device; dtype?: DType; batch?: number },
  ) {
    const length = keep(full([], 0, { dtype: "i32", device }));
    const rows = (count: number, size: number) =>
      keep(zeros([batch, count, size], { device, dtype }));
    this.layers = Array.from({ length: nLayer }, () => ({
      kv: rows(blockSize, 2 * nKvHead * headDim),
      length,
      inputs: tokenShift ? ([rows(1, nEmbd), rows(1, nEmbd)] as const) : undefined,
    }));
    this.length = length;
  }

  /** The number of tokens in the cache. */
  get used(): number {
    return this.#used;
  }

  /** Counts tokens that all blocks have appended. Must be called after each forward pass. */
  advance(tokens: number): void {
    if (this.length.device.isInsideStep) fail("advance: inside a captured step; call it outside");
    this.#used += tokens;
    this.length.fill(this.#used);
  }

  /** Returns the text that console.log() prints: the sizes and the number of tokens. */
  toString(): string {
    const [{ kv }] = this.layers;
    const [batch, capacity] = kv.shape;
    const count = formatCount(this.layers.length, "layer");
    return `KVCache(${count}, batch=${batch}, ${this.#used} of ${capacity} tokens, ${kv.dtype})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Forgets all tokens. */
  clear(): void {
    this.advance(-this.#used);
    for (const { inputs = [] } of this.layers) for (const input of inputs) input.fill(0);
  }
}
