// Starts itself as two processes, as `tinybard train --gpus 2` does: rank 1 fails, and rank 0 waits.

import { setTimeout } from "node:timers/promises";
import { launch } from "#src/cli/launch.js";

const { RANK } = process.env;
if (RANK === undefined)
  process.exitCode = (await launch({ gpus: 2, device: "cuda-emulator" })) ?? 1;
else if (RANK === "1") process.exitCode = 3;
else await setTimeout(60_000);
