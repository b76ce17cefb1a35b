// Each kernel beside its ceiling: the rate of a copy of as many bytes, or of a large product.

import type { Part } from "./run.ts";
import { kernelRows } from "./sides.ts";

export const kernels: Part = async ({ device, dtype, time, preset }, note) => {
  for (const type of dtype ? [dtype] : ["bf16", "f32"]) {
    const words = ["--device", device, "--dtype", type, "--time", `${time}`];
    note(`kernels-${type}`, await kernelRows(words, preset ? [preset] : []));
  }
};
