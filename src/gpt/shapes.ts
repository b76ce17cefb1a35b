// The names and shapes of a GPT's weights, derived from its configuration alone. Loaders compare
// them with the header of a file before they allocate anything.

import { shorten } from "../errors.ts";
import { formatShape, isSameShape, type Shape } from "../shape.ts";
import { deriveOptions, type GPTConfig } from "./config.ts";

/** The options that determine which weights a GPT has, and their shapes. */
type ShapeConfig = Pick<
  GPTConfig,
  "vocabSize" | "blockSize" | "nLayer" | "nEmbd" | "bias" | "qkvBias" | "tieWeights"
> &
  Pick<GPTConfig, "lmHeadBias" | "activation" | "positions" | "norm" | "nHead"> &
  Partial<Pick<GPTConfig, "nKvHead" | "headDim" | "mlpWidth" | "qkNormWeight" | "tokenShift">>;

/**
 * Returns the shapes of the tensors in a GPT's stateDict() by name. A config.json may claim any
 * number of blocks: at most `maxBlocks` of them are listed.
 */
export function gptShapes(config: ShapeConfig, maxBlocks = Infinity): Map<string, Shape> {
  const { vocabSize: V, blockSize: T, nEmbd: C, nLayer, bias, qkvBias } = config;
  const shapes = new Map<string, Shape>();
  const layer = (name: string, weight: Shape, hasBias: boolean) => {
    shapes.set(`${name}.weight`, weight);
    if (hasBias) shapes.set(`${name}.bias`, weight.slice(0, 1));
  };
  const norm = (name: string) => layer(name, [C], bias && config.norm === "layer");
  const { nKvHead, headDim, mlpWidth } = deriveOptions(config);
  const queries = config.nHead * headDim;
  const qkv = queries + 2 * nKvHead * headDim;
  const hidden = config.activation === "swiglu" ? 2 * mlpWidth : mlpWidth; // swiglu: with the gate
  layer("wte", [V, C], false);
  if (config.positions === "learned") layer("wpe", [T, C], false);
  for (let i = 0; i < Math.min(nLayer, maxBlocks); i++) {
    norm(`h.${i}.ln_1`);
    layer(`h.${i}.attn.c_attn`, [qkv, C], qkvBias);
    layer(`h.${i}.attn.c_proj`, [C, queries], bias);
    if (config.qkNormWeight) {
      layer(`h.${i}.attn.q_norm`, [headDim], false);
      layer(`h.${i}.attn.k_norm`, [headDim], false);
    }
    norm(`h.${i}.ln_2`);
    layer(`h.${i}.mlp.c_fc`, [hidden, C], bias);
    layer(`h.${i}.mlp.c_proj`, [C, mlpWidth], bias);
    if (config.tokenShift) {
      layer(`h.${i}.shift_1`, [C], false);
      layer(`h.${i}.shift_2`, [C], false);
    }
  }
  norm("ln_f");
  if (!config.tieWeights) shapes.set("lm_head.weight", [V, C]);
  if (config.lmHeadBias) shapes.set("lm_head.bias", [V]);
  return shapes;
}

/** The name and the shape of a tensor in a file. */
export interface NamedShape {
  name: string;
  shape: Shape;
}

/**
 * Calls `reject` with a problem, and the tensor that has it, unless `found` has exactly the
 * expected names and shapes. `source` names the files that the expected shapes come from.
 */
export function checkShapes(
  found: readonly NamedShape[],
  expected: ReadonlyMap<string, Shape>,
  source: string,
  reject: (problem: string, tensor: string) => never,
): void {
  const shapes = new Map(found.map(({ name, shape }) => [name, shape]));
  const missing = [...expected.keys()].filter((name) => !shapes.has(name));
  const unknown = [...shapes.keys()].filter((name) => !expected.has(name));
  if (missing.length > 0) reject(`${list(missing)} missing`, missing[0]);
  if (unknown.length > 0) reject(`${list(unknown)} unknown`, unknown[0]);
  for (const [name, shape] of shapes) {
    const required = expected.get(name) as Shape;
    if (isSameShape(shape, required)) continue;
    const sizes = `${formatShape(shape)}, expected ${formatShape(required)}`;
    reject(`${shorten(name)} has shape ${sizes} by ${source}`, name);
  }
}

/** Formats the first few of many names. */
function list(names: string[]): string {
  const more = names.length > 4 ? ` and ${names.length - 4} more` : "";
  return names.slice(0, 4).map(shorten).join(", ") + more;
}
