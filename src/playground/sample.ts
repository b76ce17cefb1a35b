// Writes samples with the model as it is at this step, and inspects a text with it.

import { noGrad } from "../autograd.ts";
import { attentionMaps } from "../gpt/attention-maps.ts";
import { generate } from "../gpt/generate.ts";
import { GPT } from "../gpt/model.ts";
import { tensor } from "../ops/creation.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { defaultPrompt } from "../tokenizers/tokenizer.ts";
import { computeNextLogits, encodeWindow } from "../web/model-inspection.ts";
import type { Inspection, SampleText, SamplingSettings } from "./protocol.ts";
import type { PageRun } from "./start.ts";

/** The number of tokens of a sample, by the kind of the tokenizer. */
const sampleLengths: Record<string, number> = { char: 240, word: 60, bpe: 90 };
/** The number of tokens after which the text so far is passed on. */
const CHUNK = 12;

/**
 * Writes a sample. `emit` receives the text so far, again and again, and at last all of it, and
 * returns false to end the sample early.
 */
export async function writeSample(
  run: PageRun,
  { prompt, temperature }: SamplingSettings,
  loss: number,
  emit: (sample: SampleText) => Promise<boolean>,
): Promise<void> {
  const { model, tokenizer, config, state } = run;
  const ids = encodePrompt(run, prompt);
  const decoder = tokenizer.decoder();
  for (const id of ids) decoder.write(id);
  const maxNewTokens = sampleLengths[config.tokenizer] ?? 60;
  const seed = Math.floor(2 ** 32 * Math.random()); // another text each time
  let text = "";
  let count = 0;
  const report = (isDone: boolean) => emit({ step: state.step, loss, prompt, text, isDone });
  for await (const id of generate(model, { prompt: ids, maxNewTokens, temperature, seed })) {
    text += decoder.write(id);
    count++;
    if (count % CHUNK === 0 && !(await report(false))) return;
  }
  text += decoder.end();
  await report(true);
}

/** Returns the ids of a prompt, without which a text begins after a line break. */
export function encodePrompt({ tokenizer }: PageRun, prompt: string): number[] {
  const ids = tokenizer.encode(prompt);
  return ids.length > 0 ? ids : defaultPrompt(tokenizer);
}

/** Returns the tokens of a text, its attention maps, and the logits after the last token. */
export function inspect(run: PageRun, text: string): Inspection {
  const { model, tokenizer, device, state } = run;
  const { ids, before } = encodeWindow({ model, tokenizer }, text);
  const tokens = ids.map((id) => ({ id, text: tokenizer.decode([id]) }));
  const { step } = state;
  if (ids.length === 0)
    return { tokens, before, step, weights: new Float32Array(), logits: new Float32Array() };
  const idx = tensor(Int32Array.from(ids), { shape: [1, ids.length], device });
  const maps: Float32Array[] = [];
  if (model instanceof GPT) {
    for (const map of attentionMaps(model, idx)) {
      maps.push(readAndFree(map));
    }
  }
  const weights = new Float32Array(maps.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const map of maps) {
    weights.set(map, offset);
    offset += map.length;
  }
  return { tokens, before, step, weights, logits: nextLogits(run, ids) };
}

/** Returns the logits (V) after the token at a position of the inspected text. */
export function logitsAt(run: PageRun, text: string, position: number): Float32Array {
  const { ids } = encodeWindow(run, text);
  if (!(position < ids.length))
    throw new RangeError(`position is ${position}, expected less than ${ids.length}`);
  return nextLogits(run, ids.slice(0, position + 1));
}

function nextLogits({ model, device }: PageRun, ids: number[]): Float32Array {
  return scope(() => {
    const idx = tensor(Int32Array.from(ids), { shape: [1, ids.length], device });
    return noGrad(() => computeNextLogits(model, idx)).data() as Float32Array;
  });
}

function readAndFree(x: Tensor): Float32Array {
  const values = x.data() as Float32Array;
  x.free("sent to the page");
  return values;
}
