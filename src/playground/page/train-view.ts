// The Train view: the run, its text and settings, what it writes, and its loss.

import { formatLink } from "../link.ts";
import type { Events, Progress, RunFiles, RunInfo } from "../protocol.ts";
import { type Settings, toConfig } from "../settings.ts";
import { listenToDrops } from "./drops.ts";
import { FilesCard } from "./files-card.ts";
import { Keeper } from "./keeper.ts";
import { LossView } from "./loss.ts";
import { PendingSettings } from "./pending.ts";
import { readRunFiles } from "./run-upload.ts";
import { immediate, SettingsForm } from "./settings-form.ts";
import { announce, find, showDevice, showFailure, showNotice } from "./status.ts";
import { TextPicker } from "./text-picker.ts";
import { type CurrentRun, Trainer } from "./trainer.ts";
import { Transport } from "./transport.ts";
import { Writing } from "./writing.ts";

/** The weight of the previous value in the moving average of the speed. */
const SPEED_SMOOTHING = 0.9;

export class TrainView {
  readonly #transport: Transport;
  readonly #writing: Writing;
  readonly #loss: LossView;
  readonly #form: SettingsForm;
  readonly #texts: TextPicker;
  readonly #pending: PendingSettings;
  readonly #files: FilesCard;
  readonly #keeper: Keeper;
  #current: CurrentRun | null = null;
  /** The worker of a run that is being started or opened. */
  #opening: Trainer | null = null;
  #progress: Progress | null = null;
  #speed = 0;
  /** The files of a model that was opened without a text. */
  #untrained: RunFiles | null = null;

  constructor(settings: Settings) {
    this.#pending = new PendingSettings({
      startOver: () => void this.startOver(),
      trainOnText: () => void this.#trainOnText(),
    });
    this.#transport = new Transport(find("transport"), {
      setPaused: (isPaused) => void this.#current?.trainer.call("setPaused", { isPaused }),
      startOver: () => void this.startOver(),
      trainLonger: () => this.#setMaxIters(Math.max(1000, 2 * (this.#progress?.maxIters ?? 0))),
    });
    this.#writing = new Writing(find("writing"), {
      setSampling: () => void this.#sendSampling(),
      sample: () => void this.#sample(),
    });
    this.#loss = new LossView(find("loss"));
    this.#texts = new TextPicker(find("text"), settings.text, () => this.#showPending());
    const { root } = this.#pending;
    this.#form = new SettingsForm(find("settings"), settings, (name) => this.#change(name), root);
    this.#keeper = new Keeper(() => this.#current);
    this.#files = new FilesCard(find("files"), {
      save: () => this.#keeper.save(),
      openSaved: () => this.#openSaved(),
      download: () => this.#keeper.download(),
      open: (files) => this.openFiles(files),
      getLink: () => this.#link,
    });
    listenToDrops({
      openText: (text) =>
        typeof text === "string" ? this.#texts.openText(text) : this.#texts.open(text),
      openRun: (files) => this.openFiles(files),
      fail: (error) => this.#files.show(error.message, true),
    });
  }

  get current(): CurrentRun | null {
    return this.#current;
  }

  /** The settings that are selected, which may not be those of the run yet. */
  get #settings(): Settings {
    return { ...this.#form.settings, text: this.#texts.selected };
  }

  get #link(): string {
    const page = location.href.replace(/#.*/, "");
    return page + formatLink(this.#current?.info.settings ?? this.#settings);
  }

  /**
   * Continues the run that the page has kept, unless `link`, the fragment of a link, asks for other
   * settings. Starts a new run if there is none.
   */
  async open(link?: string): Promise<void> {
    try {
      await this.#begin(async (trainer) => {
        const kept = await trainer.call("restore", { slot: "current", link }).catch(() => null);
        return kept ?? this.#start(trainer);
      });
    } catch (error) {
      showNotice((error as Error).message);
    }
  }

  /** Starts a new run with the selected settings. */
  async startOver(): Promise<void> {
    showNotice("");
    try {
      await this.#begin((trainer) => this.#start(trainer));
      announce("Training has started.");
    } catch (error) {
      showNotice((error as Error).message);
    }
  }

  async #start(trainer: Trainer): Promise<RunInfo> {
    const settings = this.#settings;
    toConfig(settings); // throws if they are wrong
    const { text, name } = await this.#texts.read();
    return trainer.call("start", { settings, text, name });
  }

  async #openSaved(): Promise<void> {
    if (!(await this.#begin((trainer) => trainer.call("restore", { slot: "saved" }))))
      throw new Error("No run has been saved yet.");
    announce("The run has been opened.");
  }

  /** Opens a run from files. */
  async openFiles(selected: Iterable<File>): Promise<void> {
    const files = await readRunFiles(selected);
    await this.#begin((trainer) => trainer.call("open", { files }));
    const isTrainable = this.#progress?.state !== "untrainable";
    this.#untrained = isTrainable ? null : files;
    this.#showPending();
    this.#files.show("The run has been opened.");
    if (!isTrainable)
      showNotice(
        "This model came without its text. It can write and be inspected. To train it, select a " +
          "text and press “Train on this text”.",
      );
  }

  async #trainOnText(): Promise<void> {
    const files = this.#untrained;
    if (!files) return;
    try {
      const { text, name } = await this.#texts.read();
      await this.#begin((trainer) => trainer.call("open", { files, text, name }));
      showNotice("");
    } catch (error) {
      showNotice((error as Error).message);
    }
  }

  /**
   * Opens a run in a new worker, which replaces the last one. Returns false, and leaves the last
   * run as it is, if `open` returns null or throws. Never resolves if another run is opened before.
   */
  async #begin(open: (trainer: Trainer) => Promise<RunInfo | null>): Promise<boolean> {
    const events: { [K in keyof Events]: (data: Events[K]) => void } = {
      ready: (report) => showDevice(report),
      progress: (progress) => trainer === this.#current?.trainer && this.#showProgress(progress),
      sample: (sample) => trainer === this.#current?.trainer && this.#writing.show(sample),
      failure: ({ message }) => showFailure(message),
    };
    this.#opening?.end();
    const trainer: Trainer = new Trainer(events);
    this.#opening = trainer;
    let info: RunInfo | null = null;
    try {
      info = await open(trainer);
    } finally {
      if (this.#opening === trainer) this.#opening = null;
      if (!info) trainer.end();
    }
    if (!info) return false;
    this.#current?.trainer.end();
    this.#current = { trainer, info };
    this.#untrained = null;
    this.#show(info);
    await this.#sendSampling();
    return true;
  }

  /** Shows a run that has been started or opened. */
  #show(info: RunInfo): void {
    const { settings, text, name } = info;
    this.#speed = 0;
    this.#form.show(settings);
    if (settings.text !== "own") this.#texts.select(settings.text);
    else if (text !== null) this.#texts.select("own", { name, text });
    this.#writing.clear(text);
    this.#transport.showRun(info);
    this.#loss.start(info.vocabulary.length, info.rows);
    this.#showProgress(info.progress);
    this.#showPending();
    history.replaceState(null, "", this.#link);
  }

  #showProgress(progress: Progress): void {
    const previous = this.#progress?.state;
    this.#progress = progress;
    this.#loss.append(progress.rows);
    const weight = this.#speed > 0 ? SPEED_SMOOTHING : 0;
    this.#speed = weight * this.#speed + (1 - weight) * progress.tokensPerSecond;
    this.#transport.show(progress, this.#loss.smoothed, this.#speed);
    document.body.dataset.state = progress.state;
    this.#keeper.update(progress);
    if (progress.state === previous) return;
    if (progress.state === "paused") announce(`Paused at step ${progress.step}.`);
    if (progress.state === "finished") announce(`Finished after ${progress.step} steps.`);
  }

  async #sendSampling(): Promise<void> {
    try {
      await this.#current?.trainer.call("setSampling", this.#writing.settings);
    } catch (error) {
      this.#writing.showError((error as Error).message);
    }
  }

  async #sample(): Promise<void> {
    await this.#sendSampling();
    const showError = ({ message }: Error) => this.#writing.showError(message);
    await this.#current?.trainer.call("sample", {}).catch(showError);
  }

  #setMaxIters(maxIters: number): void {
    this.#form.show({ ...this.#form.settings, maxIters });
    this.#change("maxIters");
  }

  #change(name: keyof Settings): void {
    const { settings } = this.#form;
    if (this.#current && immediate.includes(name)) {
      const { trainer, info } = this.#current;
      const { learningRate, maxIters } = settings;
      info.settings = { ...info.settings, [name]: settings[name] };
      if (name === "learningRate") void trainer.call("setLearningRate", { learningRate });
      else void trainer.call("setMaxIters", { maxIters });
      history.replaceState(null, "", this.#link); // the address is a link to the settings
    }
    this.#showPending();
  }

  #showPending(): void {
    const own = this.#current?.info ?? null;
    const isUntrained = this.#untrained !== null;
    this.#pending.show(own, this.#settings, this.#texts.isNew, this.#form.problem, isUntrained);
  }
}
