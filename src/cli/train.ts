// tinybard train: collects the options of a run, and trains it.

import type { Device } from "../backend/device.ts";
import { device, devices } from "../backend/devices.ts";
import type { Communicator } from "../distributed/communicator.ts";
import { joinProcessGroup } from "../distributed/process-group.ts";
import { UsageError } from "../errors.ts";
import { readJSONObject } from "../files/json.ts";
import { presets } from "../gpt/presets.ts";
import { checkValues, type OptionTable } from "../options.ts";
import { findStarter } from "../runs/folder.ts";
import { prepareOnFirstRank, reportFailure } from "../runs/ranks.ts";
import { resolveConfig, type TrainConfig, trainOptions } from "../train/config.ts";
import { override } from "../train/levels.ts";
import { train } from "../train/loop.ts";
import { type Command, trainingDataOption } from "./command.ts";
import { formatCount } from "./count.ts";
import { buildCudaOnce } from "./cuda.ts";
import { portOption, tokenOption } from "./dashboard.ts";
import { announceProcess, launch } from "./launch.ts";
import { leave, runOnRank } from "./ranks.ts";
import { TrainReporter } from "./reporter.ts";
import { catchSignals } from "./signals.ts";

/** Flags that are not part of a run's configuration. */
const commandOptions: OptionTable = {
  config: {
    type: "string",
    help: "JSON file with options; command-line flags override it",
    value: "FILE",
  },
  resume: { type: "string", help: "resume the run in a folder", value: "DIR" },
  quiet: { type: "boolean", help: "print evaluations only" },
  json: {
    type: "boolean",
    help: "print JSON instead of text: the lines of metrics.jsonl, then one with the result",
  },
  dashboard: { type: "boolean", help: "show the run in the browser, at --port" },
  tensorboard: { type: "boolean", help: "write TensorBoard event files to the run's folder" },
  port: portOption,
  token: tokenOption,
  processes: {
    type: "integer",
    help: "train with N processes of this machine, started by mpirun",
    min: 1,
    max: 4096,
    value: "N",
  },
  gpus: {
    type: "integer",
    help: "train with one process for each of N GPUs of this machine",
    min: 1,
    max: 4096,
    value: "N",
  },
  timeout: {
    type: "number",
    help: "with several processes: end all if one has not answered for X seconds (default: 600)",
    above: 0,
    value: "X",
  },
};

interface ConfigFlags extends Partial<TrainConfig> {
  resume?: string;
}

interface TrainFlags extends ConfigFlags {
  processes?: number;
  gpus?: number;
  timeout?: number;
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
  writesFiles: true,
  options: { ...trainOptions, data: trainingDataOption, ...commandOptions },
  describeDefaults,
  appliesDefaults: true, // a preset overrides the defaults, and flags override the preset

  async run({ processes, gpus, timeout, ...flags }) {
    const { device } = flags;
    const exitCode = await launch({ processes, gpus, device });
    if (exitCode !== null) return exitCode;
    const communicator = joinProcessGroup({ device, timeout });
    const run = communicator.rank === 0 ? trainOnFirstRank : trainOnOtherRank;
    return runOnRank(communicator, () => run(communicator, flags));
  },
};

/** Trains, and reports the training. */
async function trainOnFirstRank(
  communicator: Communicator,
  { config: file, quiet, json, dashboard, tensorboard, port, token, ...flags }: TrainFlags,
): Promise<number> {
  announceProcess();
  const print: Print = (line) => {
    if (!json) console.log(line);
  };
  const starter = flags.resume === undefined ? null : findStarter(flags.resume);
  if (starter !== null) {
    console.error(
      `${flags.resume}: process ${starter} has just started this run and is training it; ` +
        "it has no checkpoint to resume yet",
    );
    reportFailure(communicator);
    return 0; // as for a finished run, there is nothing to do
  }
  const { size, engine } = communicator;
  if (size > 1) print(`processes: ${size}, connected by ${engine}`);
  const isResumed = flags.resume !== undefined;
  const output = { isResumed, quiet, json, dashboard, tensorboard, port, token, print };
  const prepare = async () => {
    const options = await collectOptions(flags, file, print);
    const reporter = new TrainReporter(output);
    await reporter.open();
    return { options, reporter };
  };
  const { options, reporter } = await prepareOnFirstRank(communicator, prepare);
  try {
    const result = await train(options, reporter.hooks);
    return await reporter.finish(result, leave(communicator, reporter.signalCode));
  } catch (error) {
    return reporter.toExitCode(error);
  } finally {
    await reporter.close();
  }
}

/** Takes part in the training that rank 0 reports. */
async function trainOnOtherRank(communicator: Communicator, { data }: TrainFlags): Promise<number> {
  const signals = catchSignals({ isQuiet: true });
  await train({ data }, { stop: () => signals.code !== 0 });
  leave(communicator, signals.code);
  return 0;
}

/**
 * Combines the flags with the config file. For a new run, also builds the CUDA addon if possible,
 * prints the device, and chooses a preset if the user did not choose a configuration.
 */
async function collectOptions(
  flags: ConfigFlags,
  file: string | undefined,
  print: Print,
): Promise<ConfigFlags> {
  const options: ConfigFlags = override(file ? readOptions(file) : {}, flags);
  if (options.resume) return options;
  const { device: deviceName = "auto" } = options;
  if (deviceName === "auto") await buildCudaOnce(print);
  const selected = device(deviceName);
  print(formatDevice(selected, deviceName));
  if (options.preset || options.initFrom || file) return options;
  const defaults = chooseDefaults(selected.name);
  const chosen = override<ConfigFlags>(defaults, options);
  const { maxIters, maxSeconds } = chosen;
  const steps = maxIters === undefined ? "" : ` for ${formatCount(maxIters, "iteration")}`;
  const length = maxSeconds === undefined ? steps : ` for ${formatCount(maxSeconds, "second")}`;
  const why = `the default on ${selected}; choose one with --preset`;
  print(`preset: ${defaults.preset}${length} (${why})`);
  return chosen;
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

/** Returns the options of a run without --preset, --config and --init-from: those of a preset. */
function chooseDefaults(name: string): Partial<TrainConfig> & Pick<TrainConfig, "preset"> {
  const byDevice: Record<string, keyof typeof presets> = {
    cuda: "lecture-10.8m",
    cpu: "laptop",
    wasm: "laptop",
  };
  const preset = byDevice[name];
  if (preset) return { preset };
  return { preset: "lecture-0.2m", maxIters: 200, evalInterval: 50, evalIters: 10 };
}

/** Describes the default options on the device, or those of the preset in the arguments. */
function describeDefaults(args: readonly string[]): { note: string; values: object } {
  const option = (name: string) => {
    const index = args.findIndex((arg) => arg === name || arg.startsWith(`${name}=`));
    return index < 0 ? undefined : (args[index].split("=")[1] ?? args[index + 1]);
  };
  const preset = option("--preset");
  if (preset !== undefined && Object.hasOwn(presets, preset)) {
    const values = resolveConfig("train", { preset: preset as TrainConfig["preset"] });
    return { note: `Defaults of the preset ${preset}:`, values };
  }
  const name = option("--device") ?? "auto";
  const selected = name === "auto" ? device("auto").name : name;
  const defaults = chooseDefaults(selected);
  const values = { ...resolveConfig("train", defaults), device: "auto" };
  const note =
    `Without --preset, --config and --init-from, the defaults are those of ${defaults.preset} ` +
    `on ${selected}:`;
  return { note, values };
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
