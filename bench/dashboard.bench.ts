// What an open dashboard costs the training that it shows: runs with and without one by turns, and
// the ratio of their medians. usage: npm run bench:dashboard -- --help

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { OptionTable } from "#src/options.js";
import { jsonLines, readOptions, run, warnIfBusy } from "./command.ts";

interface Options {
  rounds: number;
  steps: number;
  preset: string;
}

const table: OptionTable = {
  rounds: { type: "integer", help: "runs of each kind", default: 7, min: 1, value: "N" },
  steps: { type: "integer", help: "steps of a run", default: 1000, min: 100, value: "N" },
  preset: { type: "string", help: "what is trained", default: "lecture-0.2m", value: "NAME" },
};
const program = fileURLToPath(new URL("../cli/index.js", import.meta.url));
const port = 18860;

await run(async () => {
  const { options } = readOptions<Options>("npm run bench:dashboard -- [options]", table);
  warnIfBusy();
  const times: [without: number[], shown: number[]] = [[], []];
  for (let round = 0; round < options.rounds; round++)
    for (const isShown of round % 2 ? [true, false] : [false, true])
      times[Number(isShown)].push(await secondsOf(options, isShown));
  const [without, shown] = times.map((list) => list.sort((a, b) => a - b)[list.length >> 1]);
  const more = (100 * (shown / without - 1)).toFixed(1);
  console.log(`${options.preset}, ${options.steps} steps, medians of ${options.rounds} runs:`);
  console.log(
    `without a dashboard ${without.toFixed(2)} s, with one ${shown.toFixed(2)} s: ${more} %`,
  );
});

/** The seconds of training that a run has counted, with evaluations; a page listens if shown. */
async function secondsOf({ preset, steps }: Options, isShown: boolean): Promise<number> {
  const out = mkdtempSync(join(tmpdir(), "tinybard-dashboard-"));
  const words = ["train", "--preset", preset, "--max-iters", String(steps), "--json"];
  words.push(
    "--out",
    join(out, "run"),
    ...(isShown ? ["--dashboard", "--port", String(port)] : []),
  );
  const page = new AbortController();
  let seconds = 0;
  let isListening = false;
  try {
    for await (const row of jsonLines<{ step: number; elapsedSeconds: number }>(process.execPath, [
      program,
      ...words,
    ])) {
      seconds = row.elapsedSeconds;
      if (row.step === steps) page.abort(); // it is the last to look: the program may end
      if (isShown && !isListening) void listen(page.signal);
      isListening = true;
    }
  } finally {
    page.abort();
    rmSync(out, { recursive: true, force: true });
  }
  return seconds;
}

/** Reads all events of the run, as a page does. */
async function listen(signal: AbortSignal): Promise<void> {
  try {
    const { body } = await fetch(`http://127.0.0.1:${port}/events?after=run:0`, { signal });
    for await (const _ of body as unknown as AsyncIterable<Uint8Array>);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
