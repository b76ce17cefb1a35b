// Position embeddings, which are added to the token embeddings.

import { Embedding, rotaryTable, sinusoidalTable } from "../nn/index.ts";
import { zeros } from "../ops/creation.ts";
import { mul } from "../ops/elementwise.ts";
import { embedding, slice, to } from "../ops/movement.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GPTConfig } from "./config.ts";
import type { KVCache } from "./kv-cache.ts";

type PositionConfig = Pick<GPTConfig, "positions" | "blockSize" | "nEmbd">;

/**
 * Creates the table of position embeddings [blockSize, C]: learned (0 until initWeights()), fixed
 * sinusoids, or null for positions that are not added.
 */
export function positionTable({ positions, blockSize, nEmbd }: PositionConfig): Embedding | null {
  if (positions === "learned") return new Embedding(blockSize, nEmbd, { init: zeros });
  if (positions === "sinusoidal")
    return new Embedding(blockSize, nEmbd, { init: scaledSinusoids, fixed: true });
  return null;
}

/** Creates the table of rotary positions [blockSize, headDim]; null if positions are not rotary. */
export function rotaryPositions(config: GPTConfig): Tensor | null {
  const { positions, blockSize, headDim, ropeTheta: theta, ropeScaling: scaling } = config;
  return positions === "rotary" ? rotaryTable(blockSize, headDim, { theta, scaling }) : null;
}

/** Creates sinusoids with the root mean square of initial token embeddings, 0.02. */
function scaledSinusoids([length, size]: number[]): Tensor {
  return mul(sinusoidalTable(length, size), 0.02 * Math.SQRT2);
}

/** Returns the rows of the table for the positions from `start` to `end` - 1. (T, C) */
export function positionRows(
  { weight, dtype }: Embedding,
  start: number,
  end: number,
  cache?: KVCache,
): Tensor {
  // a single token's position is read on the device, so that a captured step can be replayed
  if (cache && end - start === 1) return embedding(cache.length, weight, { dtype });
  if (cache) weight.device.captureLog?.assume(() => cache.used === start);
  return to(slice(weight, { dim: 0, start, end }), dtype);
}
