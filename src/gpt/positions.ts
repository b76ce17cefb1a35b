// What is added to a token for the place where it stands.

import { Embedding, sinusoidalTable } from "../nn/index.ts";
import { zeros } from "../ops/creation.ts";
import { mul } from "../ops/elementwise.ts";
import { embedding, slice, to } from "../ops/movement.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GPTConfig } from "./config.ts";
import type { KVCache } from "./kv-cache.ts";

type Sizes = Pick<GPTConfig, "positions" | "blockSize" | "nEmbd">;

/** The table of places [blockSize, C]: learned (0 until it is drawn), computed, or none. */
export function positionTable({ positions, blockSize, nEmbd }: Sizes): Embedding | null {
  if (positions === "learned") return new Embedding(blockSize, nEmbd, { init: zeros });
  if (positions === "sinusoidal")
    return new Embedding(blockSize, nEmbd, { init: waves, fixed: true });
  return null;
}

/** Sinusoids as large as the tokens' embeddings are at first, which they would drown else. */
function waves([places, size]: number[]): Tensor {
  return mul(sinusoidalTable(places, size), 0.02 * Math.SQRT2);
}

/** The table's rows of tokens `start` to `end` - 1 (T, C). */
export function positionRows(
  { weight, dtype }: Embedding,
  start: number,
  end: number,
  cache?: KVCache,
): Tensor {
  // one token: its place is on the device, for a captured step
  if (cache && end - start === 1) return embedding(cache.length, weight, { dtype });
  return to(slice(weight, { dim: 0, start, end }), dtype);
}
