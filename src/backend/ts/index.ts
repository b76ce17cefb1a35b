// The kernels in TypeScript: the reference that every other floor is tested against, and the device
// that always works.

import type { Kernels } from "../kernels.ts";
import * as attention from "./attention.ts";
import * as elementwise from "./elementwise.ts";
import * as matmul from "./matmul.ts";
import * as movement from "./movement.ts";
import * as optimizer from "./optimizer.ts";
import * as quantized from "./quantized.ts";
import { dropout, sampleBatch } from "./random.ts";
import * as rows from "./rows.ts";

export const reference: Kernels = {
  ...elementwise, ...matmul, ...rows, ...movement, ...quantized, ...attention,
  ...optimizer, dropout, sampleBatch,
};
