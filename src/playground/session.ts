// A run that is trained in the page: steps, evaluations and samples in turn. Between them the
// worker receives messages. The steps are those of the program's training loop, train/loop.ts.

import { countParameters } from "../gpt/language-model.ts";
import type { MetricsRow } from "../runs/metrics.ts";
import { type StepResult, TrainStep } from "../train/captured-step.ts";
import { checkEvaluation } from "../train/divergence.ts";
import { makeEvaluator } from "../train/evaluate.ts";
import { makeSchedule } from "../train/schedule.ts";
import { makePlan } from "../train/step-plan.ts";
import { describeModel } from "../web/model-inspection.ts";
import type { Events, Progress, RunInfo, RunState, SamplingSettings } from "./protocol.ts";
import { encodePrompt, writeSample } from "./sample.ts";
import type { PageRun } from "./start.ts";

/** The time between two reports of progress, and the shortest one between two samples, in ms. */
const REPORT_INTERVAL = 150;
const SAMPLE_INTERVAL = 2000;
/** Samples wait for this multiple of the time that the last one took. */
const MIN_SAMPLE_RATIO = 10;

export type Emit = <K extends keyof Events>(event: K, data: Events[K]) => void;

/** The time of some training steps. */
interface Measurement {
  tokens: number;
  seconds: number;
}

export class Session {
  readonly run: PageRun;
  readonly #emit: Emit;
  readonly #nextTask: () => Promise<void>;
  #training: { step: TrainStep; evaluate: ReturnType<typeof makeEvaluator> } | null = null;
  #sampling: SamplingSettings = { prompt: "", temperature: 0.8, isLive: true };
  #isPaused = false;
  #running: Promise<void> | null = null;
  #newRows: MetricsRow[] = [];
  #sinceReport: Measurement = { tokens: 0, seconds: 0 };
  #sinceLog: Measurement = { tokens: 0, seconds: 0 };
  #tokensPerSecond = 0;
  #lastReport = 0;
  #nextSample = 0;
  #samples = 0; // that have been begun
  #loss: number;

  /** `nextTask` resolves after the messages that are waiting have been received. */
  constructor(run: PageRun, emit: Emit, nextTask: () => Promise<void>) {
    this.run = run;
    this.#emit = emit;
    this.#nextTask = nextTask;
    this.#loss = run.rows.findLast(({ loss }) => loss !== undefined)?.loss ?? Number.NaN;
  }

  get info(): RunInfo {
    const { settings, name, tokenizer, text, tokens, config, model, state, rows } = this.run;
    const { vocabulary, layers, heads } = describeModel({ model, tokenizer, step: state.step });
    return {
      settings,
      name,
      parameters: countParameters(model),
      vocabulary,
      characters: text?.length ?? 0,
      trainTokens: tokens?.train.length ?? 0,
      layers,
      heads,
      blockSize: config.blockSize,
      rows,
      progress: this.#createProgress([]),
      text,
    };
  }

  /** Trains until the last step, a pause or an error, each of which it reports. */
  train(): Promise<void> {
    this.#running ??= this.#trainAndReport().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #trainAndReport(): Promise<void> {
    if (!this.run.tokens) return;
    this.#report();
    try {
      await this.#loop();
    } catch (error) {
      this.#isPaused = true;
      this.#training = null; // a new TrainStep forgets that a value was infinite
      this.#emit("failure", { message: (error as Error).message });
    }
    this.#report();
  }

  /** Ends training after the current step, or continues it. */
  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (!isPaused) void this.train();
  }

  /** Changes the learning rate from the next step on. */
  setLearningRate(learningRate: number): void {
    const { run } = this;
    run.config = { ...run.config, learningRate, minLr: learningRate / 10 };
    run.settings = { ...run.settings, learningRate };
  }

  /** Sets the number of steps, at least those that have been taken. */
  setMaxIters(maxIters: number): void {
    const { run } = this;
    const steps = Math.max(maxIters, run.state.step);
    run.config = { ...run.config, maxIters: steps };
    run.settings = { ...run.settings, maxIters: steps };
    this.#report();
    if (!this.#isPaused) void this.train();
  }

  /** Throws if the tokenizer cannot encode the prompt. */
  setSampling(sampling: SamplingSettings): void {
    encodePrompt(this.run, sampling.prompt);
    this.#sampling = sampling;
    this.#nextSample = 0;
  }

  /** Writes a sample now, which replaces one that is being written. */
  async sample(): Promise<void> {
    const start = performance.now();
    const number = ++this.#samples;
    await writeSample(this.run, this.#sampling, this.#loss, async (text) => {
      this.#emit("sample", text);
      await this.#nextTask();
      return number === this.#samples;
    });
    const end = performance.now();
    this.#nextSample = end + Math.max(SAMPLE_INTERVAL, MIN_SAMPLE_RATIO * (end - start));
  }

  async #loop(): Promise<void> {
    const { run } = this;
    const { step, evaluate } = this.#prepare();
    do {
      while (!this.#isPaused) {
        if (run.state.step > 0) await this.#evaluateIfDue(evaluate); // the first step is earlier
        if (!this.#isTraining) break;
        this.#takeStep(step);
        const now = performance.now();
        const isSampleDue = this.#sampling.isLive && now >= this.#nextSample;
        if (isSampleDue || now >= this.#lastReport + REPORT_INTERVAL) this.#report();
        if (isSampleDue) await this.sample();
        await this.#nextTask();
      }
      this.#report(); // at once: the sample takes a while
      if (run.state.step > 0) await this.sample();
    } while (this.#isTraining); // it was continued during the sample
  }

  get #isTraining(): boolean {
    return !this.#isPaused && this.run.state.step < this.run.config.maxIters;
  }

  #prepare() {
    const { config, device, model, optimizer, ema, tokens } = this.run;
    if (!tokens) throw new Error("train: the run has no text");
    const trained = { config, device, model, optimizer, ema, tokens };
    this.#training ??= { step: new TrainStep(trained), evaluate: makeEvaluator(trained) };
    return this.#training;
  }

  /** Evaluates at each evalInterval and at the end. */
  async #evaluateIfDue(evaluate: ReturnType<typeof makeEvaluator>): Promise<void> {
    const { config, model, state } = this.run;
    const { step, bestValLoss } = state;
    const isDue = step % config.evalInterval === 0 || step >= config.maxIters;
    if (!isDue || state.evaluation) return;
    const losses = await evaluate(step, { isStopped: () => this.#isPaused });
    if (!losses) return;
    checkEvaluation(model, step, losses);
    state.evaluation = losses;
    state.bestValLoss = Math.min(bestValLoss ?? Infinity, losses.valLoss);
    this.#add({ step, elapsedSeconds: state.elapsedSeconds, ...losses }, true);
  }

  #takeStep(trainStep: TrainStep): void {
    const { config, optimizer, state } = this.run;
    const start = performance.now();
    optimizer.lr = this.#lrAt(state.step);
    trainStep.run(state.step);
    const results = trainStep.flush();
    const seconds = (performance.now() - start) / 1000;
    for (const measurement of [this.#sinceReport, this.#sinceLog]) {
      measurement.tokens += config.batchSize * config.blockSize;
      measurement.seconds += seconds;
    }
    state.elapsedSeconds = Math.round(1000 * (state.elapsedSeconds + seconds)) / 1000;
    for (const result of results) this.#log(result);
    state.step++;
    state.evaluation = null;
  }

  #lrAt(step: number): number {
    const { config } = this.run;
    return makeSchedule(config, makePlan(config))(step);
  }

  /** Records the result of a step. The page sees each one, metrics.jsonl those that are logged. */
  #log({ step, loss, gradNorm }: StepResult): void {
    const { config, state } = this.run;
    this.#loss = loss;
    const isLogged = step % config.logInterval === 0;
    const { tokens, seconds } = this.#sinceLog;
    const tokensPerSecond = Math.round(tokens / seconds);
    const lr = this.#lrAt(step);
    const { elapsedSeconds } = state;
    const row = { step, loss, lr, gradNorm, tokensPerSecond, elapsedSeconds };
    this.#add({ ...row, ...state.evaluation }, isLogged); // replaces the row of the evaluation
    if (isLogged) this.#sinceLog = { tokens: 0, seconds: 0 };
  }

  #add(row: MetricsRow, isLogged: boolean): void {
    this.#newRows.push(row);
    const { rows } = this.run;
    if (rows.at(-1)?.step === row.step) rows[rows.length - 1] = row;
    else if (isLogged) rows.push(row);
  }

  #createProgress(rows: MetricsRow[]): Progress {
    const { state, config, tokens } = this.run;
    const { tokens: count, seconds } = this.#sinceReport;
    if (seconds > 0) this.#tokensPerSecond = count / seconds;
    let phase: RunState = "training";
    if (state.step >= config.maxIters) phase = "finished";
    else if (this.#isPaused) phase = "paused";
    if (!tokens) phase = "untrainable";
    return {
      state: phase,
      step: state.step,
      maxIters: config.maxIters,
      elapsedSeconds: state.elapsedSeconds,
      tokensPerSecond: this.#tokensPerSecond,
      rows,
    };
  }

  #report(): void {
    this.#emit("progress", this.#createProgress(this.#newRows));
    this.#newRows = [];
    this.#sinceReport = { tokens: 0, seconds: 0 };
    this.#lastReport = performance.now();
  }
}
