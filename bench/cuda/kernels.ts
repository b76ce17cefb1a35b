// Each kernel beside its ceiling: the rate of a copy of as many bytes, or of a large product.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Part } from "./run.ts";
import { runHere } from "./sides.ts";

export const kernels: Part = async ({ device, dtype, time, preset }, note) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-bench-"));
  const models = preset === undefined ? {} : { TINYBARD_BENCH_MODELS: preset };
  for (const type of dtype ? [dtype] : ["bf16", "f32"]) {
    const json = join(folder, `${type}.json`);
    const words = ["--device", device, "--dtype", type, "--time", `${time}`, "--json", json];
    await runHere("../run.js", words, models);
    note(`kernels-${type}`, JSON.parse(readFileSync(json, "utf8")).results);
  }
  rmSync(folder, { recursive: true });
};
