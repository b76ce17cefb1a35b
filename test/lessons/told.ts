// How a lesson is tested: told in a folder of its own, on the device that the runner was told or
// the fastest there is, with its words caught.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DeviceName, loadCorpus, setDefaultDevice } from "tinybard";

/** Where lessons write while they are tested. */
const folder = mkdtempSync(join(tmpdir(), "tinybard-lesson-"));
process.on("exit", () => {
  process.chdir(tmpdir());
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a lesson; gives its numbers and all it printed. */
export async function told<R>(lesson: () => Promise<R>): Promise<R & { output: string }> {
  const asked = process.env.TINYBARD_TEST_DEVICE as DeviceName | undefined;
  if (asked) setDefaultDevice(asked);
  process.chdir(folder);
  const { log } = console;
  const lines: string[] = [];
  console.log = (...words: unknown[]) => {
    lines.push(words.map(String).join(" "));
  };
  try {
    return { ...(await lesson()), output: lines.join("\n") };
  } finally {
    console.log = log;
  }
}

/** The text of the lessons that train, or null with a line that says what is skipped. */
export async function text(what: string): Promise<string | null> {
  try {
    return (await loadCorpus()).text;
  } catch (error) {
    console.log(`skipped: ${what}: ${(error as Error).message}`);
    return null;
  }
}
