// Where the ranks run: on which host and on which of its processors. From this follow the rank
// within a host, and how many threads each rank should have.

import { readFileSync } from "node:fs";
import { availableParallelism, hostname } from "node:os";
import type { Launch } from "./launcher.ts";

/** The host of a rank, and the processors that it may use. */
export interface Place {
  readonly host: string;
  /** The system's list of their numbers, such as "0-3,8"; empty if it has none. */
  readonly processors: string;
  readonly count: number;
}

/** Names a rank in messages: by default one of this host. */
export function describeRank(
  { rank, size }: { rank: number; size: number },
  host = hostname(),
): string {
  return `rank ${rank} of ${size} on ${host}`;
}

/** Returns the place of this process as text, for the other ranks. */
export function describePlace(): string {
  const place: Place = {
    host: hostname(),
    processors: readProcessors(),
    count: availableParallelism(),
  };
  return JSON.stringify(place);
}

/** Returns the place that another rank has described. */
export function parsePlace(text: string): Place {
  return JSON.parse(text) as Place;
}

function readProcessors(): string {
  try {
    const status = readFileSync("/proc/self/status", "utf8");
    return /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1] ?? "";
  } catch {
    return ""; // only Linux binds processes to processors
  }
}

/** Returns rank and size within the host: as the launcher says, otherwise by the hosts' names. */
export function findLocalRank(launch: Launch, places: readonly Place[], rank: number) {
  const { localRank, localSize } = launch;
  if (localRank !== null && localSize !== null) return { localRank, localSize };
  const { host } = places[rank];
  const isHere = (place: Place) => place.host === host;
  return {
    localRank: places.slice(0, rank).filter(isHere).length,
    localSize: places.filter(isHere).length,
  };
}

/**
 * Returns the number of threads of a rank: the processors that it may use, divided by the ranks
 * that may use the same ones. Open MPI binds each rank to processors of its own, MPICH does not.
 */
export function countThreads(places: readonly Place[], rank: number): number {
  const { host, processors, count } = places[rank];
  const sharing = places.filter(
    (place) => place.host === host && place.processors === processors,
  ).length;
  return Math.max(1, Math.floor(count / sharing));
}
