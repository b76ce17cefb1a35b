// Compares the speed of tinybard and PyTorch on this machine. usage: npm run bench:peers -- --help

import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { getLast, machine, readOptions, run, threads, warnIfBusy, writeJSON } from "../command.ts";
import { getSizes, isGPT } from "../models.ts";
import type { StepResult } from "../step.bench.ts";
import { compareMatmuls } from "./matmuls.ts";
import { getTorchVersion, runTinybard, runTorch } from "./processes.ts";
import { type Comparison, compareInRounds, type TorchVariant } from "./rounds.ts";

interface Options {
  gemm: boolean;
  generate: boolean;
  rounds: number;
  seconds: number;
  threads: number;
  matmulPrecision: "highest" | "medium";
  data?: string;
  json?: string;
}

const table: OptionTable = {
  gemm: { type: "boolean", help: "compare matmuls instead of training steps", default: false },
  generate: {
    type: "boolean",
    help: "compare generation instead of training steps",
    default: false,
  },
  rounds: { type: "integer", help: "number of measurements", default: 5, min: 1, value: "N" },
  seconds: { type: "number", help: "seconds per measurement", default: 5, min: 0.01, value: "S" },
  threads,
  matmulPrecision: {
    type: "string",
    help: "precision of tinybard's f32 matmuls; with medium, PyTorch also runs bf16 autocast",
    choices: ["highest", "medium"],
    default: "highest",
    value: "NAME",
  },
  data: { type: "string", help: "text to train on instead of random tokens", value: "FILE" },
  json: { type: "string", help: "write the results to a file", value: "FILE" },
};
const usage = "npm run bench:peers -- [preset ...] [options]";

await run(async () => {
  const { args, options } = readOptions<Options>(usage, table);
  const { gemm, generate, rounds, threads, json } = options;
  const defaults = generate ? ["lecture-10.8m"] : ["lecture-0.2m", "nanogpt-cpu", "lecture-2.7m"];
  const names = args.length > 0 ? args : defaults;
  for (const name of names)
    if (!isGPT(name) || getSizes(name).V !== 65)
      throw new UsageError(`bench:peers: ${name} is not a preset of a character-level GPT`);
  const version = getTorchVersion();
  console.log(`PyTorch ${version}, ${threads} ${threads === 1 ? "thread" : "threads"} each`);
  warnIfBusy();
  const results: unknown[] = [];
  for (const name of names) {
    if (gemm) {
      results.push(await compareMatmuls(name, options));
    } else {
      const comparison = generate
        ? compareGeneration(name, options)
        : compareTraining(name, options);
      results.push(await compareInRounds(comparison, rounds));
    }
  }
  if (json) writeJSON(json, { ...machine, torch: version, ...options, results });
});

/** Compares training steps. bench:step measures those of tinybard. */
function compareTraining(
  preset: string,
  { seconds, threads, matmulPrecision, data }: Options,
): Comparison {
  const { M } = getSizes(preset);
  const common = ["--seconds", seconds, "--threads", threads, ...(data ? ["--data", data] : [])];
  return {
    name: `${preset}: a training step of ${M} tokens`,
    variants: listVariants(matmulPrecision === "medium" ? ["f32", "bf16"] : ["f32"]),
    async measureTinybard() {
      const precision = ["--matmul-precision", matmulPrecision];
      const args = [preset, "--device", "cpu", "--json", ...precision, ...common];
      const result = await getLast(runTinybard<StepResult>("../step.bench.js", args));
      return { ...result, ms: result.msPerStep };
    },
    async measureTorch({ compile, dtype }) {
      const variant = ["--compile", compile, "--dtype", dtype];
      const args = ["--preset", preset, "--device", "cpu", ...variant, ...common];
      type Result = { msPerStep: number; peakMemoryMB: number };
      const result = await getLast(runTorch<Result>("torch_gpt.py", args));
      return { ...result, ms: result.msPerStep };
    },
    format: (ms) => `${ms.toFixed(2)} ms`,
  };
}

function listVariants(dtypes: readonly TorchVariant["dtype"][]): TorchVariant[] {
  return dtypes.flatMap((dtype) => [
    { compile: "none", dtype },
    { compile: "default", dtype },
  ]);
}

/** Compares generation with a KV cache and batch size 1. */
function compareGeneration(preset: string, { seconds, threads }: Options): Comparison {
  type Result = { tokensPerSecond: number };
  const withTime = (result: Result) => ({ ...result, ms: 1000 / result.tokensPerSecond });
  return {
    name: `${preset}: 200 tokens after a prompt of 16`,
    variants: listVariants(["f32"]),
    async measureTinybard() {
      const args = ["generate", preset, threads, seconds];
      return withTime(await getLast(runTinybard<Result>("tinybard.js", args)));
    },
    async measureTorch({ compile }) {
      const args = ["--preset", preset, "--threads", threads, "--seconds", seconds];
      if (compile === "default") args.push("--compile");
      return withTime(await getLast(runTorch<Result>("torch_generate.py", args)));
    },
    format: (ms) => `${(1000 / ms).toFixed(0)} tokens/s`,
  };
}
