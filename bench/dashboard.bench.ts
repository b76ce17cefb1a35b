// Measures how much an open dashboard slows down training: interleaved runs with and without a
// dashboard, and the ratio of their medians.   usage: npm run bench:dashboard -- --help

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { OptionTable } from "#src/options.js";
import { median, readJSONLines, readOptions, run, warnIfBusy } from "./command.ts";

interface Options {
  rounds: number;
  steps: number;
  preset: string;
}

const table: OptionTable = {
  rounds: { type: "integer", help: "runs of each kind", default: 7, min: 1, value: "N" },
  steps: { type: "integer", help: "training steps per run", default: 1000, min: 100, value: "N" },
  preset: { type: "string", help: "model to train", default: "lecture-0.2m", value: "NAME" },
};
const program = fileURLToPath(new URL("../cli/index.js", import.meta.url));
const PORT = 18860;

await run(async () => {
  const { options } = readOptions<Options>("npm run bench:dashboard -- [options]", table);
  warnIfBusy();
  const baseline: number[] = [];
  const withDashboard: number[] = [];
  for (let round = 0; round < options.rounds; round++) {
    // the order alternates, so that slow changes of the machine's speed cancel out
    const order = round % 2 ? [true, false] : [false, true];
    for (const hasDashboard of order) {
      const seconds = await measureTraining(options, hasDashboard);
      (hasDashboard ? withDashboard : baseline).push(seconds);
    }
  }
  const before = median(baseline);
  const after = median(withDashboard);
  const overhead = (100 * (after / before - 1)).toFixed(1);
  console.log(`${options.preset}, ${options.steps} steps, medians of ${options.rounds} runs:`);
  console.log(
    `without dashboard ${before.toFixed(2)} s, with dashboard ${after.toFixed(2)} s: ${overhead}%`,
  );
});

/**
 * Trains a run and returns its elapsed seconds, evaluations included. With a dashboard, a client
 * receives all events of the run, as an open page does.
 */
async function measureTraining({ preset, steps }: Options, hasDashboard: boolean): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-dashboard-"));
  const args = [program, "train", "--preset", preset, "--max-iters", String(steps), "--json"];
  args.push("--out", join(folder, "run"));
  if (hasDashboard) args.push("--dashboard", "--no-token", "--port", String(PORT));
  const client = new AbortController();
  let seconds = 0;
  let isFirstRow = true;
  try {
    const rows = readJSONLines<{ step: number; elapsedSeconds: number }>(process.execPath, args);
    for await (const row of rows) {
      seconds = row.elapsedSeconds;
      if (row.step === steps) client.abort(); // the program exits after its last client
      if (hasDashboard && isFirstRow) void receiveEvents(client.signal);
      isFirstRow = false;
    }
  } finally {
    client.abort();
    rmSync(folder, { recursive: true, force: true });
  }
  return seconds;
}

/** Receives all events of the run until the signal is aborted. */
async function receiveEvents(signal: AbortSignal): Promise<void> {
  try {
    const { body } = await fetch(`http://127.0.0.1:${PORT}/events?after=run:0`, { signal });
    for await (const _ of body as unknown as AsyncIterable<Uint8Array>);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
