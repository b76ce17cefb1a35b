// How long a call of a kernel takes, and how fast this machine could be at best.

import { type Device, device as deviceOf } from "tinybard";
import { Bench } from "tinybench";
import type { CudaAddon } from "#src/backend/addon.js";
import { median } from "./command.ts";
import { product } from "./matmul.bench.ts";
import { allocate, bytesOf, type Call, F, out, type Part, toBf16 } from "./row.ts";

/**
 * The median of calls for `time` milliseconds, in milliseconds: from and to JavaScript, or where
 * the device has a clock of its own, of the device alone.
 */
export function timeOf(call: Call, device: Device, time: number): number {
  const { addon } = device;
  if (addon && "timeReplays" in addon) return deviceTimeOf(call, device, addon, time);
  const { kernel, args } = call;
  const { values, free } = allocate(args, device);
  const run = device.kernels[kernel] as (...args: unknown[]) => void;
  const options = { iterations: 5, warmupTime: time / 4, warmupIterations: 2, throws: true };
  const bench = new Bench({ time, subtractTimerOverhead: true, ...options });
  bench.add(kernel, () => run(...values));
  const [{ result }] = bench.runSync();
  free();
  return result.state === "completed" ? result.latency.p50 : Number.NaN;
}

const BEYOND_CACHE = 256e6; // bytes: several times the second-level cache of a large GPU
const MOST_SETS = 64;

/** The call in a graph, on several sets of buffers in turn, so that none waits in a cache. */
function deviceTimeOf(call: Call, device: Device, addon: CudaAddon, time: number): number {
  const { kernel, args } = call;
  const count = Math.ceil(Math.min(MOST_SETS, 1 + BEYOND_CACHE / (bytesOf(call) + 1)));
  const sets = Array.from({ length: count }, () => allocate(args, device));
  const run = device.kernels[kernel] as (...args: unknown[]) => void;
  run(...sets[0].values); // what is made once is made now
  addon.beginCapture();
  for (const { values } of sets) run(...values);
  const recording = addon.endCapture();
  if (!recording) return Number.NaN;
  const once = addon.timeReplays(recording, 1);
  const replays = Math.max(1, Math.floor(time / 7 / once));
  const times = Array.from({ length: 7 }, () => addon.timeReplays(recording, replays));
  for (const { free } of sets) free();
  return median(times) / replays / count;
}

/** Work for each nanosecond: GFLOP/s of a call that computes, GB/s of one that moves. */
export function rateOf(call: Call, ms: number): number {
  return (call.flops ?? bytesOf(call)) / ms / 1e6;
}

/**
 * The most that a call can hope for on a device: the rate of the fastest square product, which has
 * all its operands in a cache; or that of copying as many bytes as the call reads and writes, as
 * the device does it or, should it be faster, as ts does.
 */
export function ceilingOf(device: Device, time: number): (call: Call) => number {
  const { addon } = device;
  const copiers = new Set(device.memory.isHost ? [device, deviceOf("ts")] : [device]);
  const copies = new Map<number, number>();
  let fastest = 0;
  const reach = (call: Call, on: Device) => rateOf(call, timeOf(call, on, time));
  return (call) => {
    if (call.flops) {
      const isBf16 = call.args.some((arg) => isPart(arg) && arg.dtype === "bf16");
      const typed = (square: Call) =>
        isBf16 && addon ? toBf16(square, addon.signatures.matmul) : square;
      const sizes = device.name === "cuda" ? LARGE_SQUARES : SQUARES;
      fastest ||= Math.max(...sizes.map((n) => reach(typed(product("", [n, n, n])), device)));
      return fastest;
    }
    const n = Math.ceil(bytesOf(call) / 8);
    const copy: Call = { kernel: "copy", args: [F(n), out(n), n] };
    const rate = copies.get(n) ?? Math.max(...[...copiers].map((on) => reach(copy, on)));
    copies.set(n, rate);
    return rate;
  };
}

const SQUARES = [128, 256, 512];
const LARGE_SQUARES = [4096, 8192];

function isPart(arg: Call["args"][number]): arg is Part {
  return typeof arg === "object" && arg !== null && !Array.isArray(arg);
}
