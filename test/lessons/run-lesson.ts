// Runs a lesson in a test: in a temporary folder, on the test device or the fastest one, with its
// console output captured.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DeviceName, loadCorpus, setDefaultDevice } from "tinybard";

/** The working directory of the lessons under test. */
const folder = mkdtempSync(join(tmpdir(), "tinybard-lesson-"));
process.on("exit", () => {
  process.chdir(tmpdir());
  rmSync(folder, { recursive: true, force: true });
});

/** Runs a lesson and returns its results with everything that it printed. */
export async function runLesson<R>(lesson: () => Promise<R>): Promise<R & { output: string }> {
  const deviceName = process.env.TINYBARD_TEST_DEVICE as DeviceName | undefined;
  if (deviceName) setDefaultDevice(deviceName);
  process.chdir(folder);
  const { log } = console;
  const lines: string[] = [];
  console.log = (...values: unknown[]) => {
    lines.push(values.map(String).join(" "));
  };
  try {
    return { ...(await lesson()), output: lines.join("\n") };
  } finally {
    console.log = log;
  }
}

/** Returns the training text, or prints that `name` is skipped and returns null. */
export async function loadText(name: string): Promise<string | null> {
  try {
    return (await loadCorpus()).text;
  } catch (error) {
    console.log(`skipped: ${name}: ${(error as Error).message}`);
    return null;
  }
}
