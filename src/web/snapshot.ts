// What a run is up to, seen from its checkpoints: a sample of what it writes, and how the numbers
// in each parameter and in its gradient spread. Computed here, so that training loses no step.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { placeOf, sampleBatch, splitTokens } from "../data/batches.ts";
import { loadCorpus } from "../data/corpus.ts";
import { generate } from "../gpt/generate.ts";
import { tensor } from "../ops/creation.ts";
import { beginStep, manualSeed } from "../random.ts";
import { loadRun } from "../runs/load.ts";
import { scope } from "../scope.ts";
import { decodeStream, plainPrompt } from "../tokenizers/tokenizer.ts";
import { lossOf } from "../train/evaluate.ts";
import type { Broadcast } from "./events.ts";
import type { Histogram, Snapshot } from "./protocol.ts";
import type { Runs } from "./run-index.ts";

const BINS = 40;
const SAMPLE = 200; // tokens
/** Of the batch of the step to come as many tokens are looked at for the gradient. */
const MOST_TOKENS = 4096;
const LOOK_AGAIN = 500; // milliseconds

/** Looks at each checkpoint of the runs that pages listen to; gives a function that ends it. */
export function watchCheckpoints(runs: Runs, broadcast: Broadcast, device: Device): () => void {
  const seen = new Map<string, number>();
  let timer: NodeJS.Timeout;
  const look = async () => {
    for (const run of broadcast.watched()) {
      try {
        const folder = runs.folderOf(run);
        const time = timeOf(folder);
        if (time === undefined || seen.get(run) === time) continue;
        seen.set(run, time);
        const glimpse = await glimpseOf(folder, device);
        broadcast.glimpse({ run, ...glimpse });
      } catch {
        // a run that is deleted, or was made with files that are gone: nothing is to be seen of it
      }
    }
    timer = setTimeout(look, LOOK_AGAIN);
  };
  timer = setTimeout(look, 0);
  return () => clearTimeout(timer);
}

/** When the last checkpoint of a run was written. */
function timeOf(folder: string): number | undefined {
  const files = ["last", "best"].map((name) => join(folder, name, "state.json"));
  const file = files.find((each) => existsSync(each));
  return file === undefined ? undefined : statSync(file).mtimeMs;
}

/**
 * What the last checkpoint of a run shows. The gradients are those of the batch that comes next in
 * its training; there are none where weights have few bits, or are frozen.
 */
export async function glimpseOf(folder: string, device: Device): Promise<Snapshot> {
  const loaded = loadRun(folder, device, ["last", "best"]);
  const { model, tokenizer, config, state } = loaded;
  const prompt = plainPrompt(tokenizer);
  const ids = generate(model, { prompt, maxNewTokens: SAMPLE, seed: config.seed });
  let sample = "";
  for await (const text of decodeStream(tokenizer, ids, prompt)) sample += text;

  if ([...model.parameters()].some((w) => w.requiresGrad)) {
    const tokens = await tokensOf(loaded);
    const B = Math.max(1, Math.min(config.batchSize, Math.floor(MOST_TOKENS / config.blockSize)));
    manualSeed(config.seed);
    beginStep(state.step);
    scope(() => {
      const place = placeOf({ site: 0, step: state.step }, device);
      const batch = sampleBatch(tensor(tokens, { device }), place, "batch", [B, config.blockSize]);
      lossOf(model, ...batch).backward();
    });
  }
  const histograms = [...model.namedParameters()].map(([name, w]) => ({
    name,
    weight: histogramOf(w.data()),
    gradient: w.grad && histogramOf(w.grad.data()),
  }));
  return { step: state.step, sample, histograms };
}

let latest: { key: string; tokens: Int32Array } = { key: "", tokens: new Int32Array() };

/** The tokens that a run learns from; those of the last run are remembered for its next step. */
async function tokensOf({ config, tokenizer, state }: ReturnType<typeof loadRun>) {
  const key = [config.data, state.textSha256, state.tokenizerSha256].join();
  if (key !== latest.key) {
    const { text } = await loadCorpus(config.data);
    latest = { key, tokens: splitTokens(text, tokenizer).train };
  }
  return latest.tokens;
}

/** How many values lie in each of 40 equally wide bins from the least to the greatest. */
export function histogramOf(values: ArrayLike<number>): Histogram {
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < values.length; i++) {
    const x = values[i];
    if (x < low && x > -Infinity) low = x;
    if (x > high && x < Infinity) high = x;
  }
  const counts = new Array<number>(BINS).fill(0);
  if (low > high) return { low: 0, high: 0, counts }; // no number at all
  const scale = BINS / (high - low || 1);
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor((values[i] - low) * scale);
    if (bin >= 0 && bin < Infinity) counts[Math.min(BINS - 1, bin)]++;
  }
  return { low, high, counts };
}
