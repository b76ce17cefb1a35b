// Converts a run of the page to the files of a run's folder, and back: those that the program reads
// and writes, and the text beside them.

import { defaultDevice } from "../backend/devices.ts";
import { checkLengths, splitTokens } from "../data/batches.ts";
import { UsageError } from "../errors.ts";
import { readSafetensors } from "../files/safetensors-blob.ts";
import { encodeSafetensors } from "../files/safetensors-format.ts";
import { checkShapes } from "../gpt/shapes.ts";
import { buildEMA, buildModel, buildOptimizer } from "../runs/build.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import { checkWeightShapes } from "../runs/shapes.ts";
import { checkState, type RunState } from "../runs/state.ts";
import { getOptimizerState, getSavedWeights, loadOptimizerState } from "../runs/training-state.ts";
import { scope } from "../scope.ts";
import { tokenizerFromJSON } from "../tokenizers/registry.ts";
import { resolveConfig, type TrainConfig } from "../train/config.ts";
import { StepPlan } from "../train/step-plan.ts";
import type { RunFiles } from "./protocol.ts";
import { fromConfig } from "./settings.ts";
import { sha256 } from "./sha256.ts";
import { checkSize, type PageRun } from "./start.ts";
import { concatenate } from "./zip.ts";

/** Returns the files of a run's folder. Its newest checkpoint is the only one. */
export function toFiles(run: PageRun): RunFiles {
  const { config, tokenizer, model, ema, state, rows, text } = run;
  const metadata = { step: String(state.step) };
  const files: RunFiles = new Map();
  files.set("config.json", encode(`${JSON.stringify(config, null, 2)}\n`));
  files.set("tokenizer.json", encode(`${JSON.stringify(tokenizer)}\n`));
  files.set("metrics.jsonl", encode(rows.map((row) => `${JSON.stringify(row)}\n`).join("")));
  if (text !== null && config.data) files.set(config.data, encode(text));
  files.set("last/state.json", encode(`${JSON.stringify(state, null, 2)}\n`));
  const optimizerState = encodeSafetensors(getOptimizerState(run), metadata);
  files.set("last/optimizer.safetensors", concatenate(optimizerState));
  const weights = encodeSafetensors(getSavedWeights(model, ema), metadata);
  files.set("last/model.safetensors", concatenate(weights));
  return files;
}

/** A text to train on, for files that contain none. */
interface NamedText {
  name: string;
  text: string;
}

/**
 * Opens a run: the files of a folder, of a zip archive, or single files of a run that the user has
 * selected. Without an optimizer state, training begins anew with these weights. Throws an error
 * that names the file that is missing or wrong.
 */
export async function openFiles(files: RunFiles, other?: NamedText): Promise<PageRun> {
  const configPath = findFile(files, "config.json");
  if (!configPath) throw new UsageError("run: config.json is missing among the files");
  const folder = configPath.slice(0, -"config.json".length);
  const json = parseJSON(files, configPath);
  if ("model_type" in json || "architectures" in json)
    throw new UsageError(
      "run: config.json is that of a Hugging Face model; tinybard import converts it",
    );
  const recorded = resolveConfig("config.json", json);
  if (recorded.loraRank !== undefined)
    throw new UsageError(
      "run: holds LoRA adapters without their base; open a run with merged weights, " +
        "which tinybard train --init-from DIR --max-iters 0 makes",
    );
  const tokenizerPath = findFile(files, "tokenizer.json", folder);
  if (!tokenizerPath) throw new UsageError("run: tokenizer.json is missing among the files");
  const tokenizer = tokenizerFromJSON(parseJSON(files, tokenizerPath));
  const checkpoint = findCheckpoint(files, folder);
  const state = readState(files, `${checkpoint}state.json`);
  const own = findText(files, folder, recorded.data);
  const { name, text } = own ?? other ?? { name: "no text", text: null };
  const data = own ? recorded.data : "own.txt";
  const config: TrainConfig = { ...recorded, device: "auto", dtype: "f32", data };
  delete config.out;
  endAsPlanned(config, state);
  checkSize(config, tokenizer.vocabSize);

  const weights = await readSafetensors(
    toFile(files, checkpoint, "model.safetensors"),
    (tensors, { bits }) => {
      if (bits !== undefined) throw new UsageError("the model is quantized; open the original run");
      checkWeightShapes(tensors, config, tokenizer.vocabSize);
    },
  );
  const device = defaultDevice();
  const model = buildModel(config, tokenizer.vocabSize, device, null, { initWeights: false });
  model.loadStateDict(weights.tensors);
  const optimizer = buildOptimizer(config, model);
  const ema = buildEMA(config, model);
  const trainable = { model, optimizer, ema };
  if (files.has(`${checkpoint}optimizer.safetensors`)) {
    const own = Object.entries(getOptimizerState(trainable));
    const shapes = new Map(own.map(([key, { shape }]) => [key, shape]));
    const file = toFile(files, checkpoint, "optimizer.safetensors");
    const { tensors } = await readSafetensors(file, (found) =>
      checkShapes(found, shapes, "the model", (problem) => {
        throw new UsageError(problem);
      }),
    );
    scope(() => loadOptimizerState(trainable, tensors));
  }
  const tokens = text === null ? null : splitTokens(text, tokenizer);
  if (tokens) checkLengths(tokens, name, config.blockSize);
  if (text !== null) state.textSha256 = sha256(text);
  state.tokenizerSha256 = sha256(JSON.stringify(tokenizer));
  const settings = fromConfig(config);
  const rows = readRows(files, `${folder}metrics.jsonl`, state.step);
  const inputs = { settings, config, name, text, tokens, tokenizer };
  return { ...inputs, ...trainable, device, state, rows };
}

/** Turns a time budget, which the page does not have, into the number of steps it came to. */
function endAsPlanned(config: TrainConfig, { step, estimates }: RunState): void {
  if (config.maxSeconds === undefined) return;
  const { total } = new StepPlan(estimates);
  config.maxIters = Math.min(config.maxIters, total === Infinity ? step : total);
  config.estimates = estimates;
  delete config.maxSeconds;
}

/** Returns the path of a file with this name, preferably in `folder`, else the shortest one. */
function findFile(files: RunFiles, name: string, folder = ""): string | undefined {
  if (files.has(folder + name)) return folder + name;
  const paths = [...files.keys()].filter((path) => path === name || path.endsWith(`/${name}`));
  return paths.sort((a, b) => a.length - b.length)[0];
}

/** Returns the folder of the checkpoint to open: the newest one of a run. */
function findCheckpoint(files: RunFiles, folder: string): string {
  const name = "model.safetensors";
  const known = ["last/", "best/", ""].find((own) => files.has(folder + own + name));
  if (known !== undefined) return folder + known;
  const path = findFile(files, name);
  if (!path) throw new UsageError(`run: ${name} is missing among the files`);
  return path.slice(0, -name.length);
}

function findText(files: RunFiles, folder: string, data = ""): NamedText | null {
  const name = data.split(/[/\\]/).at(-1) ?? "";
  const texts = [...files.keys()].filter((path) => path.endsWith(".txt"));
  const path = files.has(folder + name) ? folder + name : texts.length === 1 ? texts[0] : null;
  if (!path) return null;
  const text = new TextDecoder().decode(getFile(files, path));
  return { name: path.replace(/^.*\//, "").replace(/\.txt$/, ""), text };
}

/** Reads a state.json. Loose weights have none: their training begins at step 0. */
function readState(files: RunFiles, path: string): RunState {
  if (files.has(path)) return checkState("state.json", parseJSON(files, path));
  return { step: 0, evaluation: null, bestValLoss: null, elapsedSeconds: 0, textSha256: "" };
}

/** Returns the metrics before a step. Damaged lines are passed over. */
function readRows(files: RunFiles, path: string, step: number): MetricsRow[] {
  const bytes = files.get(path);
  if (!bytes) return [];
  const rows: MetricsRow[] = [];
  for (const line of new TextDecoder().decode(bytes).split("\n")) {
    try {
      const row = JSON.parse(line) as MetricsRow | null;
      if (row && typeof row.step === "number" && row.step < step) rows.push(row);
    } catch {}
  }
  return rows;
}

function getFile(files: RunFiles, path: string): Uint8Array<ArrayBuffer> {
  const bytes = files.get(path);
  if (!bytes) throw new UsageError(`run: ${path} is missing among the files`);
  return bytes;
}

/** Returns a file of a checkpoint with its name, which errors begin with. */
function toFile(files: RunFiles, folder: string, name: string): File {
  return new File([getFile(files, folder + name)], name);
}

function parseJSON(files: RunFiles, path: string): Record<string, unknown> {
  const text = new TextDecoder().decode(getFile(files, path));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new UsageError(`${path}: not valid JSON`, { cause });
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  throw new UsageError(`${path}: not a JSON object`);
}

function encode(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}
