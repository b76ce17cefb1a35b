// The test runner. usage: node dist-test/run.js [filter ...] [--device NAME] [--bail]
// Each test file runs in a process of its own (child.ts), so that a crash costs one file, and is
// seen. A file has passed when its process says so and then ends well. A filter is part of a path.
// Also: --timeout SECONDS for a file, --root DIR for tests compiled elsewhere.

import { fork } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Report } from "./support/child.ts";

/** What one file came to, and how its process ended. */
interface Outcome {
  readonly report: Report | null; // null: it ended before it could say
  readonly problems: readonly string[];
  readonly output: string;
}

const { values: options, positionals: filters } = usage();
const root = resolve(options.root);
const seconds = Number(options.timeout);
const sum = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips = new Set<string>();
const names = testFiles();
const waiting = [...names];
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
summarize();

/** The command line; a mistake in it ends the program with 2. */
function usage() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        device: { type: "string" },
        bail: { type: "boolean" },
        root: { type: "string", default: import.meta.dirname },
        timeout: { type: "string", default: "170" },
      },
    });
  } catch (error) {
    console.error(`run: ${(error as Error).message}`);
    process.exit(2);
  }
}

/**
 * The compiled test files that a filter matches, as `ops/rows.test`. A compiled file outlives its
 * source: where the sources are at hand, one without a source is passed over.
 */
function testFiles(): string[] {
  const sources = join(root, "..", "test");
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".test.js") && !path.split("/").includes("fixtures"))
    .map((path) => path.slice(0, -".js".length))
    .filter((name) => !existsSync(sources) || existsSync(join(sources, `${name}.ts`)))
    .filter((name) => filters.length === 0 || filters.some((part) => matches(name, part)))
    .sort();
}

/** Is `part` a part of the file's path, as source or compiled? */
function matches(name: string, part: string): boolean {
  const paths = `test/${name}.ts dist-test/${name}.js`;
  return paths.includes(part.replaceAll("\\", "/").replace(/^\.\//, ""));
}

/** Runs waiting files until none is left, or until one has failed under --bail. */
async function work(): Promise<void> {
  while (!(options.bail && failures.length > 0)) {
    const name = waiting.shift();
    if (name === undefined) return;
    const started = performance.now();
    tell(name, await runFile(name), (performance.now() - started) / 1000);
  }
}

/** Runs one file to its end, or to its time limit. */
function runFile(name: string): Promise<Outcome> {
  const child = fork(join(import.meta.dirname, "support/child.js"), [join(root, `${name}.js`)], {
    execArgv: ["--enable-source-maps", "--expose-gc"],
    env: {
      ...process.env,
      TINYBARD_POISON: "1", // freed memory is filled with NaN
      ...(options.device && { TINYBARD_TEST_DEVICE: options.device }),
      NO_COLOR: "1", // child.ts reads what uvu prints
      FORCE_COLOR: undefined,
    },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let report: Report | null = null;
  let output = "";
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill("SIGKILL");
    for (const stream of [child.stdout, child.stderr]) stream?.destroy(); // others may hold them
  }, seconds * 1000);
  child.on("message", (message) => {
    report = message as Report;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  return new Promise((done) => {
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const problems = [...(report?.problems ?? [])];
      if (late) problems.push(`still running after ${seconds} s`);
      else if (signal) problems.push(`killed by ${signal}`);
      else if (code === 13) problems.push("waits for a promise that nothing can settle any more");
      else if (code !== 0) problems.push(`exit code ${code}`);
      else if (!report) problems.push("exit code 0 before all tests had run");
      done({ report, problems, output });
    });
  });
}

/** Prints a file's line, and all it said if it failed; adds it to the sums. */
function tell(name: string, { report, problems, output }: Outcome, took: number): void {
  const { total, passed, skipped } = report ?? { total: 0, passed: 0, skipped: 0 };
  const failed = Math.max(total - passed, Math.min(problems.length, 1));
  sum.passed += passed;
  sum.failed += failed;
  sum.skipped += skipped;
  for (const problem of problems) failures.push(`${name}: ${problem}`);
  for (const [line] of output.matchAll(/\bskipped: .+/g)) skips.add(line.trimEnd());
  const width = Math.max(...names.map((each) => each.length));
  const counts = `${String(passed).padStart(4)} passed  ${took.toFixed(1).padStart(5)} s`;
  console.log(`${failed ? "FAIL" : "pass"}  ${name.padEnd(width)}  ${counts}`);
  if (failed) console.log(`\n${output.trimEnd()}\n`);
}

/** Prints what was skipped, what failed and the totals, and sets the exit code. */
function summarize(): void {
  if (names.length === 0) {
    sum.failed = 1;
    failures.push(`no test file matches ${filters.join(" ")}`.trimEnd());
  }
  if (sum.passed + sum.failed === 0) failures.push("no test has passed");
  if (waiting.length > 0) console.log(`--bail: ${waiting.length} files did not run`);
  if (skips.size > 0) console.log(`\n${[...skips].sort().join("\n")}`);
  if (failures.length > 0) console.log(`\nFailures:\n  ${failures.join("\n  ")}`);
  console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
