// Garbage collection in the middle of a task, for memory that V8 does not see.

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
    setFlagsFromString("--expose-gc");
    gc = runInNewContext("gc");
  }
  runInContext("Promise.resolve().then(() => {})", context);
  gc();
}
