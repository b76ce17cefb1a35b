// Measures the training step of a preset: sample a batch, forward, backward, AdamW, zero the
// gradients. Started by mpirun, each rank computes its rows of the batch, and the gradients are
// summed: `npm run build && mpirun -n 2 node dist/bench/step.bench.js`. Rank 0 prints.

import { readFileSync } from "node:fs";
import {
  CharTokenizer,
  type Device,
  device,
  devices,
  keep,
  type MatmulPrecision,
  manualSeed,
  scope,
  type Tensor,
  tensor,
} from "tinybard";
import { setThreads } from "#src/backend/devices.js";
import { sampleBatch, splitTokens, toCounterTensor } from "#src/data/batches.js";
import type { Communicator } from "#src/distributed/communicator.js";
import { joinProcessGroup } from "#src/distributed/process-group.js";
import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { beginStep, uniform } from "#src/random.js";
import { allReduce } from "#src/train/step.js";
import { median, readOptions, run, threads } from "./command.ts";
import { buildModel, getSizes, isGPT } from "./models.ts";
import { formatProfile, type Profile, Profiler } from "./profile.ts";

/** The output of --json. */
export interface StepResult {
  preset: string;
  device: string;
  threads: number;
  /** The median and the tenth percentile. */
  msPerStep: number;
  msP10: number;
  steps: number;
  tokensPerSecond: number;
  loss: number;
  /** The largest resident memory of the process. */
  peakMemoryMB: number;
  /** With --profile. */
  profile?: Profile;
}

interface Options {
  device: "auto";
  threads: number;
  dtype: "f32" | "tf32" | "bf16";
  matmulPrecision: MatmulPrecision;
  seconds?: number;
  data?: string;
  profile: boolean;
  json: boolean;
}

const names = ["auto", ...devices().map(({ name }) => name)];
const table: OptionTable = {
  device: {
    type: "string",
    help: "device to compute on",
    choices: names,
    default: "auto",
    value: "NAME",
  },
  threads,
  dtype: {
    type: "string",
    help: "dtype of floats; tf32 and bf16 require cuda",
    choices: ["f32", "tf32", "bf16"],
    default: "f32",
    value: "NAME",
  },
  matmulPrecision: {
    type: "string",
    help: "precision of f32 matmuls",
    choices: ["highest", "medium"],
    default: "highest",
    value: "NAME",
  },
  seconds: { type: "number", help: "seconds to measure, instead of steps", min: 0, value: "S" },
  data: { type: "string", help: "text to train on instead of random tokens", value: "FILE" },
  profile: { type: "boolean", help: "print the share of each kernel", default: false },
  json: { type: "boolean", help: "print JSON instead of text", default: false },
};
const WARMUP = 5; // the first steps allocate, capture, and run code that is not compiled yet
const PROFILE_TIME = 50; // milliseconds to measure the ceiling of a kernel
const usage = "npm run bench:step -- [preset (lecture-0.2m)] [steps (25)] [options]";

await run(async () => {
  const { args, options } = readOptions<Options>(usage, table);
  const [preset = "lecture-0.2m", steps = "25"] = args;
  if (!isGPT(preset)) throw new UsageError(`bench:step: ${preset} is not a preset of a GPT`);
  if (!(Number.isInteger(Number(steps)) && Number(steps) > 0))
    throw new UsageError(`bench:step: steps is ${steps}, expected a whole number from 1 up`);
  const communicator = joinProcessGroup({ device: options.device });
  const result = measure(preset, Number(steps), options, communicator);
  communicator.close();
  if (communicator.rank > 0) return;
  const { msPerStep, msP10, tokensPerSecond, profile } = result;
  const rate = `${msPerStep.toFixed(2)} ms per step, ${tokensPerSecond} tokens/s`;
  const line = `${preset} on ${result.device}: ${rate}, 10th percentile ${msP10.toFixed(2)} ms`;
  console.log(options.json ? JSON.stringify(result) : line);
  if (profile && !options.json) console.log(formatProfile(profile));
});

function measure(
  preset: string,
  count: number,
  options: Options,
  communicator: Communicator,
): StepResult {
  const { size, rank } = communicator;
  const on = device(options.device);
  communicator.useDevice(on);
  const threads = chooseThreads(on, options.threads, size);
  manualSeed(1337);
  const { model, optimizer } = buildModel(preset, on);
  if (options.dtype === "bf16") model.to("bf16");
  on.matmulPrecision = options.dtype === "tf32" ? "medium" : options.matmulPrecision;
  const { B, T, M, V } = getSizes(preset);
  if (B % size !== 0)
    throw new UsageError(`bench:step: ${size} processes cannot share the ${B} rows of ${preset}`);
  const tokens = keep(tensor(loadTokens(V, options.data), { device: on }));
  const captured = on.capture((counter: Tensor) => {
    const [x, y] = sampleBatch(tokens, counter, "batch", [B / size, T]);
    const loss = model.forward(x, y, { logits: false }).loss as Tensor;
    loss.backward();
    if (size > 1) allReduce(model, [loss]);
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  const profiler = options.profile ? new Profiler(on) : null;
  let step = 0;
  let loss = 0;
  const stepsPerSync = on.memory.isHost ? 1 : 20; // reading the loss waits for the device
  /** Takes steps until the next read of the loss. Returns the milliseconds per step. */
  const takeSteps = () => {
    const start = performance.now();
    for (let i = 1; i <= stepsPerSync; i++, step++) {
      beginStep(step);
      scope(() => {
        const counter = toCounterTensor({ site: rank, step }, on);
        const run = () => {
          const result = captured(counter);
          if (i === stepsPerSync) loss = result.item();
        };
        if (profiler && step >= WARMUP) profiler.measure(run);
        else run();
      });
    }
    return (performance.now() - start) / stepsPerSync;
  };
  for (let i = 0; i < WARMUP; i++) takeSteps();
  const end = performance.now() + 1000 * (options.seconds ?? 0);
  const ms: number[] = [];
  const isDone = () =>
    options.seconds === undefined ? ms.length === count : communicator.any(performance.now() > end);
  do {
    ms.push(takeSteps());
  } while (!isDone());
  const msPerStep = median(ms);
  return {
    preset,
    device: on.name,
    threads,
    msPerStep,
    msP10: ms.toSorted((a, b) => a - b)[Math.floor(ms.length / 10)],
    steps: ms.length,
    tokensPerSecond: Math.round((1000 * M) / msPerStep),
    loss,
    ...(profiler && { profile: profiler.finish(PROFILE_TIME) }),
    peakMemoryMB: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

/** Sets the number of threads, where there are any. Ranks of a host share its cores. */
function chooseThreads(on: Device, requested: number, size: number): number {
  if (on.name !== "cpu" && on.name !== "wasm") return 1;
  const addon = on.addon as { threads(): number };
  return setThreads(size > 1 ? Math.min(requested, addon.threads()) : requested);
}

/** Returns the training split of a text, or a million random tokens. */
function loadTokens(V: number, file?: string): Int32Array {
  if (!file) return Int32Array.from(uniform(1e6, { site: 0, stream: "sample" }), (u) => u * V);
  const text = readFileSync(file, "utf8");
  const tokenizer = CharTokenizer.train(text);
  const { vocabSize } = tokenizer;
  if (vocabSize > V)
    throw new UsageError(
      `bench:step: ${file} has ${vocabSize} different characters, expected at most ${V}`,
    );
  return splitTokens(text, tokenizer).train;
}
