// Commands in a process that mpirun, srun or torchrun has started as one of several. Rank 0 prints,
// and its exit code is that of the job; the others end with 0, unless one of them alone has failed.

import { setTimeout as sleep } from "node:timers/promises";
import type { Communicator } from "../distributed/communicator.ts";
import { detectLauncher } from "../distributed/launcher.ts";
import { describeRank } from "../distributed/places.ts";
import { launchedRank } from "../distributed/process-group.ts";
import { isShared } from "../distributed/shared-errors.ts";
import { UsageError } from "../errors.ts";

/** Returns true in a process that leaves printing and files to rank 0. */
export function isOtherRank(): boolean {
  try {
    return launchedRank() > 0;
  } catch {
    return false; // the variables of the launcher are wrong: every process says so
  }
}

/** The milliseconds that rank 0 has to report an error and to end the other ranks. */
const GRACE = 3000;

/**
 * Ends a rank above 0 that has not joined the others because of an error, and returns its exit
 * code. On rank 0's host, rank 0 has the same error and reports it. On another one, the first rank
 * reports it, unless rank 0 has it too: then the launcher ends this process before.
 */
export async function endOtherRank(error: unknown): Promise<number> {
  const launch = detectLauncher(process.env);
  if (launch?.localRank !== 0) return 0;
  await sleep(GRACE);
  console.error(`tinybard: ${describeRank(launch)}: ${formatError(error)}`);
  return exitCodeOf(error);
}

/** Returns the exit code of an error. */
export function exitCodeOf(error: unknown): number {
  return error instanceof UsageError ? 2 : 1;
}

/** Formats an error for stderr. */
export function formatError(error: unknown): string {
  const { message, stack } = error as Error;
  return String(process.env.TINYBARD_DEBUG ? stack : message);
}

/**
 * Runs the part of a command that all ranks run, and returns the exit code. If it fails on all
 * ranks alike, throws on rank 0; if it fails on one alone, prints its error and ends all.
 */
export async function runOnRank(
  communicator: Communicator,
  run: () => Promise<number>,
): Promise<number> {
  const { rank, size } = communicator;
  try {
    const exitCode = await run();
    communicator.close();
    return exitCode;
  } catch (error) {
    if (size === 1) throw error;
    if (!isShared(error)) {
      console.error(`tinybard: ${describeRank(communicator)}: ${formatError(error)}`);
      communicator.abort(exitCodeOf(error));
    }
    communicator.close();
    if (rank === 0) throw error;
    return 0;
  }
}

/** Leaves the communicator in order. Returns the largest exit code of all ranks. Collective. */
export function leave(communicator: Communicator, exitCode: number): number {
  const codes = communicator.gather(String(exitCode)).map(Number);
  communicator.close();
  return Math.max(...codes);
}
