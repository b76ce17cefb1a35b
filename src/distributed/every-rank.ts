// Work that all ranks do, and that fails on all of them if it fails on one.

import { hostname } from "node:os";
import { UsageError } from "../errors.ts";
import type { Communicator } from "./communicator.ts";
import { describeRank } from "./places.ts";
import { markShared } from "./shared-errors.ts";

/** The first rank on which a function has thrown, and its error. */
interface Failure {
  rank: number;
  host: string;
  message: string;
  isUsage: boolean;
}

/**
 * Runs a function on every rank. If it throws on one, throws on all of them: on the others, an
 * error with the message of the first. Collective.
 */
export function onEveryRank<T>(communicator: Communicator, fn: () => T): T {
  return runOnEveryRank(communicator, fn, ({ rank, host, message, isUsage }, own) => {
    if (rank === 0 && own) return markShared(own);
    const text = `${describeRank({ rank, size: communicator.size }, host)}: ${message}`;
    return markShared(isUsage ? new UsageError(text) : new Error(text));
  });
}

/**
 * Runs a function on every rank. If it throws on one, throws on all of them what `toError` returns
 * for the first failure and this rank's own error, if it has one. Collective.
 */
export function runOnEveryRank<T>(
  communicator: Communicator,
  fn: () => T,
  toError: (failure: Failure, own: Error | null) => Error,
): T {
  let result: T | undefined;
  let own: Error | null = null;
  try {
    result = fn();
  } catch (error) {
    own = error as Error;
  }
  const report: Omit<Failure, "rank"> | null = own && {
    host: hostname(),
    message: own.message,
    isUsage: own instanceof UsageError,
  };
  const reports = communicator.gather(JSON.stringify(report)).map((text) => JSON.parse(text));
  const rank = reports.findIndex((other) => other !== null);
  if (rank < 0) return result as T;
  throw toError({ rank, ...reports[rank] }, own);
}
