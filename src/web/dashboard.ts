// The dashboard as the thread that trains sees it: somebody who may ask to pause, save or stop, and
// wants to hear where the run stands.

import { basename, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import type { TrainHooks } from "../train/loop.ts";
import type { Status } from "./protocol.ts";
import type { FromWorker, Start, ToWorker } from "./worker.ts";

/** How often a page hears of the step, at most. */
const PERIOD = 200; // milliseconds

export interface Dashboard {
  url: string;
  /** For train(): what pages ask for, done and confirmed. */
  hooks: Required<Pick<TrainHooks, "step" | "stop" | "save" | "saved" | "paused">>;
  /** Tells the pages that the run has ended, or was stopped. */
  end(state: "ended" | "stopped", step: number): void;
  /** Fulfilled when no page has listened for some seconds. */
  alone(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server in a thread of its own. Throws if there is no port for it. */
export async function openDashboard(
  start: Start & { step?: number; maxIters?: number },
): Promise<Dashboard> {
  const { run, port, live, step = 0, maxIters = 0 } = start;
  const workerData: Start = { run, port, live };
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData });
  const asked = { stop: false, save: false, paused: false };
  const status: Status = {
    run: basename(resolve(run)),
    state: "training",
    step,
    maxIters,
    saved: null,
  };
  let pages = 0;
  let told = 0;
  const tell = (change: Partial<Status>) => {
    Object.assign(status, change);
    told = performance.now();
    worker.postMessage({ status } satisfies ToWorker);
  };
  const url = await new Promise<string>((ready, reject) => {
    worker.once("error", reject);
    worker.on("message", (message: FromWorker) => {
      if ("url" in message) ready(message.url);
      else if ("failed" in message) reject(new Error(`dashboard: ${message.failed}`));
      else if ("pages" in message) pages = message.pages;
      else if (message.control === "stop") asked.stop = true;
      else if (message.control === "save") asked.save = true;
      else asked.paused = message.control === "pause";
    });
  });
  if (live) tell({});
  return {
    url,
    hooks: {
      step({ step }) {
        status.step = step + 1; // whether told or not: what is told next begins here
        if (status.state === "paused" || performance.now() - told > PERIOD)
          tell({ state: "training" });
      },
      stop: () => asked.stop,
      save() {
        const { save } = asked;
        asked.save = false;
        return save;
      },
      saved: (step) => tell({ step, saved: step }),
      paused() {
        const state = asked.paused ? "paused" : "training";
        if (state !== status.state) tell({ state });
        return asked.paused;
      },
    },
    end: (state, step) => tell({ state, step }),
    async alone() {
      for (let seconds = 0; seconds < 5; seconds++) {
        await new Promise((resolve) => setTimeout(resolve, 1000));
        if (pages > 0) seconds = -1;
      }
    },
    async close() {
      await worker.terminate();
    },
  };
}
