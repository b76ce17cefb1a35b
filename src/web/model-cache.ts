// The model that the page inspects, loaded from a run's checkpoint. The most recently used model
// stays in memory until another one is requested or its checkpoint is replaced.

import { statSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../backend/device.ts";
import type { LanguageModel } from "../gpt/language-model.ts";
import { loadRun } from "../runs/load.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";
import type { RunIndex } from "./run-index.ts";
import { HttpError } from "./validate.ts";

/** The maximum number of requests that use models at a time, each of which holds results. */
const MAX_REQUESTS = 16;

export interface LoadedModel {
  /** The folder of the run. */
  readonly folder: string;
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
  #requests = 0;

  constructor(runs: RunIndex, device: Device) {
    this.device = device;
    this.#runs = runs;
  }

  /**
   * Calls `work` with the model of a run's current checkpoint. The model is not freed until `work`
   * has finished, even if other models are requested in the meantime. Throws an HttpError if the
   * run has no checkpoint, or a damaged one.
   */
  async use<T>(run: string, work: (loaded: LoadedModel) => T | Promise<T>): Promise<T> {
    if (this.#requests === MAX_REQUESTS)
      throw new HttpError(503, `${MAX_REQUESTS} requests are using models already; try again`);
    const entry = this.#getCurrent(run);
    entry.users++;
    this.#requests++;
    try {
      return await work(entry);
    } finally {
      entry.users--;
      this.#requests--;
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
    const { step } = state;
    this.#latest = { folder, model: model.eval(), tokenizer, step, key, users: 0 };
    if (previous) this.#freeIfUnused(previous);
    return this.#latest;
  }

  #load(folder: string, checkpoints: string[]): ReturnType<typeof loadRun> {
    try {
      return loadRun(folder, this.device, checkpoints);
    } catch (error) {
      throw new HttpError(409, (error as Error).message);
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
  try {
    return statSync(join(checkpoint, "model.safetensors")).mtimeMs;
  } catch {
    return 0;
  }
}
