// The kernels in TypeScript: the reference that every other backend is tested against, and the
// device that always works.

import type { Kernels } from "../kernels.ts";
import { allReduce } from "./all-reduce.ts";
import * as attention from "./attention.ts";
import * as elementwise from "./elementwise.ts";
import * as linear from "./linear.ts";
import * as loss from "./loss.ts";
import * as movement from "./movement.ts";
import * as normalization from "./normalization.ts";
import * as optimizer from "./optimizer.ts";
import * as quantized from "./quantized.ts";
import { dropout, sampleBatch } from "./random.ts";
import { max, maxBackward, sum } from "./reductions.ts";
import { qkNorm, qkNormBackward, rotary } from "./rotary.ts";
import { logSoftmax, logSoftmaxBackward, softmax, softmaxBackward } from "./softmax.ts";
import { matmul } from "./tiled-matmul.ts";
import { tokenShift, tokenShiftBackward } from "./token-shift.ts";

export const reference: Kernels = {
  ...elementwise,
  matmul,
  ...linear,
  sum,
  max,
  maxBackward,
  softmax,
  softmaxBackward,
  logSoftmax,
  logSoftmaxBackward,
  ...normalization,
  ...loss,
  ...movement,
  ...quantized,
  ...attention,
  rotary,
  qkNorm,
  qkNormBackward,
  tokenShift,
  tokenShiftBackward,
  ...optimizer,
  allReduce,
  dropout,
  sampleBatch,
};
