// Text generation: predict the next token, sample it, append it.

import { noGrad } from "../autograd.ts";
import type { Device } from "../backend/device.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { inEvalMode } from "../nn/index.ts";
import { tensor } from "../ops/creation.ts";
import { slice } from "../ops/movement.ts";
import { pick } from "../ops/random.ts";
import { checkSeed, currentSeed, nextSite, uniform } from "../random.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { KVCache } from "./kv-cache.ts";
import type { LanguageModel } from "./language-model.ts";
import { GPT } from "./model.ts";

export interface Sampling {
  /** Divides the logits: values below 1 sharpen the distribution; 0 selects the top token. */
  temperature?: number;
  /** Samples from the topK most likely tokens only. */
  topK?: number;
  /** Samples from the smallest set of top tokens whose probabilities sum to topP (nucleus). */
  topP?: number;
}

/** Options of generate(). */
export interface Generation extends Sampling {
  /** The token ids to continue, at least one. */
  prompt: ArrayLike<number>;
  /** The number of tokens to generate. */
  maxNewTokens: number;
  /** Makes the tokens reproducible. Without it, each call samples different ones. */
  seed?: number;
  /** Ends the generation when one of these ids is sampled, without yielding it. */
  stop?: number | readonly number[];
}

/** A sampled token, and the logits (V) that it was sampled from. */
export interface TokenWithLogits {
  id: number;
  logits: ArrayLike<number>;
}

/**
 * Yields the ids of new tokens one by one. A GPT uses a KV cache, so it processes each token once
 * until the context is full. After that, it reprocesses the last blockSize tokens for each new one,
 * because their positions change.
 * @example
 * const model = new GPT({ vocabSize: 65, blockSize: 16, nLayer: 1, nHead: 2, nEmbd: 8 });
 * for await (const id of generate(model, { prompt: [0], maxNewTokens: 4 })) console.log(id);
 */
export async function* generate(model: LanguageModel, options: Generation): AsyncGenerator<number> {
  for await (const { id } of generateWithLogits(model, options)) yield id;
}

/** Like generate(), but also yields the logits that each token was sampled from. */
export async function* generateWithLogits(
  model: LanguageModel,
  options: Generation,
): AsyncGenerator<TokenWithLogits> {
  const known = ["prompt", "maxNewTokens", "temperature", "topK", "topP", "seed", "stop"];
  checkOptions("generate", options, known);
  const { prompt, maxNewTokens, stop = [], temperature, topK, topP } = options;
  const { vocabSize, blockSize } = model.config;
  const ids = Array.from(prompt ?? []);
  const stopIds = new Set([stop].flat());
  if (ids.length === 0) fail("generate: prompt is empty, expected at least one id");
  checkIds("prompt", ids, vocabSize);
  checkIds("stop", stopIds, vocabSize);
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0))
    fail(`generate: maxNewTokens is ${maxNewTokens}, expected a whole number from 0 up`);
  if (options.seed !== undefined) checkSeed("generate", options.seed);
  checkSampling({ temperature, topK, topP });
  const predict = model instanceof GPT ? cachedPredictor(model) : plainPredictor(model);
  // fixed here, because the caller may set another seed between two tokens
  const seed = options.seed ?? currentSeed();
  const site = options.seed === undefined ? nextSite() : 0;
  for (let step = 0; step < maxNewTokens; step++) {
    const logits = predict(ids.slice(-blockSize));
    const [u] = uniform(1, { site, step, stream: "sample", seed });
    const id = sample(logits, u, { temperature, topK, topP });
    if (stopIds.has(id)) return;
    ids.push(id);
    yield { id, logits };
  }
}

/** Computes the logits (V) of the token that follows `ids`. */
type Predictor = (ids: number[]) => ArrayLike<number>;

/** Creates a predictor that processes only the ids added since its last call. */
function cachedPredictor(model: GPT): Predictor {
  const { device } = model.wte.weight;
  const cache = new KVCache(model.config, { device, dtype: model.dtype });
  const forward = device.capture((idx: Tensor) =>
    noGrad(() => {
      const hidden = model.hidden(idx, cache); // (1, T, C)
      return model.head(slice(hidden, { dim: 1, start: -1 })); // (1, 1, V)
    }),
  );
  return (ids) => {
    if (cache.used >= ids.length) cache.clear(); // the window has moved: all positions change
    const newIds = ids.slice(cache.used);
    const logits = scope(() => forward(toBatch(newIds, device)).data());
    cache.advance(newIds.length);
    return logits;
  };
}

/** Creates a predictor that processes all ids each time, for a model without a KV cache. */
function plainPredictor(model: LanguageModel): Predictor {
  const [weight] = [...model.parameters(), ...model.buffers()];
  if (!weight) fail("generate: the model has no parameters");
  const predict = (ids: number[]) =>
    scope(() => {
      const { logits } = noGrad(() => model.forward(toBatch(ids, weight.device))); // (1, T, V)
      if (!logits) fail("generate: the model returns no logits");
      return logits.data().slice(-model.config.vocabSize);
    });
  return (ids) => inEvalMode(model, () => predict(ids));
}

/** Converts ids to a batch of one sequence, (1, T) of i32. */
function toBatch(ids: number[], device: Device): Tensor {
  return tensor(Int32Array.from(ids), { shape: [1, ids.length], device });
}

/**
 * Samples an index with probability softmax(logits / temperature), restricted to topK and topP.
 * `u` is uniform in [0, 1). The dashboard shows the same distribution (web/page/sampling.ts).
 */
export function sample(logits: ArrayLike<number>, u: number, options: Sampling = {}): number {
  checkSampling(options);
  const { temperature = 1, topK = Infinity, topP = 1 } = options;
  const values = Float64Array.from(logits);
  const descending = values.slice().sort().reverse(); // ten times faster than sorting pairs
  const max = descending[0];
  if (!Number.isFinite(max)) fail(`sample: the largest logit is ${max}, expected a number`);
  const weights =
    temperature === 0
      ? Float64Array.of(1)
      : descending.subarray(0, topK).map((x) => Math.exp((x - max) / temperature));
  const threshold = topP * weights.reduce((sum, weight) => sum + weight, 0);
  let count = 1;
  let sum = weights[0];
  while (count < weights.length && sum < threshold) {
    sum += weights[count];
    count++;
  }
  const rank = pick(weights.subarray(0, count), u);
  // equal logits are ranked by their index
  const logit = descending[rank];
  let index = values.indexOf(logit);
  for (let ties = rank - descending.indexOf(logit); ties > 0; ties--)
    index = values.indexOf(logit, index + 1);
  return index;
}

/** Returns softmax(logits)[id], the probability of a token before temperature, topK and topP. */
export function tokenProbability(logits: ArrayLike<number>, id: number): number {
  const values = Array.from(logits);
  const max = values.reduce((a, b) => Math.max(a, b));
  return Math.exp(values[id] - max) / values.reduce((sum, x) => sum + Math.exp(x - max), 0);
}

function checkIds(argument: string, ids: Iterable<number>, vocabSize: number): void {
  for (const id of ids)
    if (!(Number.isInteger(id) && id >= 0 && id < vocabSize))
      fail(`generate: ${argument} has id ${id}, expected 0 to ${vocabSize - 1}`);
}

function checkSampling({ temperature = 1, topK = 1, topP = 1 }: Sampling): void {
  checkNumber("generate", "temperature", temperature, 0);
  checkNumber("generate", "topP", topP);
  if (!(Number.isInteger(topK) && topK > 0)) fail(`generate: topK is ${topK}, expected 1 or more`);
  if (!(topP > 0 && topP <= 1)) fail(`generate: topP is ${topP}, expected above 0 up to 1`);
}
