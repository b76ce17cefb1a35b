// Checks of the sizes of the model and of the batches in the configuration of a run.

import { UsageError } from "../errors.ts";
import type { GPTOptions } from "../gpt/config.ts";

type Sizes = Pick<GPTOptions, "nEmbd" | "nHead" | "nKvHead" | "headDim" | "blockSize"> &
  Pick<GPTOptions, "qkNorm" | "qkNormWeight"> & { batchSize: number };

/** The most tokens in one batch. More, from a damaged config.json, would fill the memory. */
const MAX_BATCH_TOKENS = 2 ** 24;

/** Throws a UsageError if sizes do not fit together; its message begins with `source`. */
export function checkSizes(source: string, config: Sizes): void {
  const { nEmbd, nHead, nKvHead = nHead, headDim, qkNorm, qkNormWeight } = config;
  if (headDim === undefined && nEmbd % nHead !== 0)
    throw new UsageError(`${source}: nEmbd is ${nEmbd}, expected a multiple of nHead, ${nHead}`);
  if (nHead % nKvHead !== 0)
    throw new UsageError(`${source}: nKvHead is ${nKvHead}, expected a divisor of nHead, ${nHead}`);
  if (qkNormWeight && !qkNorm)
    throw new UsageError(`${source}: qkNormWeight is true, expected qkNorm true as well`);
  const { batchSize, blockSize } = config;
  if (batchSize * blockSize > MAX_BATCH_TOKENS)
    throw new UsageError(
      `${source}: batchSize is ${batchSize}: batches have ${batchSize * blockSize} tokens, ` +
        `expected at most ${MAX_BATCH_TOKENS}`,
    );
}
