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
import { type LiveRun, type PeakRate, RunIndex } from "./run-index.ts";
import { createRunRoutes } from "./run-routes.ts";
import { serve } from "./server.ts";
import { watchCheckpoints } from "./snapshot.ts";

export interface WorkerOptions {
  /** The folder of a run. The dashboard shows all runs in its parent folder. */
  run: string;
  port: number;
  /** Set if the thread that starts the worker is training the run. */
  live: (Omit<LiveRun, "name"> & PeakRate) | null;
}

export type MessageToWorker = { status: Status };
export type MessageFromWorker =
  | { url: string }
  | { failed: string }
  | { control: Control["action"] }
  | { pages: number };

const { run, port, live } = workerData as WorkerOptions;
const post = (message: MessageFromWorker) => parentPort?.postMessage(message);
const cpu = getCpuDevice();
const peak = live ?? { device: cpu.name, peak: measureMatmulFlops(cpu) };
const runs = new RunIndex(run, live, peak);
setDefaultDevice(cpu);
if (live) lowerPriority();
const events = new EventBroadcaster(runs, (pages) => post({ pages }));
const routes = {
  ...createRunRoutes(runs, events, (action) => {
    if (live) post({ control: action });
    return live !== null;
  }),
  ...graphRoutes,
  ...createModelRoutes(runs, cpu),
};
parentPort?.on("message", ({ status }: MessageToWorker) => events.sendStatus(status));
try {
  const { url } = await serve(routes, port);
  watchCheckpoints(runs, events, cpu);
  post({ url });
} catch (error) {
  post({ failed: (error as Error).message });
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
