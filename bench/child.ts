// Measures the kernels of one device, in a process of its own: what V8 has seen of another device
// would change how it compiles. usage: child.js DEVICE THREADS TIME [FILTER]. Prints a line of JSON
// for the device, then one for each row.

import { type DeviceName, device as deviceOf } from "tinybard";
import { setThreads } from "#src/backend/devices.js";
import { select } from "./all.ts";
import { run } from "./command.ts";
import { ceilingOf, rateOf, timeOf } from "./measure.ts";
import { toBf16 } from "./row.ts";

/** What is printed of a device. */
export interface Setting {
  device: DeviceName;
  /** The instruction set of its kernels. */
  simd: string;
  threads: number;
}

/** What is printed of a row. */
export interface Result {
  device: DeviceName;
  dtype: string;
  model: string;
  kernel: string;
  shape: string;
  ms: number;
  rate: number;
  unit: "GFLOP/s" | "GB/s";
  /** The part of the device's ceiling on this machine that is reached. */
  share: number;
}

const [name, threads, time, dtype, filter] = process.argv.slice(2);
await run(async () => {
  const device = deviceOf(name as DeviceName);
  const addon = device.addon ?? { simd: "" };
  const simd = "simd" in addon ? addon.simd : addon.processor;
  const count = device.name === "cpu" ? setThreads(Number(threads)) : 1;
  const setting = { device: device.name, simd, threads: count };
  console.log(JSON.stringify(setting satisfies Setting));
  if ("setTf32" in addon) addon.setTf32(dtype === "tf32");
  const ceiling = ceilingOf(device, Number(time));
  for (const plain of select(filter)) {
    const { model, kernel, shape, flops } = plain;
    const signature = device.addon?.signatures[kernel] ?? "";
    const row = dtype === "bf16" ? toBf16(plain, signature) : plain;
    const ms = timeOf(row, device, Number(time));
    const rate = rateOf(row, ms);
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
