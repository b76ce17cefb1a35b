// A worker that runs the program and posts its result.

import type { DeviceName } from "tinybard";
import { loadAndRun } from "./load.js";

self.onmessage = async ({ data }: MessageEvent<DeviceName>) => {
  self.postMessage(await loadAndRun(data).catch(String));
};
