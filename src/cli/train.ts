// tinybard train: runs the training loop and shows how it goes.

import { existsSync, readFileSync } from "node:fs";
import type { Device } from "../backend/device.ts";
import { device, devices } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { generate } from "../gpt/generate.ts";
import { countParameters } from "../gpt/language-model.ts";
import type { presets } from "../gpt/presets.ts";
import type { Module } from "../nn/index.ts";
import { checkValues, type OptionTable } from "../options.ts";
import type { Row } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";
import { EventFile } from "../runs/tensorboard.ts";
import { decodeStream, plainPrompt } from "../tokenizers/tokenizer.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";
import { type TrainResult, train } from "../train/loop.ts";
import { measureMatmulFlops } from "../train/mfu.ts";
import { type Dashboard, openDashboard } from "../web/dashboard.ts";
import { buildCudaOnce } from "./cuda.ts";
import { dashboardTable, usualPort } from "./dashboard.ts";
import { progressLine } from "./progress.ts";
import { textLossLines } from "./textloss.ts";

export const trainCommandTable: OptionTable = {
  ...trainOptions,
  config: { type: "string", help: "a JSON file with options, which flags overrule", value: "FILE" },
  resume: { type: "string", help: "go on with the run in a folder", value: "DIR" },
  quiet: { type: "boolean", help: "print evaluations only" },
  json: { type: "boolean", help: "print the lines of metrics.jsonl instead of text" },
  dashboard: { type: "boolean", help: "show the run in the browser, at --port" },
  tensorboard: { type: "boolean", help: "write what TensorBoard reads into the run's folder" },
  port: dashboardTable.port,
};

interface Flags extends Partial<TrainConfig> {
  config?: string;
  resume?: string;
  quiet?: boolean;
  json?: boolean;
  dashboard?: boolean;
  tensorboard?: boolean;
  port?: number;
}

export async function trainCommand(flags: Flags): Promise<number> {
  const { config: file, quiet = false, json = false, port, ...rest } = flags;
  const { dashboard: isShown, tensorboard, ...given } = rest;
  const options = { ...(file ? readOptions(file) : {}), ...given };
  const say = (line: string) => json || console.log(line);
  if (!given.resume) {
    if ((options.device ?? "auto") === "auto") await buildCudaOnce(say);
    const chosen = device(options.device ?? "auto");
    say(deviceLine(chosen, options.device));
    if (!options.preset && !options.initFrom && !file)
      Object.assign(options, { ...defaultFor(chosen, given.maxIters, say), ...given });
  }
  const signals = onSignals();
  const isTerminal = process.stdout.isTTY && !quiet && !json;
  let run: Run | undefined;
  let dashboard: Dashboard | undefined;
  let events: EventFile | undefined;
  const progress = progressLine();
  const result = await train(options, {
    async start(started) {
      run = started;
      if (given.resume) say(`device: ${run.device}, step ${run.state.step}`);
      say(`text: ${run.corpus}, ${run.tokens.train.length} + ${run.tokens.val.length} tokens`);
      if (run.config.initFrom) say(`from: ${run.config.initFrom}, ${trained(run.model)}`);
      say(`run: ${run.out}`);
      if (tensorboard) events = new EventFile(run.out, run.config, run.state.step);
      if (!isShown) return;
      dashboard = await dashboardOf(run, port);
      say(`dashboard: ${dashboard.url}`);
    },
    evaluation({ step, trainLoss, valLoss }) {
      if (isTerminal) progress.clear();
      say(`step ${step}: train loss ${trainLoss.toFixed(4)}, val loss ${valLoss.toFixed(4)}`);
    },
    step(row) {
      dashboard?.hooks.step(row);
      if (isTerminal) progress.show(row, run as Run);
    },
    logged(row) {
      events?.row(row);
      if (json) console.log(JSON.stringify(row));
      else if (!isTerminal && !quiet && row.loss !== undefined) say(plainLine(row, row.loss));
    },
    stop: () => signals.code !== 0 || (dashboard?.hooks.stop() ?? false),
    save: () => dashboard?.hooks.save() ?? false,
    saved: (step) => dashboard?.hooks.saved(step),
    paused: () => dashboard?.hooks.paused() ?? false,
  });
  if (isTerminal) progress.clear();
  dashboard?.end(result.stopped ? "stopped" : "ended", result.state.step);
  if (result.stopped)
    console.error(`stopped at step ${result.state.step}, saved; go on with --resume ${result.out}`);
  else if (!json) await showEnd(result);
  if (dashboard && signals.code === 0) {
    say("the dashboard stays as long as somebody looks at it; Ctrl-C ends it");
    await Promise.race([dashboard.idle(), signals.given]);
  }
  await dashboard?.close();
  return result.stopped ? signals.code : 0;
}

function dashboardOf(
  { out, model, device, config, state }: Run,
  port = usualPort,
): Promise<Dashboard> {
  const peak = measureMatmulFlops(device, config.dtype);
  const live = { parameters: countParameters(model), device: device.name, peak };
  return openDashboard({ run: out, port, live, step: state.step, maxIters: config.maxIters });
}

/** `device: ts (no C++ addon: REASON)`: what was taken, and why nothing faster. */
function deviceLine(chosen: Device, asked = "auto"): string {
  const faster = asked === "auto" ? devices() : [];
  const cut = faster.findIndex(({ name }) => name === chosen.name);
  const reasons = faster.slice(0, Math.max(0, cut)).map(({ reason }) => reason);
  return `device: ${chosen.name}${reasons.length ? ` (${reasons.join("; ")})` : ""}`;
}

/** What is trained where nobody says what. */
function defaultFor(
  chosen: Device,
  asked: number | undefined,
  say: (line: string) => void,
): Partial<TrainConfig> {
  const byDevice: Record<string, [keyof typeof presets, Partial<TrainConfig>]> = {
    cuda: ["lecture-10.8m", {}],
    cpu: ["laptop", {}],
  };
  const brief = { maxIters: 200, evalInterval: 50, evalIters: 10 };
  const [preset, others] = byDevice[chosen.name] ?? ["lecture-0.2m", brief];
  const iterations = asked ?? others.maxIters;
  const length = iterations === undefined ? "" : ` for ${iterations} iterations`;
  say(`preset: ${preset}${length} (the default on ${chosen.name}; choose with --preset)`);
  return { preset, ...others };
}

function readOptions(file: string): Partial<TrainConfig> {
  if (!existsSync(file)) throw new UsageError(`config: there is no file ${file}`);
  let options: unknown;
  try {
    options = JSON.parse(readFileSync(file, "utf8"));
  } catch (error) {
    throw new UsageError(`config: ${file} is not JSON: ${(error as Error).message}`);
  }
  if (typeof options !== "object" || options === null || Array.isArray(options))
    throw new UsageError(`config: ${file} is not a JSON object of options`);
  checkValues(trainOptions, options, file);
  return options;
}

/** Remembers the first SIGINT or SIGTERM as an exit code; a second one ends the process at once. */
function onSignals(): { code: number; given: Promise<void> } {
  let tell = () => {};
  const given = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const signals = { code: 0, given };
  for (const [name, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.on(name, () => {
      if (signals.code) process.exit(code);
      signals.code = code;
      tell();
      console.error(`\n${name}: saving; once more to end without`);
    });
  }
  return signals;
}

/** `3,072 of 209,729 parameters are trained` */
function trained(model: Module): string {
  const [count, all] = [
    [...model.parameters()].filter((w) => w.requiresGrad),
    [...model.parameters()],
  ].map((list) => list.reduce((sum, w) => sum + w.size, 0).toLocaleString("en"));
  return `${count} of ${all} parameters are trained`;
}

function plainLine({ step, tokensPerSecond }: Row, loss: number): string {
  return `iter ${step}: loss ${loss.toFixed(4)}, ${tokensPerSecond} tokens/s`;
}

/** A sample, the size of the model, and where it lies. */
async function showEnd(result: TrainResult): Promise<void> {
  const { model, tokenizer, out, config, valLoss } = result;
  for (const line of textLossLines(valLoss, result)) console.log(line);
  const count = countParameters(model);
  const [millions, MB] = [(count / 1e6).toFixed(6), ((4 * count) / 1e6).toFixed(2)];
  console.log("\na sample:");
  const prompt = plainPrompt(tokenizer);
  const ids = generate(model, { prompt, maxNewTokens: 200, seed: config.seed });
  for await (const text of decodeStream(tokenizer, ids, prompt)) process.stdout.write(text);
  console.log(`\n\n${millions} M parameters, model size ${MB} MB`);
  console.log(`more: npm run sample -- --run ${out}`);
}
