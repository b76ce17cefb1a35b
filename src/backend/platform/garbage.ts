// Garbage collection in the middle of a task, for memory that the engine does not see.

import { setFlagsFromString } from "node:v8";
import { type Context, createContext, runInContext, runInNewContext } from "node:vm";

let context: Context | null = null;
let gc = () => {};

/**
 * Collects garbage, after which weak references to unreachable objects are empty. JavaScript keeps
 * the target of a new weak reference until the task ends, or more precisely until microtasks have
 * run: so it runs those of a context of its own.
 */
export function collectGarbage(): void {
  if (!context) {
    context = createContext({}, { microtaskMode: "afterEvaluate" });
    gc = findCollector();
  }
  runInContext("Promise.resolve().then(() => {})", context);
  gc();
}

/** Returns the engine's function. Without one, garbage is collected between tasks only. */
function findCollector(): () => void {
  const { Bun } = globalThis as { Bun?: { gc(isSynchronous: boolean): void } };
  if (Bun) return () => Bun.gc(true);
  try {
    setFlagsFromString("--expose-gc");
    return runInNewContext("gc");
  } catch {
    return () => {};
  }
}
