// The model that the page inspects, loaded from a run's checkpoint. The most recently used model
// stays in memory until another one is requested or its checkpoint is replaced.

import { statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import { UsageError } from "../errors.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { loadRun } from "../runs/load.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { RunIndex } from "./run-index.ts";
import { HttpError } from "./validate.ts";

export interface LoadedModel {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  /** The step of the checkpoint. */
  readonly step: number;
}

interface CacheEntry extends LoadedModel {
  /** Identifies the run and the versions of its checkpoints. */
  readonly key: string;
  /** The number of requests that are using the model. */
  users: number;
}

export class ModelCache {
  /** The device that the models run on. */
  readonly device: Device;
  readonly #runs: RunIndex;
  #latest: CacheEntry | null = null;

  constructor(runs: RunIndex, device: Device) {
    this.device = device;
    this.#runs = runs;
  }

  /**
   * Calls `work` with the model of a run's current checkpoint. The model is not freed until `work`
   * has finished, even if other models are requested in the meantime. Throws an HttpError if the
   * run has no checkpoint.
   */
  async use<T>(run: string, work: (loaded: LoadedModel) => T | Promise<T>): Promise<T> {
    const entry = this.#getCurrent(run);
    entry.users++;
    try {
      return await work(entry);
    } finally {
      entry.users--;
      if (entry !== this.#latest) this.#freeIfUnused(entry);
    }
  }

  #getCurrent(run: string): CacheEntry {
    const folder = this.#runs.getFolder(run);
    // the latest checkpoint of the run that is being trained, and the best one of other runs
    const checkpoints = this.#runs.live?.name === run ? ["last", "best"] : ["best", "last"];
    const versions = checkpoints.map((name) => getModificationTime(join(folder, name)));
    const key = [run, ...versions].join("/");
    if (this.#latest?.key === key) return this.#latest;
    const { model, tokenizer, state } = this.#load(folder, checkpoints);
    const previous = this.#latest;
    this.#latest = { model: model.eval(), tokenizer, step: state.step, key, users: 0 };
    if (previous) this.#freeIfUnused(previous);
    return this.#latest;
  }

  #load(folder: string, checkpoints: string[]): ReturnType<typeof loadRun> {
    try {
      return loadRun(folder, this.device, checkpoints);
    } catch (error) {
      if (error instanceof UsageError) throw new HttpError(409, error.message);
      throw error;
    }
  }

  #freeIfUnused({ model, users }: CacheEntry): void {
    if (users > 0) return;
    for (const tensor of Object.values(model.stateDict())) tensor.storage.dispose();
    this.device.pool.trim();
  }
}

/** Returns the modification time of a checkpoint's weights in milliseconds. 0 if there are none. */
function getModificationTime(checkpoint: string): number {
  const file = join(checkpoint, "model.safetensors");
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
