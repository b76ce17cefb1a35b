// Measures the time of a kernel call, and the highest rate that the machine reaches.

import { type Device, device as getDevice } from "tinybard";
import { Bench } from "tinybench";
import type { CudaAddon } from "#src/backend/addon.js";
import { median } from "./command.ts";
import { createMatmul } from "./matmul.bench.ts";
import { allocate, type BufferSpec, type Call, countBytes, F, out, toBf16 } from "./row.ts";

/**
 * Calls a kernel for `time` milliseconds and returns the median duration in milliseconds: of the
 * call from JavaScript or, on a GPU, of the kernel by the device's timer.
 */
export function measureTime(call: Call, device: Device, time: number): number {
  const { addon } = device;
  if (addon && "timeReplays" in addon) return measureDeviceTime(call, device, addon, time);
  const { kernel, args } = call;
  const { values, free } = allocate(args, device);
  const run = device.kernels[kernel] as (...args: unknown[]) => void;
  const bench = new Bench({
    time,
    iterations: 5,
    warmupTime: time / 4,
    warmupIterations: 2,
    subtractTimerOverhead: true,
    throws: true,
  });
  bench.add(kernel, () => run(...values));
  const [{ result }] = bench.runSync();
  free();
  return result.state === "completed" ? result.latency.p50 : Number.NaN;
}

const MIN_WORKING_SET = 256e6; // bytes: several times the L2 cache of a large GPU
const MAX_SETS = 64;

/** Measures a graph of calls on several sets of buffers, so that no operand is in the cache. */
function measureDeviceTime(call: Call, device: Device, addon: CudaAddon, time: number): number {
  const { kernel, args } = call;
  const count = Math.ceil(Math.min(MAX_SETS, 1 + MIN_WORKING_SET / (countBytes(call) + 1)));
  const sets = Array.from({ length: count }, () => allocate(args, device));
  const run = device.kernels[kernel] as (...args: unknown[]) => void;
  run(...sets[0].values); // initializes what the kernel caches
  addon.beginCapture();
  for (const { values } of sets) run(...values);
  const graph = addon.endCapture();
  if (!graph) return Number.NaN;
  const msPerReplay = addon.timeReplays(graph, 1);
  const replays = Math.max(1, Math.floor(time / 7 / msPerReplay));
  const times = Array.from({ length: 7 }, () => addon.timeReplays(graph, replays));
  for (const { free } of sets) free();
  return median(times) / replays / count;
}

/** Returns GFLOP/s if the call has a number of FLOPs, otherwise GB/s. */
export function computeRate(call: Call, ms: number): number {
  return (call.flops ?? countBytes(call)) / ms / 1e6;
}

/**
 * Returns a function that measures the highest rate that a call can reach on a device. For a call
 * with FLOPs, this is the rate of the fastest square matmul, whose operands fit into the cache. For
 * other calls, it is the rate of copying as many bytes, by the device or by ts, whichever is
 * faster.
 */
export function createCeiling(device: Device, time: number): (call: Call) => number {
  const { addon } = device;
  const copiers = new Set(device.memory.isHost ? [device, getDevice("ts")] : [device]);
  const copies = new Map<number, number>();
  let fastest = 0;
  const measureRate = (call: Call, on: Device) => computeRate(call, measureTime(call, on, time));
  return (call) => {
    if (call.flops) {
      const isBf16 = call.args.some((arg) => isBufferSpec(arg) && arg.dtype === "bf16");
      const sizes = device.name === "cuda" ? LARGE_SQUARES : SQUARES;
      const squares = sizes.map((n): Call => {
        const square = createMatmul("", [n, n, n]);
        return isBf16 && addon ? toBf16(square, addon.signatures.matmul) : square;
      });
      fastest ||= Math.max(...squares.map((square) => measureRate(square, device)));
      return fastest;
    }
    const n = Math.ceil(countBytes(call) / 8);
    const copy: Call = { kernel: "copy", args: [F(n), out(n), n] };
    const rate = copies.get(n) ?? Math.max(...[...copiers].map((on) => measureRate(copy, on)));
    copies.set(n, rate);
    return rate;
  };
}

const SQUARES = [128, 256, 512];
const LARGE_SQUARES = [4096, 8192];

function isBufferSpec(arg: Call["args"][number]): arg is BufferSpec {
  return typeof arg === "object" && arg !== null && !Array.isArray(arg);
}
