// A whole training step of a preset: draw a batch, forward, backward, AdamW, drop the gradients.

import { readFileSync } from "node:fs";
import {
  CharTokenizer,
  device,
  devices,
  keep,
  manualSeed,
  scope,
  type Tensor,
  tensor,
} from "tinybard";
import { setThreads } from "#src/backend/devices.js";
import { sampleBatch, splitTokens, toCounterTensor } from "#src/data/batches.js";
import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { beginStep, uniform } from "#src/random.js";
import { median, readOptions, run, threads } from "./command.ts";
import { build, isGPT, sizesOf } from "./models.ts";

/** What --json prints. */
export interface StepResult {
  preset: string;
  device: string;
  threads: number;
  /** The median, and the tenth percentile. */
  msPerStep: number;
  msP10: number;
  steps: number;
  tokensPerSecond: number;
  loss: number;
  /** The most that the process has held. */
  peakMemoryMB: number;
}

interface Options {
  device: "auto";
  threads: number;
  dtype: "f32" | "tf32" | "bf16";
  seconds?: number;
  data?: string;
  json: boolean;
}

const names = ["auto", ...devices().map(({ name }) => name)];
const table: OptionTable = {
  device: {
    type: "string",
    help: "where to compute",
    choices: names,
    default: "auto",
    value: "NAME",
  },
  threads,
  dtype: {
    type: "string",
    help: "the numbers' type; tf32 and bf16 on cuda",
    choices: ["f32", "tf32", "bf16"],
    default: "f32",
    value: "NAME",
  },
  seconds: { type: "number", help: "measure for so long instead", min: 0, value: "S" },
  data: { type: "string", help: "a text to train on instead of random tokens", value: "FILE" },
  json: { type: "boolean", help: "print a line of JSON instead of text", default: false },
};
const WARMUP = 5; // the first steps allocate, are recorded, and meet code that is not compiled yet
const usage = "npm run bench:step -- [preset (lecture-0.2m)] [steps (25)] [options]";

await run(async () => {
  const { words, options } = readOptions<Options>(usage, table);
  const [preset = "lecture-0.2m", steps = "25"] = words;
  if (!isGPT(preset)) throw new UsageError(`bench:step: ${preset} is no preset of a GPT`);
  if (!(Number.isInteger(Number(steps)) && Number(steps) > 0))
    throw new UsageError(`bench:step: steps is ${steps}, expected a whole number from 1 up`);
  const result = measure(preset, Number(steps), options);
  const { msPerStep, msP10, tokensPerSecond } = result;
  const figures = `${msPerStep.toFixed(2)} ms a step, ${tokensPerSecond} tokens/s`;
  const line = `${preset} on ${result.device}: ${figures}, 10 % below ${msP10.toFixed(2)} ms`;
  console.log(options.json ? JSON.stringify(result) : line);
});

function measure(preset: string, count: number, options: Options): StepResult {
  const on = device(options.device);
  const threads = on.name === "cpu" ? setThreads(options.threads) : 1;
  manualSeed(1337);
  const { model, optimizer } = build(preset, on);
  if (options.dtype === "bf16") model.to("bf16");
  if (on.addon && "setTf32" in on.addon) on.addon.setTf32(options.dtype === "tf32");
  const { B, T, M, V } = sizesOf(preset);
  const tokens = keep(tensor(tokensOf(V, options.data), { device: on }));
  const captured = on.capture((place: Tensor) => {
    const [x, y] = sampleBatch(tokens, place, "batch", [B, T]);
    const loss = model.forward(x, y, { logits: false }).loss as Tensor;
    loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss;
  });
  let [step, loss] = [0, 0];
  const together = on.memory.isHost ? 1 : 20; // a device is waited for now and then
  const trainStep = () => {
    const start = performance.now();
    for (let i = 1; i <= together; i++, step++) {
      beginStep(step);
      scope(() => {
        const result = captured(toCounterTensor({ site: 0, step }, on));
        if (i === together) loss = result.item();
      });
    }
    return (performance.now() - start) / together;
  };
  for (let i = 0; i < WARMUP; i++) trainStep();
  const end = performance.now() + 1000 * (options.seconds ?? 0);
  const isLast = (ms: number[]) =>
    options.seconds === undefined ? ms.length === count : performance.now() > end;
  const ms: number[] = [];
  do ms.push(trainStep());
  while (!isLast(ms));
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
    peakMemoryMB: Math.round(process.resourceUsage().maxRSS / 1024),
  };
}

/** The training part of a text, or a million random tokens. */
function tokensOf(V: number, file?: string): Int32Array {
  if (!file) return Int32Array.from(uniform(1e6, { site: 0, stream: "sample" }), (u) => u * V);
  const text = readFileSync(file, "utf8");
  const tokenizer = CharTokenizer.train(text);
  const { vocabSize } = tokenizer;
  if (vocabSize > V)
    throw new UsageError(`bench:step: ${file} has ${vocabSize} different characters, of ${V}`);
  return splitTokens(text, tokenizer).train;
}
