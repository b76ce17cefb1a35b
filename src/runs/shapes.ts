// The names and shapes of the weights in a checkpoint, derived from the run's configuration alone.

import { checkShapes, gptShapes, type NamedShape } from "../gpt/shapes.ts";
import { type Bits, quantizedShapes } from "../ops/quantized.ts";
import type { Shape } from "../shape.ts";
import type { TrainConfig } from "../train/config.ts";

/**
 * Throws unless the header of a checkpoint's weights lists exactly the tensors that the run's
 * configuration describes. It costs nothing next to building the model, however large the model is
 * that a damaged config.json describes. `bits` is that of a quantized checkpoint.
 */
export function checkWeightShapes(
  found: readonly NamedShape[],
  config: TrainConfig,
  vocabSize: number,
  bits?: Bits,
): void {
  const maxBlocks = found.length + 1; // one more than could exist
  const shapes = checkpointShapes({ ...config, vocabSize }, maxBlocks);
  const expected = bits ? quantizeShapes(shapes, bits) : shapes;
  checkShapes(found, expected, "config.json and tokenizer.json", (problem) => {
    throw new Error(problem);
  });
}

function checkpointShapes(
  config: TrainConfig & { vocabSize: number },
  maxBlocks: number,
): Map<string, Shape> {
  const { model, vocabSize, freeze = 0, loraRank, qkvBias = config.bias } = config;
  if (model === "bigram")
    return new Map([["token_embedding_table.weight", [vocabSize, vocabSize]]]);
  if (loraRank === undefined) return gptShapes({ ...config, qkvBias }, maxBlocks);
  // with adapters, a checkpoint holds only those of the blocks that are not frozen
  const shapes = new Map<string, Shape>();
  const block = [...gptShapes({ ...config, qkvBias, nLayer: 1 })];
  const matrices = block.filter(([name, { length }]) => name.startsWith("h.0.") && length === 2);
  for (let i = freeze; i < Math.min(config.nLayer, freeze + maxBlocks); i++) {
    for (const [name, [outputs, inputs]] of matrices) {
      const layer = name.replace("h.0.", `h.${i}.`).replace(/\.weight$/, "");
      shapes.set(`${layer}.lora_A`, [loraRank, inputs]);
      shapes.set(`${layer}.lora_B`, [outputs, loraRank]);
    }
  }
  return shapes;
}

/** Returns the shapes after quantization: that of each matrix, except for position embeddings. */
function quantizeShapes(shapes: Map<string, Shape>, bits: Bits): Map<string, Shape> {
  const quantized = new Map(shapes);
  for (const [name, shape] of shapes) {
    if (shape.length !== 2 || name === "wpe.weight") continue;
    const { weight, scale } = quantizedShapes(shape, bits);
    quantized.set(name, weight);
    quantized.set(name.replace(/weight$/, "scale"), scale);
  }
  return quantized;
}
