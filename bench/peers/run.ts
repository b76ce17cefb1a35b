// Our speed beside PyTorch's on this machine. usage: npm run bench:peers -- --help

import { UsageError } from "#src/errors.js";
import type { OptionTable } from "#src/options.js";
import { last, machine, readOptions, run, threads, warnIfBusy, writeJSON } from "../command.ts";
import { isGPT, sizesOf } from "../models.ts";
import type { StepResult } from "../step.bench.ts";
import { type Contest, duel } from "./duel.ts";
import { compareProducts } from "./products.ts";
import { ours, torch, torchVersion } from "./sides.ts";

interface Options {
  gemm: boolean;
  generate: boolean;
  rounds: number;
  seconds: number;
  threads: number;
  data?: string;
  json?: string;
}

const table: OptionTable = {
  gemm: { type: "boolean", help: "compare matrix products instead of steps", default: false },
  generate: { type: "boolean", help: "compare generation instead of steps", default: false },
  rounds: { type: "integer", help: "times that each is measured", default: 5, min: 1, value: "N" },
  seconds: { type: "number", help: "to measure for each time", default: 5, min: 0.01, value: "S" },
  threads,
  data: { type: "string", help: "a text to train on instead of random tokens", value: "FILE" },
  json: { type: "string", help: "write all figures to a file", value: "FILE" },
};
const usage = "npm run bench:peers -- [preset ...] [options]";

await run(async () => {
  const { words, options } = readOptions<Options>(usage, table);
  const { gemm, generate, rounds, threads, json } = options;
  const usual = generate ? ["lecture-10.8m"] : ["lecture-0.2m", "nanogpt-cpu", "lecture-2.7m"];
  const names = words.length > 0 ? words : usual;
  for (const name of names)
    if (!isGPT(name) || name === "gpt2")
      throw new UsageError(`bench:peers: ${name} is no preset with characters for tokens`);
  const version = torchVersion();
  console.log(`PyTorch ${version}, ${threads} ${threads === 1 ? "thread" : "threads"} each`);
  warnIfBusy();
  const results: unknown[] = [];
  for (const name of names) {
    if (gemm) results.push(await compareProducts(name, options));
    else results.push(await duel((generate ? generation : training)(name, options), rounds));
  }
  if (json) writeJSON(json, { ...machine, torch: version, ...options, results });
});

/** Training steps, ours as bench:step takes them. */
function training(preset: string, { seconds, threads, data }: Options): Contest {
  const { M } = sizesOf(preset);
  const common = ["--seconds", seconds, "--threads", threads, ...(data ? ["--data", data] : [])];
  return {
    name: `${preset}: a training step of ${M} tokens`,
    async ours() {
      const words = [preset, "--device", "cpu", "--json", ...common];
      const result = await last(ours<StepResult>("../step.bench.js", words));
      return { ...result, ms: result.msPerStep };
    },
    async torch(compile) {
      const words = ["--preset", preset, "--device", "cpu", "--compile", compile, ...common];
      type Result = { msPerStep: number; peakMemoryMB: number };
      const result = await last(torch<Result>("torch_gpt.py", words));
      return { ...result, ms: result.msPerStep };
    },
    show: (ms) => `${ms.toFixed(2)} ms`,
  };
}

/** Text by a KV cache, a sequence at a time. */
function generation(preset: string, { seconds, threads }: Options): Contest {
  type Result = { tokensPerSecond: number };
  const figure = (result: Result) => ({ ...result, ms: 1000 / result.tokensPerSecond });
  return {
    name: `${preset}: 200 tokens behind a prompt of 16`,
    async ours() {
      const words = ["generate", preset, threads, seconds];
      return figure(await last(ours<Result>("ours.js", words)));
    },
    async torch(compile) {
      const words = ["--preset", preset, "--threads", threads, "--seconds", seconds];
      if (compile === "default") words.push("--compile");
      return figure(await last(torch<Result>("torch_generate.py", words)));
    },
    show: (ms) => `${(1000 / ms).toFixed(0)} tokens/s`,
  };
}
