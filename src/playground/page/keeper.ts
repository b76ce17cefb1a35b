// Keeps the current run: in the browser's storage, regularly and on request, and as a download.

import { formatInteger } from "../../web/page/format.ts";
import type { Progress, Slot } from "../protocol.ts";
import type { CurrentRun } from "./trainer.ts";

/** The shortest time between two automatic saves, in ms, and in relation to the time of one. */
const SAVE_INTERVAL = 10_000;
const MIN_SAVE_RATIO = 30;

export class Keeper {
  readonly #getRun: () => CurrentRun | null;
  #savedStep = -1;
  #step = 0;
  #nextTime = performance.now() + SAVE_INTERVAL;
  /** The run that is being saved. */
  #saving: CurrentRun | null = null;
  #state: Progress["state"] = "training";

  constructor(getRun: () => CurrentRun | null) {
    this.#getRun = getRun;
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "hidden") void this.#saveQuietly();
    });
  }

  /** Saves the run by itself from time to time, and when training stops. */
  update({ step, state }: Progress): void {
    const isDue = performance.now() > this.#nextTime;
    const hasStopped = state !== "training" && this.#state === "training";
    this.#step = step;
    this.#state = state;
    if (isDue || hasStopped) void this.#saveQuietly();
  }

  /** Saves the run until the user saves another one. Returns a message. */
  async save(): Promise<string> {
    const step = await this.#save("saved");
    // the browser shall not delete it when storage becomes scarce; Firefox asks the user
    void navigator.storage.persist?.();
    return `Saved at step ${formatInteger(step)}.`;
  }

  /** Downloads the run as a zip archive. */
  async download(): Promise<void> {
    const { trainer, info } = this.#get();
    const archive = await trainer.call("exportRun", {});
    const url = URL.createObjectURL(new Blob([archive], { type: "application/zip" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `tinybard-${info.name.replaceAll(/[^\w-]+/g, "-").slice(0, 40)}.zip`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  /** Saves the run in the slot of the page's own. A browser without storage is not an error. */
  async #saveQuietly(): Promise<void> {
    const run = this.#getRun();
    if (this.#step === this.#savedStep || this.#step === 0 || this.#saving === run) return;
    this.#saving = run; // a worker that has been replaced does not answer
    const start = performance.now();
    try {
      this.#savedStep = await this.#save("current");
    } catch {
      // private windows have no storage
    }
    const end = performance.now();
    this.#nextTime = end + Math.max(SAVE_INTERVAL, MIN_SAVE_RATIO * (end - start));
    if (this.#saving === run) this.#saving = null;
  }

  async #save(slot: Slot): Promise<number> {
    const { trainer } = this.#get();
    const { step } = await trainer.call("save", { slot });
    return step;
  }

  #get(): CurrentRun {
    const run = this.#getRun();
    if (!run) throw new Error("No run has been started yet.");
    return run;
  }
}
