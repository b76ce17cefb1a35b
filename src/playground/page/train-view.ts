// The Train view: the run, its text and settings, what it writes, and its loss.

import { element } from "../../web/page/element.ts";
import { formatLink } from "../link.ts";
import type { DeviceReport, Progress, RunInfo } from "../protocol.ts";
import { type Settings, toConfig } from "../settings.ts";
import { LossView } from "./loss.ts";
import { immediate, SettingsForm } from "./settings-form.ts";
import { TextPicker } from "./text-picker.ts";
import { Trainer } from "./trainer.ts";
import { Transport } from "./transport.ts";
import { Writing } from "./writing.ts";

/** The weight of the previous value in the moving average of the speed. */
const SPEED_SMOOTHING = 0.9;

/** The current run, for the other views. */
export interface CurrentRun {
  trainer: Trainer;
  info: RunInfo;
  step: number;
}

export class TrainView {
  readonly #transport: Transport;
  readonly #writing: Writing;
  readonly #loss: LossView;
  readonly #form: SettingsForm;
  readonly #texts: TextPicker;
  readonly #status = find("status");
  readonly #notice = find("notice");
  readonly #restart = element("button", { type: "button", class: "restart" }, "Start over");
  readonly #pending = element("p", { class: "small soft pending" });
  #trainer: Trainer | null = null;
  #run: RunInfo | null = null;
  #progress: Progress | null = null;
  #speed = 0;

  constructor(settings: Settings) {
    this.#restart.addEventListener("click", () => void this.startOver());
    const actions = element("div", { class: "apply" }, this.#restart, this.#pending);
    this.#transport = new Transport(find("transport"), {
      setPaused: (isPaused) => void this.#setPaused(isPaused),
      startOver: () => void this.startOver(),
      trainLonger: () => this.#trainLonger(),
    });
    this.#writing = new Writing(find("writing"), {
      setSampling: (sampling) => {
        this.#trainer?.call("setSampling", sampling).catch(({ message }: Error) => {
          this.#writing.showError(message);
        });
      },
      sample: () => void this.#trainer?.call("sample", {}),
    });
    this.#loss = new LossView(find("loss"));
    this.#texts = new TextPicker(find("text"), settings.text, () => this.#change("text"));
    this.#form = new SettingsForm(
      find("settings"),
      settings,
      (name) => this.#change(name),
      actions,
    );
  }

  /** The settings that are selected, which may not be those of the run yet. */
  get settings(): Settings {
    return { ...this.#form.settings, text: this.#texts.selected };
  }

  get current(): CurrentRun | null {
    if (!this.#trainer || !this.#run) return null;
    return { trainer: this.#trainer, info: this.#run, step: this.#progress?.step ?? 0 };
  }

  /** Starts a new run with the selected settings. */
  async startOver(): Promise<void> {
    this.showNotice("");
    try {
      const { settings } = this;
      toConfig(settings); // throws if they are wrong
      const { text, name } = await this.#texts.read();
      await this.#begin((trainer) => trainer.call("start", { settings, text, name }));
      history.replaceState(null, "", formatLink(settings) || location.pathname + location.search);
      this.#announce("Training has started.");
    } catch (error) {
      this.showNotice((error as Error).message);
    }
  }

  /** Shows a message above the run, or hides it. */
  showNotice(message: string): void {
    this.#notice.textContent = message;
    this.#notice.hidden = message === "";
  }

  /** Replaces the worker by a new one, and the run by that which `open` starts in it. */
  async #begin(open: (trainer: Trainer) => Promise<RunInfo>): Promise<void> {
    const trainer = new Trainer({
      ready: (report) => showDevice(report),
      progress: (progress) => this.#showProgress(progress),
      sample: (sample) => this.#writing.show(sample),
      failure: ({ message }) => this.showNotice(message),
    });
    this.#trainer?.end();
    this.#trainer = trainer;
    const info = await open(trainer);
    if (this.#trainer !== trainer) return; // another run was started in the meantime
    this.#run = info;
    this.#speed = 0;
    this.#writing.clear();
    this.#transport.showRun(info);
    this.#loss.start(info.vocabulary.length, info.rows);
    this.#showProgress(info.progress);
    this.#showPending();
    await trainer.call("setSampling", this.#writing.settings).catch(({ message }: Error) => {
      this.#writing.showError(message);
    });
  }

  #showProgress(progress: Progress): void {
    const previous = this.#progress?.state;
    this.#progress = progress;
    this.#loss.append(progress.rows);
    const { tokensPerSecond } = progress;
    const weight = this.#speed > 0 ? SPEED_SMOOTHING : 0;
    this.#speed = weight * this.#speed + (1 - weight) * tokensPerSecond;
    this.#transport.show(progress, this.#loss.smoothed, this.#speed);
    document.body.dataset.state = progress.state;
    if (progress.state === previous) return;
    if (progress.state === "paused") this.#announce(`Paused at step ${progress.step}.`);
    if (progress.state === "finished") this.#announce(`Finished after ${progress.step} steps.`);
  }

  async #setPaused(isPaused: boolean): Promise<void> {
    await this.#trainer?.call("setPaused", { isPaused });
  }

  #trainLonger(): void {
    if (!this.#progress) return;
    const maxIters = this.#progress.maxIters * 2;
    this.#form.show({ ...this.#form.settings, maxIters });
    void this.#trainer?.call("setMaxIters", { maxIters });
    this.#showPending();
  }

  #change(name: keyof Settings): void {
    if (!this.#form.problem && this.#trainer && this.#run) {
      const { learningRate, maxIters } = this.#form.settings;
      this.#run = { ...this.#run, settings: { ...this.#run.settings } };
      if (name === "learningRate") {
        this.#run.settings.learningRate = learningRate;
        void this.#trainer.call("setLearningRate", { learningRate });
      }
      if (name === "maxIters") {
        this.#run.settings.maxIters = maxIters;
        void this.#trainer.call("setMaxIters", { maxIters });
      }
    }
    this.#showPending();
  }

  /** Says which settings are waiting for a new run. */
  #showPending(): void {
    const own = this.#run?.settings;
    const { settings } = this;
    const names = Object.keys(settings) as (keyof Settings)[];
    const isChanged = (name: keyof Settings) =>
      !immediate.includes(name) && own !== undefined && own[name] !== settings[name];
    const hasChanged = names.some(isChanged) || settings.text === "own";
    this.#restart.classList.toggle("main", hasChanged);
    this.#restart.textContent = hasChanged ? "Start over with these" : "Start over";
    this.#restart.disabled = this.#form.problem !== "";
    this.#pending.textContent = hasChanged ? "The running training still has the old ones." : "";
  }

  #announce(message: string): void {
    this.#status.textContent = message;
  }
}

export function find(id: string): HTMLElement {
  return document.getElementById(id) as HTMLElement;
}

function showDevice({ device, threads, reason }: DeviceReport): void {
  const text = find("device");
  const names: Record<string, string> = { wasm: "WebAssembly", ts: "JavaScript" };
  const count = threads > 1 ? `, ${threads} threads` : "";
  text.textContent = `${names[device] ?? device}${count}`;
  text.title = reason;
}
