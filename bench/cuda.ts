// Everything that is measured on a GPU, in one go: each kernel beside its ceiling, in f32 and bf16;
// whole steps, in turns with PyTorch's best where Python has it. usage: npm run bench:cuda
// --json FILE (default bench/results/cuda.json) is written anew after each part.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { device } from "tinybard";
import type { Table } from "#src/train/table.js";
import { machine, median, readOptions, run, writeJSON } from "./command.ts";

interface Options {
  json: string;
  rounds: number;
  time: number;
  kernels: boolean;
  peers: boolean;
}

const table: Table = {
  json: { type: "string", help: "the file", default: "bench/results/cuda.json", value: "FILE" },
  rounds: { type: "integer", help: "turns of each step", default: 3, min: 1, value: "N" },
  time: { type: "number", help: "milliseconds for a kernel", default: 100, min: 1, value: "MS" },
  kernels: { type: "boolean", help: "measure each kernel", default: true },
  peers: { type: "boolean", help: "measure PyTorch too", default: true },
};
const steps = [
  ["lecture-10.8m", "bf16"],
  ["lecture-10.8m", "tf32"],
  ["lecture-10.8m", "f32"],
  ["gpt2", "bf16"],
  ["lecture-0.2m", "f32"],
  ["lecture-2.7m", "f32"],
] as const;

const here = (file: string) => fileURLToPath(new URL(file, import.meta.url));

/** What a program prints; an error, with what it said, if it fails. */
function output(command: string, words: string[]): string {
  const { status, stdout, stderr } = spawnSync(command, words, {
    encoding: "utf8",
    maxBuffer: 1e9,
    env: process.env,
  });
  if (status !== 0) throw new Error(`${command} ${words.join(" ")}: ${stderr.slice(-2000)}`);
  return stdout;
}

/** The objects among the lines of a text. */
function objects(text: string): Record<string, unknown>[] {
  return text.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line)] : []));
}

await run(async () => {
  const { options } = readOptions<Options>("npm run bench:cuda -- [options]", table);
  const { addon } = device("cuda");
  const processor = addon && "processor" in addon ? addon.processor : "";
  const matmul = addon && "matmul" in addon ? addon.matmul : "";
  const report: Record<string, unknown> = { ...machine, processor, matmul };
  const save = () => writeJSON(options.json, report);

  const folder = mkdtempSync(join(tmpdir(), "tinybard-bench-"));
  for (const dtype of options.kernels ? ["bf16", "f32"] : []) {
    const json = join(folder, `${dtype}.json`);
    const words = ["--device", "cuda", "--dtype", dtype, "--time", `${options.time}`];
    console.log(output(process.execPath, [here("run.js"), ...words, "--json", json]));
    report[`kernels-${dtype}`] = JSON.parse(readFileSync(json, "utf8")).results;
    save();
  }
  rmSync(folder, { recursive: true });

  const torch = fileURLToPath(new URL("../../bench/peers/torch_gpt.py", import.meta.url));
  const hasTorch = options.peers && spawnSync("python3", ["-c", "import torch"]).status === 0;
  if (!hasTorch) console.log("skipped: PyTorch: it was not asked for, or python3 has none");
  for (const [preset, dtype] of steps) {
    const ours: number[] = [];
    const theirs: Record<string, unknown>[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const words = [preset, "200", "--device", "cuda", "--dtype", dtype, "--json"];
      const [line] = objects(output(process.execPath, [here("step.bench.js"), ...words]));
      ours.push(line.msPerStep as number);
      if (!hasTorch || round > 0) continue; // --best takes minutes: once, between our rounds
      const kind = dtype === "bf16" ? ["--dtype", "bf16"] : ["--dtype", "f32"];
      const exact = dtype === "f32" ? ["--no-tf32"] : [];
      const best = ["--best", "--seconds", "3", ...kind, ...exact];
      theirs.push(
        ...objects(output("python3", [torch, "--preset", preset, "--device", "cuda", ...best])),
      );
    }
    const best = Math.min(...theirs.map(({ msPerStep }) => msPerStep as number));
    const ms = median(ours);
    const beside = theirs.length
      ? `, PyTorch's best ${best.toFixed(3)}: ${(ms / best).toFixed(2)}`
      : "";
    console.log(`${preset} ${dtype}: ${ms.toFixed(3)} ms a step${beside}`);
    report[`step-${preset}-${dtype}`] = { ours, theirs };
    save();
  }
});
