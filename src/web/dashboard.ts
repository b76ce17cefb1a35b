// The dashboard as the training thread uses it: it starts the server in a worker thread, reports
// the run's progress to it, and receives the actions that users request in the page.

import { basename, resolve } from "node:path";
import { Worker } from "node:worker_threads";
import type { TrainHooks } from "../train/loop.ts";
import { createToken } from "./access.ts";
import type { Status } from "./protocol.ts";
import type { MessageFromWorker, MessageToWorker, ShownRun, WorkerOptions } from "./worker.ts";

/** The minimum time between two reports of the current step. */
const STATUS_INTERVAL = 200; // milliseconds
/** The number of seconds without an open page after which the dashboard counts as unused. */
export const IDLE_SECONDS = 5;

export interface DashboardOptions {
  /** The port to listen on, or the next free one. */
  port: number;
  /** Requires the token that `url` contains, which other users of the machine do not know. */
  token?: boolean;
}

export interface RunOptions extends ShownRun {
  /** The number of steps that the run has already trained. */
  step?: number;
  maxIters?: number;
}

/** A server that listens, and shows a run once show() has been called. */
export interface Dashboard {
  /** The link to the page, with the token. */
  readonly url: string;
  /** The number of open pages. */
  readonly openPages: number;
  /** Resolves if the server ends by itself, with the reason. */
  readonly failure: Promise<Error>;
  /** Shows the runs in the parent folder of a run. */
  show(options: RunOptions): Promise<void>;
  /** Changes the number of steps of the run, which the next report includes. */
  setTotal(maxIters: number): void;
  /** Hooks for train(): they perform the requested actions and confirm them to the pages. */
  hooks: Required<Pick<TrainHooks, "step" | "stop" | "save" | "saved" | "paused">>;
  /** Reports to the pages that the run has ended, or was stopped. */
  end(state: "ended" | "stopped", step: number): void;
  /** Resolves when no page has been open for some seconds. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

/** Starts the server in a worker thread. Throws if it cannot listen, such as if no port is free. */
export async function openDashboard({ port, token = true }: DashboardOptions): Promise<Dashboard> {
  const workerData: WorkerOptions = { port, token: token ? createToken() : null };
  const worker = new Worker(new URL("./worker.js", import.meta.url), { workerData });
  const requested = { stop: false, save: false, pause: false };
  let openPages = 0;
  let fail = (_: Error) => {};
  const failure = new Promise<Error>((resolve) => {
    fail = (error) => {
      openPages = 0;
      resolve(new Error(`dashboard: ${error.message}`, { cause: error }));
    };
  });
  worker.on("error", fail);
  worker.on("message", (message: MessageFromWorker) => {
    if ("failed" in message) fail(new Error(message.failed));
    else if ("pages" in message) openPages = message.pages;
    else if (!("control" in message))
      return; // a reply that receive() waits for
    else if (message.control === "stop") requested.stop = true;
    else if (message.control === "save") requested.save = true;
    else requested.pause = message.control === "pause";
  });
  const post = (message: MessageToWorker) => worker.postMessage(message);
  /** Waits for a message with a key. If the server fails, ends the thread and throws. */
  const receive = async <K extends "url" | "shown">(key: K) => {
    const reply = new Promise<Extract<MessageFromWorker, Record<K, unknown>>>((resolve) => {
      worker.on("message", (message) => key in message && resolve(message));
    });
    const result = await Promise.race([reply, failure]);
    if (!(result instanceof Error)) return result;
    await worker.terminate(); // it would keep the process alive
    throw result;
  };
  const { url } = await receive("url");

  let status: Status = { run: "", state: "training", step: 0, maxIters: 0, saved: null };
  let reportedAt = 0;
  const report = (change: Partial<Status>) => {
    status = { ...status, ...change };
    reportedAt = performance.now();
    post({ status });
  };
  const setTotal = (maxIters: number) => {
    status.maxIters = Number.isFinite(maxIters) ? maxIters : 0; // 0: not known yet
  };
  return {
    url,
    failure,
    get openPages() {
      return openPages;
    },
    async show({ run, live, step = 0, maxIters = 0 }) {
      setTotal(maxIters);
      post({ show: { run, live } });
      await receive("shown");
      if (live) report({ run: basename(resolve(run)), step });
    },
    setTotal,
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
