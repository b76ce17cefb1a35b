// Runs one test file: run.ts starts this module in a child process. It imports the file, runs the
// suites that the file queued, and sends a report to run.ts. uvu could run them itself, but it
// exits with 0 if before() throws, if run() is missing, or if .only is left in the code. Here each
// of these is a failure.

import { pathToFileURL } from "node:url";

/** The result of a test file. A process that exits without sending it has failed. */
export interface Report {
  readonly total: number; // tests that should have run, without the skipped ones
  readonly passed: number;
  readonly skipped: number;
  readonly problems: readonly string[]; // one line each
}

/** The entry that suite.run() queues: runs the suite, and rejects only if after() throws. */
type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

/** suite.only(name, handler) or suite.before(hook). */
type Register = (...args: unknown[]) => unknown;
type Hook = (context: unknown) => unknown;

const problems = new Set<string>();
const suites: Suite[] = [];
Object.assign(globalThis, { UVU_DEFER: true, UVU_QUEUE: [suites] }); // uvu queues the suites

interceptMethod("only", (register) => (...args) => {
  problems.add(`.only is left in: ${args[0]}`);
  return register(...args);
});
interceptMethod("before", (register) => (hook) => {
  return register((context: unknown) => runBeforeHook(hook as Hook, context));
});

await import(pathToFileURL(process.argv[2]).href);
process.send?.(await runAll());

/**
 * Wraps a method of each suite that uvu creates. uvu adds methods by assignment (suite.only = ...),
 * so a setter on Function.prototype, which suites inherit, can define a wrapper instead.
 */
function interceptMethod(name: string, wrap: (register: Register) => Register): void {
  Object.defineProperty(Function.prototype, name, {
    set(register: Register) {
      Object.defineProperty(this, name, { value: wrap(register), writable: true });
    },
  });
}

/** Runs a before() hook and reports its error, which uvu discards. */
async function runBeforeHook(hook: Hook, context: unknown): Promise<void> {
  try {
    await hook(context);
  } catch (error) {
    problems.add("before() threw");
    console.error("before() threw:", error);
    throw error;
  }
}

/** Runs the suites one after the other, prints the failures, and adds up the counts. */
async function runAll(): Promise<Report> {
  const totals = { total: 0, passed: 0, skipped: 0 };
  for (const run of suites) {
    try {
      const [errors, passed, skipped, total] = await run();
      totals.total += total;
      totals.passed += passed;
      totals.skipped += skipped;
      const failed = errors === true ? [] : [...errors.matchAll(/^ {3}FAIL +(.+)$/gm)];
      for (const [, title] of failed) problems.add(title);
      if (errors !== true) console.log(`\n${errors}`);
      const missing = total - passed - failed.length;
      if (missing > 0) problems.add(`${missing} of ${total} tests did not run: a hook threw`);
    } catch (error) {
      problems.add("after() threw");
      console.error("after() threw:", error);
    }
  }
  const { total, skipped } = totals;
  if (total + skipped === 0) problems.add("the file has no tests; is run() missing?");
  return { ...totals, problems: [...problems] };
}
