// All GPU benchmarks, in parts that take at most ten minutes each. usage: npm run bench:cuda --
// --help The file of --json keeps the results of other parts. It is written after each measurement,
// so an interrupted part leaves the results that it has.

import { existsSync, readFileSync } from "node:fs";
import { device } from "tinybard";
import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { machine, readOptions, run, writeJSON } from "../command.ts";
import { isGPT } from "../models.ts";
import { attention } from "./attention.ts";
import { kernels } from "./kernels.ts";
import { ladder } from "./ladder.ts";
import { matmuls } from "./matmuls.ts";
import { steps } from "./steps.ts";
import { training } from "./training.ts";

export interface Options {
  device: "cuda" | "cuda-emulator";
  preset?: string;
  dtype?: string;
  json: string;
  rounds: number;
  seconds: number;
  time: number;
  seeds: number;
  torch: string;
  data?: string;
}

/** A part: measures, prints, and saves results under a key. */
export type Part = (
  options: Options,
  save: (key: string, results: unknown) => void,
) => Promise<void>;

const parts: Record<string, Part> = {
  steps,
  kernels,
  products: matmuls,
  attention,
  ladder,
  training,
};

const table: OptionTable = {
  device: {
    type: "string",
    help: "device to measure; results of the emulator are meaningless",
    choices: ["cuda", "cuda-emulator"],
    default: "cuda",
    value: "NAME",
  },
  preset: { type: "string", help: "only this preset", value: "NAME" },
  dtype: {
    type: "string",
    help: "only this dtype",
    choices: ["f32", "tf32", "bf16"],
    value: "NAME",
  },
  json: {
    type: "string",
    help: "write the results to a file",
    default: "bench/results/cuda.json",
    value: "FILE",
  },
  rounds: { type: "integer", help: "measurements of each step", default: 3, min: 1, value: "N" },
  seconds: {
    type: "number",
    help: "seconds per measurement of a step",
    default: 3,
    min: 0.01,
    value: "S",
  },
  time: { type: "number", help: "milliseconds per kernel", default: 50, min: 1, value: "MS" },
  seeds: { type: "integer", help: "training runs", default: 3, min: 1, value: "N" },
  torch: {
    type: "string",
    help: "options of bench/peers/torch_gpt.py for steps, or none",
    default: "--best",
    value: "ARGS",
  },
  data: { type: "string", help: "text to train on", value: "FILE" },
};

await run(async () => {
  const usage = `npm run bench:cuda -- [${Object.keys(parts).join(" | ")}] ... [options]`;
  const { args, options } = readOptions<Options>(usage, table);
  for (const arg of args)
    if (!Object.hasOwn(parts, arg)) {
      const expected = Object.keys(parts).join(", ");
      throw new UsageError(`bench:cuda: ${arg} is not a part, expected ${expected}`);
    }
  if (options.preset && !isGPT(options.preset))
    throw new UsageError(`bench:cuda: ${options.preset} is not a preset of a GPT`);
  const { addon } = device(options.device);
  const info = addon && "processor" in addon ? addon : null;
  const gpu = info?.processor;
  const matmul = info?.matmul;
  console.log(`${gpu}; matmul: ${matmul}`);
  const { json } = options;
  const before = existsSync(json) ? JSON.parse(readFileSync(json, "utf8")) : {};
  const report: Record<string, unknown> = { ...before, ...machine, gpu, matmul };
  for (const name of args.length > 0 ? args : Object.keys(parts)) {
    console.log(`\n== ${name}`);
    await parts[name](options, (key, results) => {
      report[key] = results;
      writeJSON(json, report);
    });
  }
});
