// The models that the page looks into, from the runs' checkpoints. The one that was asked for last
// stays loaded, until another is, or its checkpoint is a newer one.

import { statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { loadRun } from "../runs/load.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { Runs } from "./run-index.ts";
import { Refusal } from "./validate.ts";

export interface Loaded {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  /** The step of the checkpoint. */
  readonly step: number;
}

/** A model in memory, and how many work with it. */
interface Held extends Loaded {
  readonly key: string;
  users: number;
}

export class Models {
  readonly #runs: Runs;
  readonly #device: Device;
  #latest: Held | null = null;

  /** `device` is what they are to compute on. */
  constructor(runs: Runs, device: Device) {
    this.#runs = runs;
    this.#device = device;
  }

  /**
   * Works with the model of a run's checkpoint as it is now. Meanwhile the model stays as it is,
   * whatever others ask for. Throws a Refusal if there is none.
   */
  async use<T>(run: string, work: (loaded: Loaded) => T | Promise<T>): Promise<T> {
    const mine = this.#current(run);
    mine.users++;
    try {
      return await work(mine);
    } finally {
      mine.users--;
      if (mine !== this.#latest) this.#free(mine);
    }
  }

  #current(run: string): Held {
    const folder = this.#runs.folderOf(run);
    // of a run that goes on, what it is up to now; of one that has ended, the best
    const checkpoints = this.#runs.live?.name === run ? ["last", "best"] : ["best", "last"];
    const key = [run, ...checkpoints.map((name) => ageOf(join(folder, name)))].join("/");
    if (this.#latest?.key === key) return this.#latest;
    const { model, tokenizer, state } = this.#load(run, checkpoints);
    const old = this.#latest;
    const { step } = state;
    this.#latest = { model: model.eval(), tokenizer, step, key, users: 0 };
    if (old) this.#free(old);
    return this.#latest;
  }

  #load(run: string, checkpoints: string[]): ReturnType<typeof loadRun> {
    try {
      return loadRun(this.#runs.folderOf(run), this.#device, checkpoints);
    } catch (error) {
      if (error instanceof UsageError) throw new Refusal(409, error.message);
      throw error;
    }
  }

  /** Gives the memory of a model back, unless somebody works with it. */
  #free({ model, users }: Held): void {
    if (users > 0) return;
    for (const parameter of Object.values(model.stateDict())) parameter.storage.dispose();
    this.#device.pool.trim();
  }
}

/** When the weights of a checkpoint were written; 0 if there are none. */
function ageOf(checkpoint: string): number {
  const file = join(checkpoint, "model.safetensors");
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
