// tinybard quantize: writes a quantized copy of a run, and compares its size, losses and speed.

import { statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { device } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { generate } from "../gpt/generate.ts";
import type { Bits } from "../ops/quantized.ts";
import type { CheckpointName } from "../runs/choose.ts";
import { findWeightsFile, loadRun, readConfig } from "../runs/load.ts";
import { quantizeRun } from "../runs/quantize.ts";
import { loadTokenizer } from "../tokenizers/io.ts";
import type { TrainConfig } from "../train/config.ts";
import { loadEvaluationText, measureRun } from "../train/measure.ts";
import { type Command, dataOption, deviceOption } from "./command.ts";
import { type RunFlags, runOptions, selectCheckpoint } from "./run-folder.ts";

interface QuantizeFlags extends RunFlags {
  bits: Bits;
  out?: string;
  iters: number;
  tokens: number;
  data?: string;
  device: TrainConfig["device"];
}

export const quantizeCommand: Command<QuantizeFlags> = {
  summary: "quantize the weights of a model to 8 or 4 bits",
  writesFiles: true,
  options: {
    ...runOptions,
    bits: { type: "integer", help: "bits per weight: 8 or 4", default: 8, value: "N" },
    out: {
      type: "string",
      help: "folder of the new run (default: RUN-8bit or RUN-4bit)",
      value: "DIR",
    },
    iters: {
      type: "integer",
      help: "batches per split to measure the losses on",
      default: 200,
      min: 1,
      value: "N",
    },
    tokens: {
      type: "integer",
      help: "tokens to generate to measure the speed",
      default: 500,
      min: 1,
      value: "N",
    },
    data: dataOption,
    device: deviceOption,
  },

  async run({ bits, out: outFlag, iters, tokens, data, device: deviceName, ...flags }) {
    if (bits !== 8 && bits !== 4)
      throw new UsageError(`quantize: bits is ${bits}, expected 8 or 4`);
    const { run, checkpoint } = selectCheckpoint("quantize", flags);
    const selected = device(deviceName);
    const out = outFlag ?? `${run.replace(/[/\\]+$/, "")}-${bits}bit`;
    const { base } = flags;
    const problem = await findTextProblem(run, data);
    // a copy whose losses could not be measured is measured once its text is named
    const reuse = data !== undefined;
    quantizeRun(run, { out, bits, device: selected, checkpoint, base, reuse });
    console.log(`${selected}: ${out}`);
    console.log(formatRow("bits", "MB", "train loss", "val loss", "tokens/s"));
    const copies = [
      { folder: run, bits: 32, checkpoint, base },
      { folder: out, bits },
    ];
    const speeds = await measureSpeeds(copies, selected, tokens);
    for (const [i, copy] of copies.entries()) {
      const { folder, bits, ...source } = copy;
      const losses = problem
        ? null
        : await measureRun(folder, { iters, data, device: selected, ...source });
      const bytes = statSync(findWeightsFile(folder) as string).size;
      console.log(
        formatRow(
          String(bits),
          (bytes / 1e6).toFixed(2),
          losses?.trainLoss.toFixed(4) ?? "-",
          losses?.valLoss.toFixed(4) ?? "-",
          speeds[i].toFixed(0),
        ),
      );
    }
    if (problem) console.log(`losses: not measured: ${problem}`);
    return 0;
  },
};

/** A run, and the checkpoint and the base model to read. */
interface Copy {
  folder: string;
  checkpoint?: CheckpointName;
  base?: string;
}

/**
 * Returns why the losses cannot be measured, or "". The model can be quantized without its text,
 * but a text that was named has to be usable.
 */
async function findTextProblem(run: string, data: string | undefined): Promise<string> {
  try {
    const tokenizer = loadTokenizer(join(run, "tokenizer.json"));
    await loadEvaluationText({ config: readConfig(run), tokenizer }, data);
    return "";
  } catch (error) {
    if (data !== undefined || !(error instanceof UsageError)) throw error;
    return error.message;
  }
}

function formatRow(...cells: string[]): string {
  return cells.map((cell) => cell.padStart(10)).join("  ");
}

/**
 * Measures how many tokens per second each model generates: the median of five runs after a
 * warm-up. The runs of the models are interleaved, so that other load on the machine affects all
 * models.
 */
async function measureSpeeds(copies: Copy[], device: Device, tokens: number): Promise<number[]> {
  const models = copies.map(
    ({ folder, checkpoint, base }) =>
      loadRun(folder, device, checkpoint && [checkpoint], { base }).model,
  );
  const maxNewTokens = Math.ceil(tokens / 5);
  const speeds: number[][] = models.map(() => []);
  for (let round = 0; round < 6; round++) {
    for (const [i, model] of models.entries()) {
      const start = performance.now();
      for await (const _ of generate(model, { prompt: [0], maxNewTokens, seed: 1 }));
      const seconds = (performance.now() - start) / 1000;
      if (round > 0) speeds[i].push(maxNewTokens / seconds);
    }
  }
  return speeds.map((measured) => measured.sort((a, b) => a - b)[2]);
}
