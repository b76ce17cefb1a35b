// The thread that the dashboard lives in: a step of training may take seconds, and the page goes on
// answering.

import { constants, setPriority } from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { type Device, device, setDefaultDevice, workAlone } from "../backend/device.ts";
import { measureMatmulFlops } from "../train/mfu.ts";
import { Broadcast } from "./events.ts";
import { graphRoutes } from "./graph.ts";
import { lookRoutes } from "./model-routes.ts";
import type { Control, Status } from "./protocol.ts";
import { type Live, type Peak, Runs } from "./run-index.ts";
import { watchRoutes } from "./run-routes.ts";
import { serve } from "./server.ts";
import { watchCheckpoints } from "./snapshot.ts";

/** What the thread is started with. */
export interface Start {
  /** The folder of a run: it and those beside it are shown. */
  run: string;
  port: number;
  /** It is being trained by the thread that starts this one. */
  live: (Omit<Live, "name"> & Peak) | null;
}

/** What it is told, and what it tells. */
export type ToWorker = { status: Status };
export type FromWorker =
  | { url: string }
  | { failed: string }
  | { control: Control["action"] }
  | { pages: number };

const { run, port, live } = workerData as Start;
const tell = (message: FromWorker) => parentPort?.postMessage(message);
const computing = processor();
const peak = live ?? { device: computing.name, peak: measureMatmulFlops(computing) };
const runs = new Runs(run, live, peak);
setDefaultDevice(computing);
if (live) yieldToTraining();
const broadcast = new Broadcast(runs, (pages) => tell({ pages }));
const routes = {
  ...watchRoutes(runs, broadcast, (action) => {
    if (live) tell({ control: action });
    return live !== null;
  }),
  ...graphRoutes,
  ...lookRoutes(runs, computing),
};
parentPort?.on("message", ({ status }: ToWorker) => broadcast.status(status));
try {
  const { url } = await serve(routes, port);
  watchCheckpoints(runs, broadcast, computing);
  tell({ url });
} catch (error) {
  tell({ failed: (error as Error).message });
}

/** The processor: the GPU, and its memory, are left to training. */
function processor(): Device {
  try {
    return device("cpu");
  } catch {
    return device("ts");
  }
}

/** What is computed for pages is done beside the training, with what time that leaves. */
function yieldToTraining(): void {
  workAlone();
  // elsewhere a priority is that of the whole process
  if (process.platform === "linux") setPriority(0, constants.priority.PRIORITY_LOW);
}
