// Work that all ranks do, and that fails on all of them if it fails on one.

import { hostname } from "node:os";
import { UsageError } from "../errors.ts";
import type { Communicator } from "./communicator.ts";
import { markShared } from "./shared-errors.ts";

/**
 * Runs a function on every rank. If it throws on one, throws on all of them: on the others, an
 * error with the message of the first. Collective.
 */
export function onEveryRank<T>(communicator: Communicator, fn: () => T): T {
  let result: T | undefined;
  let own: Error | null = null;
  try {
    result = fn();
  } catch (error) {
    own = error as Error;
  }
  const isUsage = own instanceof UsageError;
  const report = own && { isUsage, message: own.message, host: hostname() };
  const reports = communicator.gather(JSON.stringify(report)).map((text) => JSON.parse(text));
  const rank = reports.findIndex((other) => other !== null);
  if (rank < 0) return result as T;
  if (rank === 0 && own) throw markShared(own);
  const { message, host } = reports[rank];
  const text = `rank ${rank} of ${communicator.size} on ${host}: ${message}`;
  throw markShared(reports[rank].isUsage ? new UsageError(text) : new Error(text));
}
