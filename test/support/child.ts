// One test file, in a process of its own: run.ts starts this page, which imports the file, runs the
// suites it has queued, and sends home what they came to. uvu could run them itself, but it exits 0
// when a before() throws, run() is forgotten or .only is left in. Here each of these is a problem.

import { pathToFileURL } from "node:url";

/**
 * What a test file came to. A process that ends without sending it has failed, however it ended.
 */
export interface Report {
  readonly total: number; // tests that should have run; the skipped ones are not among them
  readonly passed: number;
  readonly skipped: number;
  readonly problems: readonly string[]; // one line each
}

/** What uvu queues at suite.run(): runs the suite, and rejects only if an after() throws. */
type Suite = () => Promise<[errors: string | true, passed: number, skipped: number, total: number]>;

/** suite.only(name, handler) or suite.before(hook). */
type Adder = (...given: unknown[]) => unknown;
type Hook = (context: unknown) => unknown;

const problems = new Set<string>();
const suites: Suite[] = [];
Object.assign(globalThis, { UVU_DEFER: true, UVU_QUEUE: [suites] }); // uvu now queues, and waits

watch("only", (add) => (...given) => {
  problems.add(`.only is left in: ${given[0]}`);
  return add(...given);
});
watch("before", (add) => (hook) => add((context: unknown) => telling(hook as Hook, context)));

await import(pathToFileURL(process.argv[2]).href);
process.send?.(await runAll());

/**
 * Lets us see what uvu keeps to itself. It equips a suite by plain assignment (suite.only = ...),
 * so a setter that all functions inherit can put a wrapper there instead.
 */
function watch(word: string, wrap: (add: Adder) => Adder): void {
  Object.defineProperty(Function.prototype, word, {
    set(add: Adder) {
      Object.defineProperty(this, word, { value: wrap(add), writable: true });
    },
  });
}

/** Runs a before() hook; should it throw, says so, since uvu drops the error on the floor. */
async function telling(hook: Hook, context: unknown): Promise<void> {
  try {
    await hook(context);
  } catch (error) {
    problems.add("before() threw");
    console.error("before() threw:", error);
    throw error;
  }
}

/** Runs the suites one after the other, prints what failed, and adds up. */
async function runAll(): Promise<Report> {
  const sum = { total: 0, passed: 0, skipped: 0 };
  for (const run of suites) {
    try {
      const [errors, passed, skipped, total] = await run();
      sum.total += total;
      sum.passed += passed;
      sum.skipped += skipped;
      const failed = errors === true ? [] : [...errors.matchAll(/^ {3}FAIL +(.+)$/gm)];
      for (const [, title] of failed) problems.add(title);
      if (errors !== true) console.log(`\n${errors}`);
      const lost = total - passed - failed.length;
      if (lost > 0) problems.add(`${lost} of ${total} tests did not run: a hook threw`);
    } catch (error) {
      problems.add("after() threw");
      console.error("after() threw:", error);
    }
  }
  const { total, skipped } = sum;
  if (total + skipped === 0) problems.add("no test in it; is a run() missing?");
  return { ...sum, problems: [...problems] };
}
