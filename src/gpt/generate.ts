// Text from a model, a token at a time: read what is there, draw the next, append it.

import { noGrad } from "../autograd.ts";
import type { Device } from "../backend/device.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { evaluating } from "../nn/index.ts";
import { tensor } from "../ops/creation.ts";
import { slice } from "../ops/movement.ts";
import { pick } from "../ops/random.ts";
import { checkSeed, nextSite, uniform } from "../random.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { KVCache } from "./kv-cache.ts";
import type { LanguageModel } from "./language-model.ts";
import { GPT } from "./model.ts";

export interface Sampling {
  /** Divides the logits: below 1 bolder, 0 always takes the likeliest token. */
  temperature?: number;
  /** Draws only from the topK likeliest tokens. */
  topK?: number;
  /** Draws only from the likeliest tokens that together have probability topP. */
  topP?: number;
}

export interface Generation extends Sampling {
  /** The token ids to go on from, at least one. */
  prompt: ArrayLike<number>;
  maxNewTokens: number;
  /** Equal seeds give equal tokens. Without one the generator's next place is used. */
  seed?: number;
  /** Ends when one of these ids is drawn, without yielding it. */
  stop?: number | readonly number[];
}

/** A token that was drawn, and the logits (V) that it was drawn from. */
export interface Drawn {
  id: number;
  logits: ArrayLike<number>;
}

/**
 * Yields the ids of new tokens, one by one. A GPT reads each token once, by a KV cache, until its
 * block is full; from then on it reads the last blockSize tokens anew for each, since their
 * positions shift.
 */
export async function* generate(model: LanguageModel, options: Generation): AsyncGenerator<number> {
  for await (const { id } of generateWithLogits(model, options)) yield id;
}

/** generate(), each id with what the model said: for who asks how probable it was. */
export async function* generateWithLogits(
  model: LanguageModel,
  options: Generation,
): AsyncGenerator<Drawn> {
  const known = ["prompt", "maxNewTokens", "temperature", "topK", "topP", "seed", "stop"];
  checkOptions("generate", options, known);
  const { prompt, maxNewTokens, seed, stop = [], temperature, topK, topP } = options;
  const { vocabSize, blockSize } = model.config;
  const ids = Array.from(prompt ?? []);
  if (ids.length === 0) fail("generate: prompt is empty, expected at least one id");
  const ends = new Set([stop].flat());
  for (const [name, list] of Object.entries({ prompt: ids, stop: ends }))
    for (const id of list)
      if (!(Number.isInteger(id) && id >= 0 && id < vocabSize))
        fail(`generate: ${name} has id ${id}, expected 0 to ${vocabSize - 1}`);
  if (!(Number.isInteger(maxNewTokens) && maxNewTokens >= 0))
    fail(`generate: maxNewTokens is ${maxNewTokens}, expected a whole number from 0 up`);
  if (seed !== undefined) checkSeed("generate", seed);
  checkSampling({ temperature, topK, topP });
  const read = model instanceof GPT ? cachedReader(model) : plainReader(model);
  const firstSite = seed === undefined ? nextSite() : 0;
  for (let i = 0; i < maxNewTokens; i++) {
    const logits = read(ids.slice(-blockSize));
    const [u] = uniform(1, { site: firstSite, step: i, stream: "sample", seed });
    const id = sample(logits, u, { temperature, topK, topP });
    if (ends.has(id)) return;
    ids.push(id);
    yield { id, logits };
  }
}

/** Gives the logits of the token after the ids it is given. */
type Reader = (ids: number[]) => ArrayLike<number>;

/** Reads only what is new: the ids of the call before and one more, or a prompt. */
function cachedReader(model: GPT): Reader {
  const { device } = model.wte.weight;
  const cache = new KVCache(model.config, { device, dtype: model.dtype });
  const read = device.capture((idx: Tensor) =>
    noGrad(() => {
      const hidden = model.hidden(idx, cache); // (1, T, C)
      return model.lm_head.forward(slice(hidden, { dim: 1, start: -1 })); // (1, 1, V)
    }),
  );
  return (ids) => {
    if (cache.used >= ids.length) cache.clear(); // the window has moved: every position is new
    const fresh = ids.slice(cache.used);
    const logits = scope(() => read(row(fresh, device)).data());
    cache.advance(fresh.length);
    return logits;
  };
}

/** Reads everything, for a model that has no cache. */
function plainReader(model: LanguageModel): Reader {
  return (ids) => {
    const w = model.parameters().next().value ?? fail("generate: the model has no parameters");
    const read = () =>
      scope(() => {
        const { logits } = noGrad(() => model.forward(row(ids, w.device))); // (1, T, V)
        const all = (logits ?? fail("generate: the model gives no logits")).data();
        return all.slice(-model.config.vocabSize);
      });
    return evaluating(model, read);
  };
}

function row(ids: number[], device: Device): Tensor {
  return tensor(Int32Array.from(ids), { shape: [1, ids.length], device });
}

/**
 * Draws an index with probability softmax(logits / temperature), cut to topK and topP; u in [0, 1).
 */
export function sample(logits: ArrayLike<number>, u: number, options: Sampling = {}): number {
  checkSampling(options);
  const { temperature = 1, topK = Infinity, topP = 1 } = options;
  const falling = Float64Array.from(logits).sort().reverse(); // numbers alone sort ten times faster
  const greatest = falling[0];
  if (!Number.isFinite(greatest))
    fail(`sample: the largest logit is ${greatest}, expected a number`);
  const weights =
    temperature === 0
      ? Float64Array.of(1)
      : falling.subarray(0, topK).map((x) => Math.exp((x - greatest) / temperature));
  const enough = topP * weights.reduce((sum, w) => sum + w, 0);
  let count = 0;
  for (let sum = 0; count < weights.length && (count === 0 || sum < enough); count++)
    sum += weights[count];
  const rank = pick(weights.subarray(0, count), u);
  let before = rank - falling.indexOf(falling[rank]); // equal logits rank by their index
  for (let i = 0; ; i++) if (logits[i] === falling[rank] && before-- === 0) return i;
}

/** softmax(logits)[id]: the model's own probability, before any temperature or cut. */
export function tokenProbability(logits: ArrayLike<number>, id: number): number {
  const all = Array.from(logits);
  const greatest = all.reduce((a, b) => Math.max(a, b));
  return Math.exp(all[id] - greatest) / all.reduce((sum, x) => sum + Math.exp(x - greatest), 0);
}

function checkSampling({ temperature = 1, topK = 1, topP = 1 }: Sampling): void {
  checkNumber("generate", "temperature", temperature, 0);
  checkNumber("generate", "topP", topP);
  if (!(Number.isInteger(topK) && topK > 0)) fail(`generate: topK is ${topK}, expected 1 or more`);
  if (!(topP > 0 && topP <= 1)) fail(`generate: topP is ${topP}, expected above 0 up to 1`);
}
