// The dashboard as the training thread uses it: it starts the server in a worker thread, reports
// the run's progress to it, and receives the actions that users request in the page.

import { basename, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import type { TrainHooks } from "../train/loop.ts";
import type { Status } from "./protocol.ts";
import type { MessageFromWorker, MessageToWorker, WorkerOptions } from "./worker.ts";

/** The minimum time between two reports of the current step. */
const STATUS_INTERVAL = 200; // milliseconds
/** The number of seconds without an open page after which the dashboard counts as unused. */
const IDLE_SECONDS = 5;

export interface DashboardOptions extends WorkerOptions {
  /** The number of steps that the run has already trained. */
  step?: number;
  maxIters?: number;
}

export interface Dashboard {
  url: string;
  /** Hooks for train(): they perform the requested actions and confirm them to the pages. */
  hooks: Required<Pick<TrainHooks, "step" | "stop" | "save" | "saved" | "paused">>;
  /** Reports to the pages that the run has ended, or was stopped. */
  end(state: "ended" | "stopped", step: number): void;
  /** Resolves when no page has been open for some seconds. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server in a worker thread. Throws if no port is free. */
export async function openDashboard(options: DashboardOptions): Promise<Dashboard> {
  const { run, port, live, step: firstStep = 0, maxIters = 0 } = options;
  const workerData: WorkerOptions = { run, port, live };
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData });
  const requested = { stop: false, save: false, pause: false };
  let openPages = 0;
  const url = await new Promise<string>((resolveUrl, reject) => {
    worker.once("error", reject);
    worker.on("message", (message: MessageFromWorker) => {
      if ("url" in message) resolveUrl(message.url);
      else if ("failed" in message) reject(new Error(`dashboard: ${message.failed}`));
      else if ("pages" in message) openPages = message.pages;
      else if (message.control === "stop") requested.stop = true;
      else if (message.control === "save") requested.save = true;
      else requested.pause = message.control === "pause";
    });
  });

  let status: Status = {
    run: basename(resolve(run)),
    state: "training",
    step: firstStep,
    maxIters,
    saved: null,
  };
  let reportedAt = 0;
  const report = (change: Partial<Status>) => {
    status = { ...status, ...change };
    reportedAt = performance.now();
    worker.postMessage({ status } satisfies MessageToWorker);
  };
  if (live) report({});
  return {
    url,
    hooks: {
      step(row) {
        status.step = row.step + 1; // even if not reported now: the next report includes it
        const isDue = performance.now() - reportedAt > STATUS_INTERVAL;
        if (isDue || status.state === "paused") report({ state: "training" });
      },
      stop: () => requested.stop,
      save() {
        const isRequested = requested.save;
        requested.save = false;
        return isRequested;
      },
      saved: (step) => report({ step, saved: step }),
      paused() {
        const state = requested.pause ? "paused" : "training";
        if (state !== status.state) report({ state });
        return requested.pause;
      },
    },
    end: (state, step) => report({ state, step }),
    async idle() {
      let idleSeconds = 0;
      while (idleSeconds < IDLE_SECONDS) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        idleSeconds = openPages > 0 ? 0 : idleSeconds + 1;
      }
    },
    async close() {
      await worker.terminate();
    },
  };
}
