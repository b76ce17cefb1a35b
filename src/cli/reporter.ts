// Reports a training run: on the terminal, in TensorBoard event files and on the dashboard. Passes
// signals and the dashboard's controls on to the training loop.

import { countParameters } from "../gpt/language-model.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";
import { EventFile } from "../runs/tensorboard.ts";
import type { TrainHooks, TrainResult } from "../train/loop.ts";
import { measurePeak } from "../train/mfu.ts";
import { totalSteps } from "../train/time-budget.ts";
import { type Dashboard, IDLE_SECONDS, openDashboard } from "../web/dashboard.ts";
import { getDataInfo } from "../web/data-info.ts";
import { DEFAULT_PORT } from "./dashboard.ts";
import { formatFigures } from "./figures.ts";
import { formatLosses } from "./losses.ts";
import { PrepareLine } from "./prepare-line.ts";
import { Progress } from "./progress.ts";
import { catchSignals } from "./signals.ts";
import { formatLonger, formatResume, printSummary } from "./summary.ts";

export interface ReporterOptions {
  /** True if the run continues from a checkpoint. */
  isResumed: boolean;
  /** Prints evaluations only. */
  quiet?: boolean;
  /** Prints metrics as JSON and nothing else. */
  json?: boolean;
  dashboard?: boolean;
  /** Requires the token in the dashboard's link. */
  token?: boolean;
  tensorboard?: boolean;
  port?: number;
  print: (line: string) => void;
}

/** Ends the preparation of a large text after a signal. */
class Interruption extends Error {}

export class TrainReporter {
  readonly hooks: TrainHooks;
  readonly #options: ReporterOptions;
  readonly #signals = catchSignals();
  /** Null if only evaluations or JSON are printed. */
  readonly #progress: Progress | null;
  readonly #prepareLine = new PrepareLine(process.stderr);
  #run: Run | null = null;
  #dashboard: Dashboard | null = null;
  #events: EventFile | null = null;

  constructor(options: ReporterOptions) {
    this.#options = options;
    const isSilent = options.quiet || options.json;
    this.#progress = isSilent ? null : new Progress(isWideTerminal(process.stdout));
    this.hooks = {
      preparing: (progress) => {
        if (this.#signals.code !== 0) throw new Interruption();
        if (!isSilent) this.#prepareLine.show(progress);
      },
      start: (run) => this.#start(run),
      evaluating: (progress) => this.#progress?.showEvaluation(progress),
      evaluation: (losses) => {
        this.#progress?.clear();
        options.print(formatLosses(losses));
      },
      step: (row) => {
        const run = this.#run as Run;
        this.#dashboard?.setTotal(totalSteps(run));
        this.#dashboard?.hooks.step(row);
        this.#progress?.showStep(row, run);
      },
      logged: (row) => this.#log(row),
      stop: () => this.#signals.code !== 0 || (this.#dashboard?.hooks.stop() ?? false),
      save: () => this.#dashboard?.hooks.save() ?? false,
      saved: (step) => this.#dashboard?.hooks.saved(step),
      paused: () => this.#dashboard?.hooks.paused() ?? false,
      warning: (message) => this.#warn(message),
    };
  }

  /** Opens the dashboard's server. Throws if it cannot listen: before the run's folder exists. */
  async open(): Promise<void> {
    const { dashboard, token, port = DEFAULT_PORT } = this.#options;
    if (!dashboard) return;
    this.#dashboard = await openDashboard({ port, token });
    this.#dashboard.failure.then(({ message }) => {
      this.#dashboard = null;
      this.#progress?.clear();
      console.error(`${message}; training goes on without the dashboard`);
    });
  }

  /** The exit code of the signal that this process has received; 0 without one. */
  get signalCode(): number {
    return this.#signals.code;
  }

  /** Returns the exit code after an error; throws it again unless a signal is its cause. */
  toExitCode(error: unknown): number {
    this.#prepareLine.clear();
    if (!(error instanceof Interruption)) throw error;
    console.error("interrupted; the same command continues to encode the text");
    return this.#signals.code;
  }

  /** Closes the dashboard's server, which would keep the process alive. */
  async close(): Promise<void> {
    await this.#dashboard?.close();
  }

  async #start(run: Run): Promise<void> {
    const { isResumed, print, tensorboard } = this.#options;
    const { device, config, state, tokens } = run;
    const total = totalSteps(run);
    this.#run = run;
    this.#prepareLine.clear();
    if (isResumed) print(`device: ${device}, step ${state.step}`);
    if (config.matmulPrecision === "medium" && !device.precisionFallback)
      print(`matmul precision: medium (${device.name === "cuda" ? "tf32" : "bf16"})`);
    const counts = `${tokens.train.length} + ${tokens.val.length} tokens`;
    print(`${run.shards ? "shards" : "text"}: ${run.corpus}, ${counts}`);
    if (config.initFrom) print(`pretrained: ${config.initFrom}, ${formatTrainable(run)}`);
    print(`run: ${run.out}`);
    if (isResumed && state.step >= total)
      console.error(
        `finished already: step ${state.step} of ${total}; ` +
          `to train longer: ${formatLonger(run)}`,
      );
    if (tensorboard)
      this.#events = new EventFile(run.out, config, state.step, (message) => this.#warn(message));
    if (this.#dashboard) await this.#showRun(this.#dashboard, run);
  }

  async #showRun(dashboard: Dashboard, run: Run): Promise<void> {
    const { json, print } = this.#options;
    const { out, device, model, state } = run;
    const peak = measurePeak(run);
    await dashboard.show({
      run: out,
      live: {
        parameters: countParameters(model),
        device: device.name,
        peak,
        data: getDataInfo(run),
      },
      step: state.step,
      maxIters: totalSteps(run),
    });
    const link = `dashboard: ${dashboard.url}`;
    if (json)
      console.error(link); // the page cannot be opened without the token in it
    else print(link);
  }

  #warn(message: string): void {
    this.#progress?.clear();
    console.error(`warning: ${message}`);
  }

  #log(row: MetricsRow): void {
    this.#events?.append(row);
    if (this.#options.json) console.log(JSON.stringify(row));
    this.#progress?.printRow(row, this.#run as Run);
  }

  /**
   * Reports the result, waits until the dashboard's page is closed, and returns the exit code:
   * `signalCode` if a signal has stopped the run, here or on another rank.
   */
  async finish(result: TrainResult, signalCode = this.#signals.code): Promise<number> {
    const { json, print } = this.#options;
    const { stopped, state, out } = result;
    this.#progress?.clear();
    this.#dashboard?.end(stopped ? "stopped" : "ended", state.step);
    if (stopped) {
      console.error(`stopped at step ${state.step}, saved a checkpoint`);
      console.error(`resume: ${formatResume(out)}`);
    } else if (!json) await printSummary(result);
    if (json) console.log(formatFigures(result));
    if (this.#dashboard && this.#signals.code === 0) {
      const { openPages, url } = this.#dashboard;
      if (openPages > 0) print("the dashboard stays open until its page is closed; Ctrl-C quits");
      else print(`no page is open: ${url} closes in ${IDLE_SECONDS} seconds, unless it is opened`);
      await Promise.race([this.#dashboard.idle(), this.#signals.received]);
    }
    return stopped ? signalCode : 0;
  }
}

/**
 * Returns true for a terminal that has a line to rewrite. Ranks that Open MPI starts have a
 * terminal without columns, even if its own output is a file.
 */
function isWideTerminal({ isTTY, columns }: NodeJS.WriteStream): boolean {
  return isTTY && columns > 0;
}

/** Formats `3,072 of 209,729 parameters are trained`. */
function formatTrainable({ model }: Run): string {
  const weights = [...model.parameters()];
  const trainable = weights.filter((w) => w.requiresGrad);
  const count = trainable.reduce((sum, w) => sum + w.size, 0);
  return `${format(count)} of ${format(countParameters(model))} parameters are trained`;
}

function format(count: number): string {
  return count.toLocaleString("en");
}
