// The differences between systems that tests depend on: what Windows does not have, and what Wine,
// in which scripts/windows-test.mjs runs the tests, cannot do.

import { type ChildProcess, spawnSync } from "node:child_process";
import fs, { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const isWindows = process.platform === "win32";

/** True in Wine instead of Windows. */
export const isWine = isWindows && process.env.TINYBARD_WINE === "1";

/** False on Windows, which has no named pipes in folders. */
export const hasPipes = !isWindows;

/**
 * False in Wine, which creates links but does not follow them, and for users of Windows without
 * the right to create them.
 */
export const hasLinks = !isWindows || canLink();

function canLink(): boolean {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-links-"));
  try {
    writeFileSync(join(folder, "target"), "content");
    symlinkSync(join(folder, "target"), join(folder, "link"));
    return readFileSync(join(folder, "link"), "utf8") === "content";
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Returns `isPossible`; if it is false, prints that `what` is skipped, for the test runner. */
export function canTest(isPossible: boolean, what: string, reason: string): boolean {
  if (!isPossible) console.log(`skipped: ${what}: ${reason}`);
  return isPossible;
}

/** Returns `hasLinks`; if it is false, prints that `what` is skipped. */
export function canTestLinks(what: string): boolean {
  const reason = isWine ? "Wine cannot follow symbolic links" : "no right to create links";
  return canTest(hasLinks, what, reason);
}

/** Returns `hasPipes`; if it is false, prints that `what` is skipped. */
export function canTestPipes(what: string): boolean {
  return canTest(hasPipes, what, "Windows has no named pipes in folders");
}

/** The last line on stderr of a process that has killed itself on Windows, which has no signals. */
const LAST_WORDS = "killed\n";
const { writeSync } = fs; // tests replace it

/** Kills this process, as a crash would, without running any more of its code. */
export function killSelf(): void {
  if (isWindows) writeSync(2, LAST_WORDS);
  process.kill(process.pid, "SIGKILL");
}

/** Returns true if a process was ended by killSelf(). */
export function hasKilledItself(
  signal: NodeJS.Signals | null,
  status: number | null,
  stderr: string,
): boolean {
  return isWindows ? status === 1 && stderr.endsWith(LAST_WORDS) : signal === "SIGKILL";
}

/** The program of test/native/console-event.cpp, which scripts/windows-test.mjs compiles. */
const consoleEvent = process.env.TINYBARD_CONSOLE_EVENT;
const events: Partial<Record<NodeJS.Signals, number>> = { SIGINT: 0, SIGBREAK: 1, SIGHUP: 2 };

/**
 * Returns true if interrupt() can send a signal; if not, prints that it is skipped. On Windows,
 * kill() ends a process without any signal, which only a console sends.
 */
export function canInterrupt(signal: NodeJS.Signals): boolean {
  if (!isWindows) return true;
  if (events[signal] === undefined) return canTest(false, signal, "Windows does not have it");
  return canTest(consoleEvent !== undefined, signal, "npm run test:windows can send it");
}

/** Sends a signal to a process like a terminal does. Returns false if the process has ended. */
export function interrupt(child: ChildProcess, signal: NodeJS.Signals): boolean {
  if (!isWindows) return child.kill(signal);
  const args = [String(child.pid), String(events[signal])];
  return spawnSync(String(consoleEvent), args, { stdio: "ignore" }).status === 0;
}
