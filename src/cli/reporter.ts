// Reports a training run: on the terminal, in TensorBoard event files and on the dashboard. Passes
// signals and the dashboard's controls on to the training loop.

import { generate } from "../gpt/generate.ts";
import { countParameters } from "../gpt/language-model.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import type { Run } from "../runs/run.ts";
import { EventFile } from "../runs/tensorboard.ts";
import { decodeStream, defaultPrompt } from "../tokenizers/tokenizer.ts";
import type { TrainHooks, TrainResult } from "../train/loop.ts";
import { measureMatmulFlops } from "../train/mfu.ts";
import { type Dashboard, IDLE_SECONDS, openDashboard } from "../web/dashboard.ts";
import { DEFAULT_PORT } from "./dashboard.ts";
import { formatLosses, formatTextLoss } from "./losses.ts";
import { ProgressLine } from "./progress.ts";
import { catchSignals } from "./signals.ts";

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

export class TrainReporter {
  readonly hooks: TrainHooks;
  readonly #options: ReporterOptions;
  readonly #signals = catchSignals();
  readonly #progress: ProgressLine | null;
  #run: Run | null = null;
  #dashboard: Dashboard | null = null;
  #events: EventFile | null = null;

  constructor(options: ReporterOptions) {
    this.#options = options;
    const showsProgress = process.stdout.isTTY && !options.quiet && !options.json;
    this.#progress = showsProgress ? new ProgressLine() : null;
    this.hooks = {
      start: (run) => this.#start(run),
      evaluation: (losses) => {
        this.#progress?.clear();
        options.print(formatLosses(losses));
      },
      step: (row) => {
        this.#dashboard?.hooks.step(row);
        this.#progress?.show(row, this.#run as Run);
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

  /** Closes the dashboard's server, which would keep the process alive. */
  async close(): Promise<void> {
    await this.#dashboard?.close();
  }

  async #start(run: Run): Promise<void> {
    const { isResumed, print, tensorboard } = this.#options;
    const { device, config, state, tokens } = run;
    this.#run = run;
    if (isResumed) print(`device: ${device}, step ${state.step}`);
    print(`text: ${run.corpus}, ${tokens.train.length} + ${tokens.val.length} tokens`);
    if (config.initFrom) print(`pretrained: ${config.initFrom}, ${formatTrainable(run)}`);
    print(`run: ${run.out}`);
    if (tensorboard)
      this.#events = new EventFile(run.out, config, state.step, (message) => this.#warn(message));
    if (this.#dashboard) await this.#showRun(this.#dashboard, run);
  }

  async #showRun(dashboard: Dashboard, { out, device, model, config, state }: Run): Promise<void> {
    const { json, print } = this.#options;
    const peak = measureMatmulFlops(device, config.dtype);
    await dashboard.show({
      run: out,
      live: { parameters: countParameters(model), device: device.name, peak },
      step: state.step,
      maxIters: config.maxIters,
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
    const { quiet, json, print } = this.#options;
    this.#events?.append(row);
    if (json) console.log(JSON.stringify(row));
    else if (!this.#progress && !quiet && row.loss !== undefined)
      print(`iter ${row.step}: loss ${row.loss.toFixed(4)}, ${row.tokensPerSecond} tokens/s`);
  }

  /** Reports the result, waits until the dashboard's page is closed, and returns the exit code. */
  async finish(result: TrainResult): Promise<number> {
    const { json, print } = this.#options;
    const { stopped, state, out } = result;
    this.#progress?.clear();
    this.#dashboard?.end(stopped ? "stopped" : "ended", state.step);
    if (stopped)
      console.error(
        `stopped at step ${state.step}, saved a checkpoint; continue with --resume ${out}`,
      );
    else if (!json) await printSummary(result);
    if (this.#dashboard && this.#signals.code === 0) {
      const { openPages, url } = this.#dashboard;
      if (openPages > 0) print("the dashboard stays open until its page is closed; Ctrl-C quits");
      else print(`no page is open: ${url} closes in ${IDLE_SECONDS} seconds, unless it is opened`);
      await Promise.race([this.#dashboard.idle(), this.#signals.received]);
    }
    return stopped ? this.#signals.code : 0;
  }
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

/** Prints a sample, the size of the model and the command for more samples. */
async function printSummary(result: TrainResult): Promise<void> {
  const { model, tokenizer, out, config, valLoss } = result;
  for (const line of formatTextLoss(valLoss, result)) console.log(line);
  console.log("\nsample:");
  const prompt = defaultPrompt(tokenizer);
  const ids = generate(model, { prompt, maxNewTokens: 200, seed: config.seed });
  for await (const text of decodeStream(tokenizer, ids, prompt)) process.stdout.write(text);
  const count = countParameters(model);
  const millions = (count / 1e6).toFixed(6);
  const megabytes = ((4 * count) / 1e6).toFixed(2);
  console.log(`\n\n${millions} M parameters, model size ${megabytes} MB`);
  console.log(`try: npm run sample -- --run ${out}`);
}
