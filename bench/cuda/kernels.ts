// Measures each kernel and its ceiling: the rate of copying as many bytes, or of a large matmul.

import { measureKernels } from "./processes.ts";
import type { Part } from "./run.ts";

export const kernels: Part = async ({ device, dtype, time, preset }, save) => {
  for (const type of dtype ? [dtype] : ["bf16", "f32"]) {
    const args = ["--device", device, "--dtype", type, "--time", `${time}`];
    save(`kernels-${type}`, await measureKernels(args, preset ? [preset] : []));
  }
};
