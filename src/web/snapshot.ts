// Snapshots of checkpoints: a generated sample, and histograms of each parameter and its gradient.
// They are computed in the dashboard's thread, so training does not wait for them.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { loadData, toTokens } from "../data/load.ts";
import { makeTrainSampler } from "../data/sampler.ts";
import { closeTokens, type Tokens, toSource } from "../data/tokens.ts";
import { generate } from "../gpt/generate.ts";
import { beginStep, Generator, useGenerator } from "../random.ts";
import { loadRun } from "../runs/load.ts";
import { scope } from "../scope.ts";
import { decodeStream, defaultPrompt } from "../tokenizers/tokenizer.ts";
import type { EventBroadcaster } from "./events.ts";
import type { Histogram, Snapshot } from "./protocol.ts";
import type { RunIndex } from "./run-index.ts";

type LoadedRun = ReturnType<typeof loadRun>;

const BINS = 40;
/** The length of a sample in tokens. */
const SAMPLE_TOKENS = 200;
/** The maximum number of tokens in the batch that the gradients are computed from. */
const MAX_BATCH_TOKENS = 4096;
const POLL_INTERVAL = 500; // milliseconds

/**
 * Sends a snapshot of each new checkpoint of the runs that pages have selected. Returns a function
 * that stops it.
 */
export function watchCheckpoints(
  runs: RunIndex,
  events: EventBroadcaster,
  device: Device,
): () => void {
  const lastSeen = new Map<string, number>(); // modification times by run
  let timer: NodeJS.Timeout;
  const poll = async () => {
    for (const run of events.getSubscribedRuns()) {
      try {
        const folder = runs.getFolder(run);
        const modified = getCheckpointTime(folder);
        if (modified === undefined || lastSeen.get(run) === modified) continue;
        lastSeen.set(run, modified);
        const snapshot = await createSnapshot(folder, device);
        events.sendSnapshot({ run, ...snapshot });
      } catch {
        // the run, or the text that it was trained on, has been deleted: skip it
      }
    }
    timer = setTimeout(poll, POLL_INTERVAL);
  };
  timer = setTimeout(poll, 0);
  return () => clearTimeout(timer);
}

/** Returns the modification time of a run's last checkpoint. */
function getCheckpointTime(folder: string): number | undefined {
  const files = ["last", "best"].map((name) => join(folder, name, "state.json"));
  const file = files.find((path) => existsSync(path));
  return file === undefined ? undefined : statSync(file).mtimeMs;
}

/**
 * Creates a snapshot of a run's last checkpoint, with the gradients of the next training batch.
 * Quantized and frozen weights have none.
 */
async function createSnapshot(folder: string, device: Device): Promise<Snapshot> {
  const loaded = loadRun(folder, device, ["last", "best"]);
  const sample = await generateSample(loaded);
  const isTrainable = [...loaded.model.parameters()].some((w) => w.requiresGrad);
  if (isTrainable) await computeGradients(loaded, device);
  const weights = [...loaded.model.namedParameters(), ...loaded.model.namedBuffers()];
  const histograms = weights.map(([name, w]) => ({
    name,
    weight: computeHistogram(w.data()),
    gradient: w.grad && computeHistogram(w.grad.data()),
  }));
  return { step: loaded.state.step, sample, histograms };
}

async function generateSample({ model, tokenizer, config }: LoadedRun): Promise<string> {
  const prompt = defaultPrompt(tokenizer);
  const ids = generate(model, { prompt, maxNewTokens: SAMPLE_TOKENS, seed: config.seed });
  let sample = "";
  for await (const text of decodeStream(tokenizer, ids, prompt)) sample += text;
  return sample;
}

/** Computes the gradients of the batch that comes next in the run's training. */
async function computeGradients(loaded: LoadedRun, device: Device): Promise<void> {
  const { model, config, state } = loaded;
  const tokens = await loadTrainingTokens(loaded);
  const blockSize = Math.min(config.blockSize, MAX_BATCH_TOKENS);
  const fittingBatch = Math.floor(MAX_BATCH_TOKENS / blockSize);
  const batchSize = Math.min(config.batchSize, fittingBatch);
  const { seed } = config;
  const { step } = state;
  useGenerator(new Generator(seed), () =>
    scope(() => {
      beginStep(step);
      const source = toSource(tokens); // not all tokens are copied to the device
      const sampler = makeTrainSampler(source, device, { ...config, batchSize, blockSize });
      const [x, y] = sampler.sample(...sampler.prepare({ site: 0, step, seed })); // (B, T), (B, T)
      closeTokens(tokens); // until the next checkpoint
      model.forward(x, y, { logits: false }).loss?.backward();
    }),
  );
}

/** The tokens of the last run, because its next checkpoint needs them again. */
let cachedTokens: { key: string; tokens: Tokens } = { key: "", tokens: new Int32Array() };

async function loadTrainingTokens({ config, tokenizer, state }: LoadedRun): Promise<Tokens> {
  const key = [config.data, state.textSha256, state.tokenizerSha256].join();
  if (key !== cachedTokens.key) {
    const data = await loadData(config.data, tokenizer, ({ phase }) => {
      // the other runs should not wait, too
      if (phase === "waiting for another training") throw new Error(`${config.data} is in use`);
    });
    cachedTokens = { key, tokens: toTokens(data, tokenizer).train };
  }
  return cachedTokens.tokens;
}

/** Counts values in 40 equally wide bins from the smallest to the largest finite value. */
export function computeHistogram(values: ArrayLike<number>): Histogram {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    const x = values[i];
    if (x < low && x > -Infinity) low = x;
    if (x > high && x < Infinity) high = x;
  }
  const counts = new Array<number>(BINS).fill(0);
  if (low > high) return { low: 0, high: 0, counts }; // no finite values
  const binsPerUnit = BINS / (high - low || 1);
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor((values[i] - low) * binsPerUnit);
    if (bin >= 0 && bin < Infinity) counts[Math.min(BINS - 1, bin)]++;
  }
  return { low, high, counts };
}
