// How long a call of a kernel takes, and how fast this machine could be at best.

import { type Device, device as deviceOf } from "tinybard";
import { Bench } from "tinybench";
import { product } from "./matmul.bench.ts";
import { allocate, bytesOf, type Call, F, out } from "./row.ts";

/** The median of calls for `time` milliseconds, in milliseconds, from and to JavaScript. */
export function timeOf({ kernel, args }: Call, device: Device, time: number): number {
  const { values, free } = allocate(args, device);
  const run = device.kernels[kernel] as (...args: unknown[]) => void;
  const options = { iterations: 5, warmupTime: time / 4, warmupIterations: 2, throws: true };
  const bench = new Bench({ time, subtractTimerOverhead: true, ...options });
  bench.add(kernel, () => run(...values));
  const [{ result }] = bench.runSync();
  free();
  return result.state === "completed" ? result.latency.p50 : Number.NaN;
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
  const copiers = new Set(device.name === "cuda" ? [device] : [device, deviceOf("ts")]);
  const copies = new Map<number, number>();
  let fastest = 0;
  const reach = (call: Call, on: Device) => rateOf(call, timeOf(call, on, time));
  return (call) => {
    if (call.flops) {
      fastest ||= Math.max(...SQUARES.map((n) => reach(product("", [n, n, n]), device)));
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
