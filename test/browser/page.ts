// The script of the test's page: runs the program on the main thread or in a worker.

import type { DeviceName } from "tinybard";
import * as tinybard from "tinybard";
import { type Result, run } from "./program.js";

const functions = {
  run,
  runInWorker: (name: DeviceName) =>
    new Promise<Result>((resolve) => {
      const worker = new Worker("/worker.js", { type: "module" });
      worker.onmessage = ({ data }) => {
        worker.terminate();
        resolve(data);
      };
      worker.postMessage(name);
    }),
  /** Returns the names of the library's exports. */
  listExports: () => Object.keys(tinybard),
  isIsolated: () => crossOriginIsolated,
};
export type Functions = typeof functions;
Object.assign(globalThis, { test: functions });
