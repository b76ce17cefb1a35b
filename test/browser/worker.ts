// A worker that runs the program and posts its result.

import type { DeviceName } from "tinybard";
import { run } from "./program.js";

self.onmessage = async ({ data }: MessageEvent<DeviceName>) => {
  self.postMessage(await run(data).catch(String));
};
