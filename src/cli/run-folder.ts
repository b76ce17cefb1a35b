// The options --run and --checkpoint, which the commands that read a trained model have in common.

import { UsageError } from "../errors.ts";
import { formatCommand } from "../installation.ts";
import { type CheckpointName, checkpointNames, chooseCheckpoint } from "../runs/choose.ts";
import { findNewestRun } from "../runs/list.ts";
import { readConfig } from "../runs/load.ts";

/** The folder that new runs are created in, and that --run looks in by default. */
export const RUNS = "runs";

/** The number of damaged runs that are named. */
const MAX_PROBLEMS = 3;

export const runOptions = {
  run: {
    type: "string",
    help: `folder of the run (default: the newest run under ${RUNS}/)`,
    value: "DIR",
  },
  checkpoint: {
    type: "string",
    help: "checkpoint to read (default: best, the one with the lowest validation loss)",
    choices: checkpointNames,
  },
  base: {
    type: "string",
    help: "where the base model of a run with LoRA adapters is now, if it was moved",
    value: "DIR",
  },
} as const;

export interface RunFlags {
  run?: string;
  checkpoint?: CheckpointName;
  base?: string;
}

/** Returns the folder of a run; without --run, that of the newest one, which it prints. */
export function findRun(command: string, run: string | undefined): string {
  if (run !== undefined) return run;
  const problems: string[] = [];
  const newest = findNewestRun(RUNS, (problem) => problems.push(problem));
  for (const problem of problems.slice(0, MAX_PROBLEMS)) console.error(`passed over: ${problem}`);
  const hidden = problems.length - MAX_PROBLEMS;
  if (hidden > 0)
    console.error(`passed over: ${hidden} more (${formatCommand("runs")} lists them)`);
  if (newest === null) {
    const what = problems.length > 0 ? "no run without damage" : "no run";
    const train = `train one (${formatCommand("train")}), or name a folder with --run DIR`;
    throw new UsageError(`${command}: ${what} under ${RUNS}/; ${train}`);
  }
  console.error(`run: ${newest} (the newest under ${RUNS}/)`);
  return newest;
}

/** Returns the folder and the checkpoint that the flags select, and prints the checkpoint. */
export function selectCheckpoint(
  command: string,
  flags: RunFlags,
): { run: string; checkpoint: CheckpointName } {
  const run = findRun(command, flags.run);
  readConfig(run); // throws if the folder is not a run
  const { name, state, reason } = chooseCheckpoint(run, flags.checkpoint);
  const valLoss = state.evaluation?.valLoss;
  const loss = typeof valLoss === "number" ? `, val loss ${valLoss.toFixed(4)}` : "";
  const note = reason && ` (${reason})`;
  console.error(`checkpoint: ${run}/${name}, step ${state.step}${loss}${note}`);
  return { run, checkpoint: name };
}
