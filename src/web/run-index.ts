// The runs that the dashboard shows: the folder of one, and those beside it. It only reads them.

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { shapesIn } from "../files/safetensors.ts";
import { findWeightsFile, readConfig } from "../runs/load.ts";
import { sizeOf } from "../shape.ts";
import type { TrainConfig } from "../train/config.ts";
import { flopsPerToken } from "../train/mfu.ts";
import type { RunInfo } from "./protocol.ts";
import { Refusal } from "./validate.ts";

/** The run that is being trained by this process. */
export interface Live {
  name: string;
  parameters: number;
}

/** How fast a device is, in operations per second: what MFU is a share of. */
export interface Peak {
  device: string;
  peak: number;
}

export class Runs {
  /** The folder that holds the runs. */
  readonly #folder: string;
  readonly live: Live | null;
  readonly #peak: Peak;
  /** What takes long to find out of a run, and does not change. */
  readonly #parameters = new Map<string, number | null>();

  constructor(run: string, live: Omit<Live, "name"> | null, peak: Peak) {
    this.#peak = peak;
    this.#folder = dirname(resolve(run));
    this.live = live && { name: basename(resolve(run)), ...live };
  }

  /** The names of all runs, the newest first. */
  names(): string[] {
    const isRun = (name: string) => existsSync(join(this.#folder, name, "config.json"));
    const age = (name: string) => statSync(join(this.#folder, name, "config.json")).mtimeMs;
    const names = readdirSync(this.#folder).filter(isRun);
    return names
      .map((name) => [name, age(name)] as const)
      .sort((a, b) => b[1] - a[1])
      .map(([name]) => name);
  }

  /** The folder of a run. Throws a Refusal for a name that is none: no path leads elsewhere. */
  folderOf(name: string): string {
    const isPlain = name !== "" && basename(name) === name && name !== "." && name !== "..";
    const folder = join(this.#folder, name);
    if (!isPlain || /[\\\0]/.test(name) || !existsSync(join(folder, "config.json")))
      throw new Refusal(404, `there is no run ${name.slice(0, 80)}`);
    return folder;
  }

  /** What is known of a run before its rows; null if its folder cannot be read. */
  info(name: string): RunInfo | null {
    const folder = this.folderOf(name);
    let config: TrainConfig;
    try {
      config = readConfig(folder);
    } catch {
      return null; // one run that cannot be read is no reason to show none
    }
    const isLive = name === this.live?.name;
    const parameters = isLive ? (this.live?.parameters ?? null) : this.#parametersOf(name, config);
    return {
      name,
      config: { ...config },
      isLive,
      hasCheckpoint: findWeightsFile(folder) !== undefined,
      parameters,
      flopsPerToken: parameters === null ? null : flopsPerToken(parameters, config),
      peak: config.device === this.#peak.device ? this.#peak.peak : null,
    };
  }

  #parametersOf(name: string, config: TrainConfig): number | null {
    const known = this.#parameters.get(name);
    if (known !== undefined) return known;
    const file = findWeightsFile(this.folderOf(name));
    if (!file || config.loraRank !== undefined) return null; // adapters are not all of it
    try {
      const count = countIn(file, config.tieWeights);
      this.#parameters.set(name, count);
      return count;
    } catch {
      return null; // a file that is damaged, or gets its name just now
    }
  }
}

/** The numbers in a file of weights, from its header; null if they are no floats. */
function countIn(file: string, tieWeights: boolean): number | null {
  const entries = shapesIn(file);
  if (entries.some(({ dtype }) => dtype !== "F32")) return null;
  const isTied = tieWeights && entries.some(({ name }) => name === "wte.weight");
  const own = entries.filter(({ name }) => !(isTied && name === "lm_head.weight"));
  return own.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}
