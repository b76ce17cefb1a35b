// The runs that the dashboard shows: all runs in one folder. The dashboard never modifies them.

import { readdirSync, type Stats, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { setImmediate as nextTask } from "node:timers/promises";
import { readTensorInfo } from "../files/safetensors.ts";
import { findWeightsFile, readConfig } from "../runs/load.ts";
import { numel } from "../shape.ts";
import type { TrainConfig } from "../train/config.ts";
import { flopsPerToken } from "../train/mfu.ts";
import type { DataInfo, RunInfo } from "./protocol.ts";
import { HttpError } from "./validate.ts";

/** The run that this process is training. */
export interface LiveRun {
  name: string;
  parameters: number;
  data?: DataInfo;
}

/** A device's matmul throughput in FLOP/s: the denominator of MFU. */
export interface PeakRate {
  device: string;
  peak: number;
}

export class RunIndex {
  /** The folder that contains the runs. */
  readonly #parent: string;
  readonly live: LiveRun | null;
  readonly #peak: PeakRate;
  /** The properties of the runs, with the versions of the files that they were read from. */
  #infos = new Map<string, { version: string; info: RunInfo | null }>();

  /** `run` is the folder of any run. The index also contains the other runs in its parent. */
  constructor(run: string, live: Omit<LiveRun, "name"> | null, peak: PeakRate) {
    const path = resolve(run);
    this.#peak = peak;
    this.#parent = dirname(path);
    this.live = live && { name: basename(path), ...live };
  }

  /** Returns the properties of all runs, newest first, without those whose config is invalid. */
  async getInfos(): Promise<RunInfo[]> {
    const infos = new Map<string, { version: string; info: RunInfo | null }>();
    for (const { name, config } of this.#list()) {
      const version = `${toVersion(config)} ${this.#getWeightsVersion(name)}`;
      const known = this.#infos.get(name);
      if (known?.version === version) {
        infos.set(name, known);
        continue;
      }
      infos.set(name, { version, info: this.#readInfo(name) });
      await nextTask(); // other requests are answered while many runs are read
    }
    this.#infos = infos;
    return [...infos.values()].flatMap(({ info }) => info ?? []);
  }

  /** Returns a string that changes if a run is added, removed or replaced. */
  getVersion(): string {
    // a name cannot contain a slash
    return this.#list()
      .map(({ name, config }) => `${name}/${toVersion(config)}`)
      .join("/");
  }

  /** Lists the runs, newest first. None if the folder cannot be read. */
  #list(): { name: string; config: Stats }[] {
    const runs: { name: string; config: Stats }[] = [];
    for (const name of listFolder(this.#parent)) {
      const config = this.#findConfig(name);
      if (config) runs.push({ name, config });
    }
    return runs.sort((a, b) => b.config.mtimeMs - a.config.mtimeMs);
  }

  /**
   * Returns the folder of a run. Throws an HttpError if `name` is not the name of a run: this also
   * prevents path traversal.
   */
  getFolder(name: string): string {
    if (!this.#findConfig(name)) throw new HttpError(404, `run not found: ${name.slice(0, 80)}`);
    return join(this.#parent, name);
  }

  /**
   * Returns the properties of a run's config.json. Null unless `name` is that of a folder in the
   * parent folder with this file. The folder may be a symbolic link.
   */
  #findConfig(name: string): Stats | null {
    const isFileName = basename(name) === name && !["", ".", ".."].includes(name);
    if (!isFileName || /\p{Surrogate}/u.test(name)) return null; // URLs have no lone surrogates
    try {
      const stats = statSync(join(this.#parent, name, "config.json"));
      return stats.isFile() ? stats : null;
    } catch {
      return null; // there is none, or the name has a null character
    }
  }

  /** Reads the properties of a run. Null if its config cannot be read. */
  #readInfo(name: string): RunInfo | null {
    const folder = join(this.#parent, name);
    let config: TrainConfig;
    try {
      config = readConfig(folder);
    } catch {
      return null; // one unreadable run must not hide the others
    }
    const isLive = name === this.live?.name;
    const weights = findWeightsFile(folder);
    const parameters = isLive ? (this.live?.parameters ?? null) : countParameters(weights, config);
    return {
      name,
      config: { ...config },
      isLive,
      hasCheckpoint: weights !== undefined,
      parameters,
      flopsPerToken: parameters === null ? null : flopsPerToken(parameters, config),
      peak: config.device === this.#peak.device ? this.#peak.peak : null,
      data: (isLive && this.live?.data) || null,
    };
  }

  #getWeightsVersion(name: string): string {
    try {
      const file = findWeightsFile(join(this.#parent, name));
      return file === undefined ? "none" : toVersion(statSync(file));
    } catch (error) {
      return String(error);
    }
  }
}

/** Returns a string that changes if a file is written or replaced. */
export function toVersion({ ino, size, mtimeMs }: Stats): string {
  return `${ino} ${size} ${mtimeMs}`;
}

/** Reads the number of parameters from the header of a checkpoint. Null if it is not known yet. */
function countParameters(file: string | undefined, config: TrainConfig): number | null {
  if (!file || config.loraRank !== undefined) return null; // LoRA saves the adapters only
  try {
    return countWeights(file, config.tieWeights);
  } catch {
    return null; // the file is damaged, or is being replaced right now
  }
}

/** Counts the parameters in the header of a safetensors file. Null if not all of them are f32. */
function countWeights(file: string, tieWeights: boolean): number | null {
  const tensors = readTensorInfo(file);
  if (tensors.some(({ dtype }) => dtype !== "F32")) return null;
  // tied weights are stored twice
  const isTied = tieWeights && tensors.some(({ name }) => name === "wte.weight");
  let count = 0;
  for (const { name, shape } of tensors)
    if (!(isTied && name === "lm_head.weight")) count += numel(shape);
  return count;
}

/** Returns the names in a folder. None if it cannot be read. */
function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
