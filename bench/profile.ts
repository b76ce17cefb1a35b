// The profile of a training step: the time of each kernel in a replayed step, its rate, and the
// rate that this machine reaches at most. Nothing is timed unless a Profiler is made.

import type { Device, Kernels } from "#src/backend/device.js";
import { UsageError } from "#src/errors.js";
import { median } from "./command.ts";
import { createCeiling } from "./measure.ts";
import { type Call, F } from "./row.ts";
import { countWork, type Work } from "./work.ts";

type KernelName = keyof Kernels;
type Args = readonly unknown[];

/** A kernel call of the step. */
interface StepCall extends Work {
  kernel: KernelName;
}

/** A line of the profile: all calls of a kernel with the same sizes. */
export interface ProfileRow {
  kernel: string;
  sizes: string;
  calls: number;
  /** Milliseconds per step: the median over the steps. */
  ms: number;
  /** The share of the step. */
  share: number;
  /** GFLOP/s for matmuls and attention, otherwise GB/s. */
  rate: number;
  unit: "GFLOP/s" | "GB/s";
  /** The highest rate of this machine: of a square matmul, or of a copy of as many bytes. */
  ceiling: number;
}

export interface Profile {
  rows: ProfileRow[];
  /** Milliseconds per step of all kernels, and of everything else. */
  kernelMs: number;
  restMs: number;
}

/** Records the kernel calls of a step, and times them whenever it is replayed. */
export class Profiler {
  readonly #device: Device;
  readonly #kernels: Kernels; // as they were
  #calls: StepCall[] = [];
  #times: number[][] = []; // of each step: of each call
  #steps: number[] = []; // the durations of the steps

  /** Throws a UsageError for a device whose calls cannot be timed one by one. */
  constructor(device: Device) {
    const { addon } = device;
    this.#device = device;
    this.#kernels = { ...device.kernels };
    if (addon && !("timeCalls" in addon))
      throw new UsageError(
        `bench:step: --profile is not available on ${device}, where a step is one CUDA graph; ` +
          "use nsys profile",
      );
    if (addon) this.#timeReplays(addon);
    else this.#timeKernels();
  }

  /** Runs a step that counts. */
  measure(step: () => void): void {
    if (!this.#device.addon) {
      this.#calls = []; // ts does not replay
      this.#times.push([]);
    }
    const start = performance.now();
    step();
    this.#steps.push(performance.now() - start);
  }

  /** Ends and returns the profile. A ceiling is measured for `time` milliseconds. */
  finish(time: number): Profile {
    const table = this.#device.kernels as unknown as Record<string, unknown>;
    for (const [name, kernel] of Object.entries(this.#kernels)) table[name] = kernel;
    const steps = this.#times.slice(-this.#steps.length);
    const calls = this.#calls;
    if (steps.length === 0 || steps.some((times) => times.length !== calls.length))
      throw new Error("bench:step: the step is not replayed, or not with the same calls");
    const stepMs = median(this.#steps);
    const findCeiling = createCeiling(this.#device, time);
    const groups = new Map<string, number[]>(); // the numbers of the calls
    for (const [i, { kernel, sizes }] of calls.entries()) {
      const key = `${kernel} ${sizes}`;
      groups.set(key, [...(groups.get(key) ?? []), i]);
    }
    const sum = (times: number[], members: number[]) =>
      members.reduce((total, i) => total + times[i], 0);
    const rows = [...groups.values()].map((members): ProfileRow => {
      const call = calls[members[0]];
      const ms = median(steps.map((times) => sum(times, members)));
      const work = members.length * (call.flops || call.bytes);
      return {
        kernel: call.kernel,
        sizes: call.sizes,
        calls: members.length,
        ms,
        share: ms / stepMs,
        rate: work / ms / 1e6,
        unit: call.flops ? "GFLOP/s" : "GB/s",
        ceiling: findCeiling(toCeilingCall(call)),
      };
    });
    rows.sort((a, b) => b.ms - a.ms);
    const kernelMs = median(steps.map((times) => times.reduce((total, ms) => total + ms, 0)));
    return { rows, kernelMs, restMs: stepMs - kernelMs };
  }

  /** On a native device: the calls are recorded at the capture, and timed in each replay. */
  #timeReplays(addon: Extract<NonNullable<Device["addon"]>, { timeCalls: unknown }>): void {
    const { beginCapture, endCapture } = addon;
    let isCapturing = false;
    addon.beginCapture = () => {
      beginCapture.call(addon);
      this.#calls = [];
      isCapturing = true;
    };
    addon.endCapture = () => {
      isCapturing = false;
      return endCapture.call(addon);
    };
    addon.replay = (graph) => void this.#times.push([...addon.timeCalls(graph)]);
    this.#wrapKernels((call, run) => {
      run();
      if (isCapturing) this.#calls.push(call());
    });
  }

  /** On ts, where a step is not replayed: each call is timed where it is made. */
  #timeKernels(): void {
    this.#wrapKernels((call, run) => {
      const start = performance.now();
      run();
      this.#times.at(-1)?.push(performance.now() - start);
      this.#calls.push(call());
    });
  }

  /** Replaces each kernel of the device: `around` gets a function that describes the call. */
  #wrapKernels(around: (call: () => StepCall, run: () => void) => void): void {
    const table = this.#device.kernels as unknown as Record<string, (...args: Args) => void>;
    const signatures: Record<string, string> = this.#device.addon?.signatures ?? {};
    for (const [name, kernel] of Object.entries(table)) {
      table[name] = (...args) =>
        around(
          () => ({
            kernel: name as KernelName,
            ...countWork(name as KernelName, args, signatures[name]),
          }),
          () => kernel(...args),
        );
    }
  }
}

/** The call whose ceiling is that of a row: with FLOPs, or with as many bytes. */
function toCeilingCall({ kernel, flops, bytes }: StepCall): Call {
  return flops ? { kernel, args: [], flops } : { kernel, args: [F(bytes / 4)] };
}

/** Formats a profile as a table. */
export function formatProfile({ rows, kernelMs, restMs }: Profile): string {
  const stepMs = kernelMs + restMs;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const line = (cells: string[]) =>
    cells.map((cell, i) => (i < 2 ? cell.padEnd([28, 22][i]) : cell.padStart(13))).join("");
  const last = (name: string, ms: number) =>
    line([name, "", "", ms.toFixed(3), percent(ms / stepMs)]);
  return [
    line(["kernel", "sizes", "calls", "ms per step", "share", "rate", "", "of ceiling"]),
    ...rows.map(({ kernel, sizes, calls, ms, share, rate, unit, ceiling }) =>
      line([
        kernel,
        sizes,
        String(calls),
        ms.toFixed(3),
        percent(share),
        rate.toFixed(1),
        ` ${unit}`.padEnd(13),
        percent(rate / ceiling),
      ]),
    ),
    last("all kernels", kernelMs),
    last("rest: calls and JavaScript", restMs),
    last("step", stepMs),
  ].join("\n");
}
