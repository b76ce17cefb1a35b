// tinybard train: collects the options of a run, and trains it.

import type { Device } from "../backend/device.ts";
import { device, devices } from "../backend/devices.ts";
import { UsageError } from "../errors.ts";
import { readJSONObject } from "../files/json.ts";
import type { presets } from "../gpt/presets.ts";
import { checkValues, type OptionTable } from "../options.ts";
import { type TrainConfig, trainOptions } from "../train/config.ts";
import { train } from "../train/loop.ts";
import type { Command } from "./command.ts";
import { buildCudaOnce } from "./cuda.ts";
import { portOption, tokenOption } from "./dashboard.ts";
import { TrainReporter } from "./reporter.ts";

/** Flags that are not part of a run's configuration. */
const commandOptions: OptionTable = {
  config: {
    type: "string",
    help: "JSON file with options; command-line flags override it",
    value: "FILE",
  },
  resume: { type: "string", help: "resume the run in a folder", value: "DIR" },
  quiet: { type: "boolean", help: "print evaluations only" },
  json: { type: "boolean", help: "print the lines of metrics.jsonl instead of text" },
  dashboard: { type: "boolean", help: "show the run in the browser, at --port" },
  tensorboard: { type: "boolean", help: "write TensorBoard event files to the run's folder" },
  port: portOption,
  token: tokenOption,
};

interface ConfigFlags extends Partial<TrainConfig> {
  resume?: string;
}

interface TrainFlags extends ConfigFlags {
  config?: string;
  quiet?: boolean;
  json?: boolean;
  dashboard?: boolean;
  tensorboard?: boolean;
  port?: number;
  token?: boolean;
}

type Print = (line: string) => void;

export const trainCommand: Command<TrainFlags> = {
  summary: "train a model",
  options: { ...trainOptions, ...commandOptions },
  appliesDefaults: true, // a preset overrides the defaults, and flags override the preset

  async run({ config: file, quiet, json, dashboard, tensorboard, port, token, ...flags }) {
    const print: Print = (line) => {
      if (!json) console.log(line);
    };
    const options = await collectOptions(flags, file, print);
    const isResumed = flags.resume !== undefined;
    const output = { isResumed, quiet, json, dashboard, tensorboard, port, token, print };
    const reporter = new TrainReporter(output);
    try {
      await reporter.open();
      const result = await train(options, reporter.hooks);
      return await reporter.finish(result);
    } finally {
      await reporter.close();
    }
  },
};

/**
 * Combines the flags with the config file. For a new run, also builds the CUDA addon if possible,
 * prints the device, and chooses a preset if the user did not choose a configuration.
 */
async function collectOptions(
  flags: ConfigFlags,
  file: string | undefined,
  print: Print,
): Promise<ConfigFlags> {
  const options = { ...(file ? readOptions(file) : {}), ...flags };
  if (options.resume) return options;
  const { device: deviceName = "auto" } = options;
  if (deviceName === "auto") await buildCudaOnce(print);
  const selected = device(deviceName);
  print(formatDevice(selected, deviceName));
  if (options.preset || options.initFrom || file) return options;
  return { ...chooseDefaults(selected, flags.maxIters, print), ...options };
}

/** Formats `device: ts (no C++ addon: REASON)`, with the reasons why faster devices are missing. */
function formatDevice(selected: Device, requested: string): string {
  const reasons: string[] = [];
  if (requested === "auto") {
    for (const { name, reason } of devices()) {
      if (name === selected.name) break;
      reasons.push(String(reason));
    }
  }
  return `device: ${selected}${reasons.length > 0 ? ` (${reasons.join("; ")})` : ""}`;
}

/** Chooses a preset that suits the device, and prints it. */
function chooseDefaults(
  { name }: Device,
  maxItersFlag: number | undefined,
  print: Print,
): Partial<TrainConfig> {
  const byDevice: Record<string, keyof typeof presets> = { cuda: "lecture-10.8m", cpu: "laptop" };
  const preset = byDevice[name];
  const defaults: Partial<TrainConfig> = preset
    ? { preset }
    : { preset: "lecture-0.2m", maxIters: 200, evalInterval: 50, evalIters: 10 };
  const maxIters = maxItersFlag ?? defaults.maxIters;
  const length = maxIters === undefined ? "" : ` for ${maxIters} iterations`;
  print(`preset: ${defaults.preset}${length} (the default on ${name}; choose one with --preset)`);
  return defaults;
}

/** Reads the options in a JSON file. */
function readOptions(file: string): Partial<TrainConfig> {
  let options: Record<string, unknown>;
  try {
    options = readJSONObject(file);
  } catch (cause) {
    throw new UsageError(`config: ${(cause as Error).message}`, { cause });
  }
  checkValues(trainOptions, options, file);
  return options;
}
