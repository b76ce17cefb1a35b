// The test runner. usage: node dist-test/run.js [filter ...] [--device NAME] [--bail]
// Each test file runs in its own process (support/child.ts), so that a crash is detected and does
// not stop the other files. A file passes if its process reports success and then exits with 0.
// A filter is a part of a path. --timeout SECONDS limits each file; --root DIR selects the folder
// of the compiled tests. --node PROGRAM runs the files in another Node, such as one for arm64.

import { fork } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Report } from "./support/child.ts";

/** The result of one file, and how its process ended. */
interface Outcome {
  readonly report: Report | null; // null: the process ended before it sent one
  readonly problems: readonly string[];
  readonly output: string;
}

/**
 * The files that take longest on the CUDA emulator or with sanitizers, longest first. They start
 * first, so that one of the two processes does not wait for the other's long file at the end.
 */
const longFiles = [
  "gpt/golden.test",
  "train/train.test",
  "backend/addon.test",
  "backend/cuda.test",
  "ops/causality.test",
  "backend/threads.test",
  "backend/capture.test",
];

const { values: options, positionals: filters } = parseCommandLine();
const root = resolve(options.root);
const seconds = Number(options.timeout);
const totals = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips = new Set<string>();
const names = findTestFiles();
const queue = [...names];
const processes = Math.min(2, availableParallelism());
await Promise.all(Array.from({ length: processes }, runQueue));
summarize();

/** Parses the command line. Exits with code 2 if it is invalid. */
function parseCommandLine() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        device: { type: "string" },
        bail: { type: "boolean" },
        root: { type: "string", default: import.meta.dirname },
        timeout: { type: "string", default: "170" },
        node: { type: "string", default: process.execPath },
      },
    });
  } catch (error) {
    console.error(`run: ${(error as Error).message}`);
    process.exit(2);
  }
}

/**
 * Returns the compiled test files that match a filter, as in `ops/matmul.test`, in the order in
 * which they start. If the sources are available, ignores compiled files whose source was deleted.
 */
function findTestFiles(): string[] {
  const sources = join(root, "..", "test");
  return readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".test.js") && !path.split("/").includes("fixtures"))
    .map((path) => path.slice(0, -".js".length))
    .filter((name) => !existsSync(sources) || existsSync(join(sources, `${name}.ts`)))
    .filter((name) => filters.length === 0 || filters.some((part) => matches(name, part)))
    .sort()
    .sort((a, b) => getPlace(a) - getPlace(b));
}

/** Returns the place of a file among the longest ones; all others come after them. */
function getPlace(name: string): number {
  const place = longFiles.indexOf(name);
  return place < 0 ? longFiles.length : place;
}

/** Returns true if the path of the file, source or compiled, contains `part`. */
function matches(name: string, part: string): boolean {
  const paths = `test/${name}.ts dist-test/${name}.js`;
  return paths.includes(part.replaceAll("\\", "/").replace(/^\.\//, ""));
}

/** Runs files from the queue until it is empty or, with --bail, until one fails. */
async function runQueue(): Promise<void> {
  while (!(options.bail && failures.length > 0)) {
    const name = queue.shift();
    if (name === undefined) return;
    const started = performance.now();
    const outcome = await runFile(name);
    printOutcome(name, outcome, (performance.now() - started) / 1000);
  }
}

/**
 * Returns the number of threads of the kernels in a file's process: its share of the cores, because
 * more threads would wait for each other; in the tests of the backends at least two.
 */
function countThreads(name: string): number {
  const share = Math.floor(availableParallelism() / processes);
  return name.startsWith("backend/") ? Math.max(2, share) : share;
}

/** Runs one file, until its process exits or its time limit is over. */
function runFile(name: string): Promise<Outcome> {
  const child = fork(join(import.meta.dirname, "support/child.js"), [join(root, `${name}.js`)], {
    execPath: options.node,
    execArgv: ["--enable-source-maps", "--expose-gc"],
    env: {
      ...process.env,
      TINYBARD_POISON: "1", // freed memory is filled with NaN
      TINYBARD_THREADS: process.env.TINYBARD_THREADS ?? String(countThreads(name)),
      ...(options.device && { TINYBARD_TEST_DEVICE: options.device }),
      NO_COLOR: "1", // child.ts parses the output of uvu
      FORCE_COLOR: undefined,
    },
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  let report: Report | null = null;
  let output = "";
  let isTimedOut = false;
  const timer = setTimeout(() => {
    isTimedOut = true;
    child.kill("SIGKILL");
    // a grandchild may keep them open
    for (const stream of [child.stdout, child.stderr]) stream?.destroy();
  }, seconds * 1000);
  child.on("message", (message) => {
    report = message as Report;
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const problems = [...(report?.problems ?? [])];
      if (isTimedOut) problems.push(`still running after ${seconds} s`);
      else if (signal) problems.push(`killed by ${signal}`);
      else if (code === 13) problems.push("waits for a promise that never resolves");
      else if (code !== 0) problems.push(`exit code ${code}`);
      else if (!report) problems.push("exit code 0 before all tests had run");
      resolve({ report, problems, output });
    });
  });
}

/** Prints the line of a file, with its output if it failed, and adds its counts to the totals. */
function printOutcome(name: string, { report, problems, output }: Outcome, duration: number): void {
  const { total, passed, skipped } = report ?? { total: 0, passed: 0, skipped: 0 };
  const failed = Math.max(total - passed, Math.min(problems.length, 1));
  totals.passed += passed;
  totals.failed += failed;
  totals.skipped += skipped;
  for (const problem of problems) failures.push(`${name}: ${problem}`);
  for (const [line] of output.matchAll(/\bskipped: .+/g)) skips.add(line.trimEnd());
  const width = Math.max(...names.map((other) => other.length));
  const counts = `${String(passed).padStart(4)} passed  ${duration.toFixed(1).padStart(5)} s`;
  console.log(`${failed ? "FAIL" : "pass"}  ${name.padEnd(width)}  ${counts}`);
  if (failed) console.log(`\n${output.trimEnd()}\n`);
}

/** Prints the skipped tests, the failures and the totals, and sets the exit code. */
function summarize(): void {
  if (names.length === 0) {
    totals.failed = 1;
    failures.push(`no test file matches ${filters.join(" ")}`.trimEnd());
  }
  if (totals.passed + totals.failed === 0) failures.push("no test has passed");
  if (queue.length > 0) console.log(`--bail: ${queue.length} files did not run`);
  if (skips.size > 0) console.log(`\n${[...skips].sort().join("\n")}`);
  if (failures.length > 0) console.log(`\nFailures:\n  ${failures.join("\n  ")}`);
  console.log(`\n${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}
