// The script of the test's page: runs the program on the main thread or in a worker.

import type { DeviceName } from "tinybard";
import * as tinybard from "tinybard";
import { loadWasm } from "tinybard/browser";
import { loadAndRun } from "./load.js";

const functions = {
  run: loadAndRun,
  runInWorker: (name: DeviceName) =>
    new Promise<Awaited<ReturnType<typeof loadAndRun>>>((resolve) => {
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
  /** Returns the default device after loading the module at a URL, or the error. */
  load: (url: string) =>
    loadWasm({ relaxed: url, plain: url }).then(
      () => tinybard.tensor([1]).device.name,
      (error: Error) => error.message,
    ),
};
export type Functions = typeof functions;
Object.assign(globalThis, { test: functions });
