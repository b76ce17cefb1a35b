// Errors that every rank throws at the same point, such as a loss that is NaN: the ranks are still
// in step, so rank 0 reports the error and all end in order. Any other error ends all ranks.

import { UsageError } from "../errors.ts";

const shared = new WeakSet<object>();

/** Declares that every rank throws an error at this point. Returns it. */
export function markShared<E extends object>(error: E): E {
  shared.add(error);
  return error;
}

/** Returns true for an error that every rank throws. */
export function isShared(error: unknown): boolean {
  return typeof error === "object" && error !== null && shared.has(error);
}

/** Runs a collective function whose UsageErrors are the same on every rank. */
export function withSharedErrors<T>(fn: () => T): T {
  try {
    return fn();
  } catch (error) {
    throw error instanceof UsageError ? markShared(error) : error;
  }
}
