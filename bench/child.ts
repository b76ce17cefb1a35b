// Measures the kernels of one device in a separate process, because V8 would optimize for the
// devices that it has seen. usage: child.js DEVICE THREADS TIME DTYPE [FILTER]. Prints a line of
// JSON for the device, then one for each row.

import { type DeviceName, device as getDevice } from "tinybard";
import { setThreads } from "#src/backend/devices.js";
import { selectRows } from "./all.ts";
import { run } from "./command.ts";
import { computeRate, createCeiling, measureTime } from "./measure.ts";
import { toBf16 } from "./row.ts";

/** The device, as printed. */
export interface Setting {
  device: DeviceName;
  /** The instruction set of its kernels. */
  simd: string;
  threads: number;
}

/** The measurement of a row, as printed. */
export interface Result {
  device: DeviceName;
  dtype: string;
  model: string;
  kernel: string;
  shape: string;
  ms: number;
  rate: number;
  unit: "GFLOP/s" | "GB/s";
  /** The rate as a fraction of the ceiling that the device reaches on this machine. */
  share: number;
}

const [name, threads, time, dtype, filter] = process.argv.slice(2);
await run(async () => {
  const device = getDevice(name as DeviceName);
  const addon = device.addon ?? { simd: "" };
  const simd = "simd" in addon ? addon.simd : addon.processor;
  const count = device.name === "cpu" ? setThreads(Number(threads)) : 1;
  const setting = { device: device.name, simd, threads: count };
  console.log(JSON.stringify(setting satisfies Setting));
  if ("setTf32" in addon) addon.setTf32(dtype === "tf32");
  const ceiling = createCeiling(device, Number(time));
  for (const f32Row of selectRows(filter)) {
    const { model, kernel, shape, flops } = f32Row;
    const signature = device.addon?.signatures[kernel] ?? "";
    const row = dtype === "bf16" ? toBf16(f32Row, signature) : f32Row;
    const ms = measureTime(row, device, Number(time));
    const rate = computeRate(row, ms);
    const unit = flops ? "GFLOP/s" : "GB/s";
    const share = rate / ceiling(row);
    const result: Result = {
      device: device.name,
      dtype,
      model,
      kernel,
      shape,
      ms,
      rate,
      unit,
      share,
    };
    console.log(JSON.stringify(result));
  }
});
