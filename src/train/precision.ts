// The precision of a run's matmuls.

import type { TrainConfig } from "./config.ts";

/** Returns the precision of a run's f32 matmuls. Its older name on cuda is dtype tf32. */
export function getMatmulPrecision({
  dtype,
  matmulPrecision,
}: Pick<TrainConfig, "dtype" | "matmulPrecision">): TrainConfig["matmulPrecision"] {
  return dtype === "tf32" ? "medium" : (matmulPrecision ?? "highest");
}
