// The worker thread of the dashboard's server. A training step may take seconds; in a separate
// thread, the server still responds during a step.

import { constants, setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import type { Device } from "../backend/device.ts";
import { device, setDefaultDevice, workAlone } from "../backend/devices.ts";
import { measureMatmulFlops } from "../train/mfu.ts";
import { EventBroadcaster } from "./events.ts";
import { graphRoutes } from "./graph-routes.ts";
import { createModelRoutes } from "./model-routes.ts";
import type { Control, Status } from "./protocol.ts";
import type { Routes } from "./router.ts";
import { type LiveRun, type PeakRate, RunIndex } from "./run-index.ts";
import { createRunRoutes } from "./run-routes.ts";
import { serve } from "./server.ts";
import { watchCheckpoints } from "./snapshot.ts";

export interface WorkerOptions {
  port: number;
  /** The token that requests must have. Null requires none. */
  token: string | null;
}

export interface ShownRun {
  /** The folder of a run. The dashboard shows all runs in its parent folder. */
  run: string;
  /** Set if the thread that starts the worker is training the run. */
  live: (Omit<LiveRun, "name"> & PeakRate) | null;
}

export type MessageToWorker = { show: ShownRun } | { status: Status };
export type MessageFromWorker =
  | { url: string }
  | { shown: true }
  | { failed: string }
  | { control: Control["action"] }
  | { pages: number };

const { port, token } = workerData as WorkerOptions;
const post = (message: MessageFromWorker) => parentPort?.postMessage(message);
const routes: Routes = {}; // filled by show(): training listens before it creates the run
let events: EventBroadcaster | null = null;

parentPort?.on("message", (message: MessageToWorker) => {
  if ("show" in message) attempt(() => show(message.show));
  else events?.sendStatus(message.status);
});
await attempt(async () => {
  const { url } = await serve(routes, port, token);
  post({ url });
});

async function attempt(task: () => void | Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    post({ failed: (error as Error).message });
  }
}

/** Adds the routes that show a run and the other runs next to it. */
function show({ run, live }: ShownRun): void {
  const cpu = getCpuDevice();
  const peak = live ?? { device: cpu.name, peak: measureMatmulFlops(cpu) };
  const runs = new RunIndex(run, live, peak);
  setDefaultDevice(cpu);
  if (live) lowerPriority();
  events = new EventBroadcaster(runs, (pages) => post({ pages }));
  const runRoutes = createRunRoutes(runs, events, (action) => {
    if (live) post({ control: action });
    return live !== null;
  });
  const allRoutes = { ...runRoutes, ...graphRoutes, ...createModelRoutes(runs, cpu) };
  for (const [route, handle] of Object.entries(allRoutes)) routes[route] = handle;
  watchCheckpoints(runs, events, cpu);
  post({ shown: true });
}

/** Returns a device on the processor, since the GPU and its memory are reserved for training. */
function getCpuDevice(): Device {
  try {
    return device("cpu");
  } catch {
    return device("ts");
  }
}

/** Makes this thread yield to the training thread: one thread for kernels, at low priority. */
function lowerPriority(): void {
  workAlone();
  // only Linux has a priority for each thread; elsewhere this would slow down training as well
  if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_LOW);
}
