// The snapshots of the checkpoints so far, for pages that subscribe later. Their number and size
// are limited: of a run with many checkpoints, fewer and fewer of the older ones are kept.

import type { Events } from "./protocol.ts";

/** The maximum number of snapshots of a run. */
const MAX_SNAPSHOTS = 64;
/** The maximum size of all snapshots, in characters of JSON. */
const MAX_CHARACTERS = 2 ** 25;

interface Entry {
  /** Larger than those of all earlier snapshots. */
  readonly id: number;
  readonly run: string;
  readonly step: number;
  readonly json: string;
}

export class SnapshotHistory {
  #entries: readonly Entry[] = [];
  #nextId = 1;

  /** Adds a snapshot. Later ones of the run are dropped: it was resumed from an earlier step. */
  add(snapshot: Events["snapshot"]): void {
    const { run, step } = snapshot;
    const json = JSON.stringify(snapshot);
    const others = this.#entries.filter((entry) => entry.run !== run || entry.step < step);
    const entries = [...others, { id: this.#nextId++, run, step, json }];
    this.#entries = limitSize(thin(entries, run));
  }

  /** Returns the first snapshot of one of the runs whose id is above `after`, if there is one. */
  findAfter(after: number, isSelected: (run: string) => boolean): Entry | undefined {
    return this.#entries.find(({ id, run }) => id > after && isSelected(run));
  }
}

/** If a run has too many snapshots, drops every second one, but not the first and the last. */
function thin(entries: readonly Entry[], run: string): readonly Entry[] {
  const own = entries.filter((entry) => entry.run === run);
  if (own.length <= MAX_SNAPSHOTS) return entries;
  const dropped = new Set(own.filter((entry, i) => i % 2 === 1 && entry !== own.at(-1)));
  return entries.filter((entry) => !dropped.has(entry));
}

/** Drops the oldest snapshots if all of them together are too large. */
function limitSize(entries: readonly Entry[]): readonly Entry[] {
  let characters = 0;
  let first = entries.length;
  while (first > 0 && characters + entries[first - 1].json.length <= MAX_CHARACTERS)
    characters += entries[--first].json.length;
  return entries.slice(first);
}
