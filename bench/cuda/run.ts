// Everything that is measured on a GPU, in parts that fit into ten minutes each: usage: npm run
// bench:cuda -- --help. The file of --json keeps what other parts have measured, and is written
// anew after each figure: a part that is cut short leaves what it has.

import { existsSync, readFileSync } from "node:fs";
import { device } from "tinybard";
import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { machine, readOptions, run, writeJSON } from "../command.ts";
import { isGPT } from "../models.ts";
import { attention } from "./attention.ts";
import { kernels } from "./kernels.ts";
import { ladder } from "./ladder.ts";
import { products } from "./products.ts";
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

/** A part: measures, tells in words, and notes figures under a name. */
export type Part = (
  options: Options,
  note: (name: string, figures: unknown) => void,
) => Promise<void>;

const parts: Record<string, Part> = { steps, kernels, products, attention, ladder, training };

const table: OptionTable = {
  device: {
    type: "string",
    help: "where to compute; the emulator is no measure of anything",
    choices: ["cuda", "cuda-emulator"],
    default: "cuda",
    value: "NAME",
  },
  preset: { type: "string", help: "this preset only", value: "NAME" },
  dtype: {
    type: "string",
    help: "this type of numbers only",
    choices: ["f32", "tf32", "bf16"],
    value: "NAME",
  },
  json: { type: "string", help: "the file", default: "bench/results/cuda.json", value: "FILE" },
  rounds: { type: "integer", help: "turns of each step", default: 3, min: 1, value: "N" },
  seconds: { type: "number", help: "for a step, each turn", default: 3, min: 0.01, value: "S" },
  time: { type: "number", help: "milliseconds for a kernel", default: 50, min: 1, value: "MS" },
  seeds: { type: "integer", help: "runs of training", default: 3, min: 1, value: "N" },
  torch: {
    type: "string",
    help: "options of bench/peers/torch_gpt.py for steps, or none",
    default: "--best",
    value: "WORDS",
  },
  data: { type: "string", help: "the text that training takes", value: "FILE" },
};

await run(async () => {
  const usage = `npm run bench:cuda -- [${Object.keys(parts).join(" | ")}] ... [options]`;
  const { words, options } = readOptions<Options>(usage, table);
  for (const word of words)
    if (!Object.hasOwn(parts, word))
      throw new UsageError(`bench:cuda: ${word} is no part: ${Object.keys(parts).join(", ")}`);
  if (options.preset && !isGPT(options.preset))
    throw new UsageError(`bench:cuda: ${options.preset} is no preset of a GPT`);
  const { addon } = device(options.device);
  const [gpu, matmul] = addon && "processor" in addon ? [addon.processor, addon.matmul] : [];
  console.log(`${gpu}; matrix products: ${matmul}`);
  const { json } = options;
  const before = existsSync(json) ? JSON.parse(readFileSync(json, "utf8")) : {};
  const report: Record<string, unknown> = { ...before, ...machine, gpu, matmul };
  for (const name of words.length > 0 ? words : Object.keys(parts)) {
    console.log(`\n== ${name}`);
    await parts[name](options, (figure, value) => {
      report[figure] = value;
      writeJSON(json, report);
    });
  }
});
