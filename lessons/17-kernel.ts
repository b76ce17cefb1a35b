// Lesson 17: A kernel, from TypeScript to SIMD to CUDA
//
// A GPT spends nearly all of its time in one operation: the matrix multiplication c = a b, which
// takes n^3 multiply-adds for n x n matrices. All versions below compute exactly these, yet the
// fastest takes a small part of the time of the slowest: a fiftieth or less with the C++ kernels,
// and far less on a GPU. What differs is how often they access memory. The question for each
// version: how many loads does it need per multiply-add?
//
// Time: 3 seconds.

import { readFileSync } from "node:fs";
import { type DeviceName, device, devices, manualSeed, matmul, randn, type Tensor } from "tinybard";
import { barChart } from "./bar-chart.ts";
import { show } from "./figure.ts";
import { say } from "./print.ts";

/** Computes c = a b (n, n): c[i, j] is the dot product of row i of a and column j of b. */
export function naiveMatmul(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const c = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[i * n + k] * b[k * n + j]; // b is read down a column
      c[i * n + j] = sum;
    }
  }
  return c;
}

/** Computes c = a b with the two inner loops exchanged, so that all accesses are along rows. */
export function rowOrderMatmul(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const c = new Float32Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) {
      const x = a[i * n + k];
      for (let j = 0; j < n; j++) c[i * n + j] += x * b[k * n + j];
    }
  }
  return c;
}

/**
 * Returns lines of a source file of this project, from the first that contains `first` to the next
 * that equals `last`. The lesson thus always shows the current kernels.
 */
export function excerpt(file: string, first: string, last: string): string[] {
  const lines = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8").split("\n");
  const start = lines.findIndex((line) => line.includes(first));
  const length = lines.slice(start).indexOf(last) + 1;
  if (start < 0 || length === 0)
    throw new Error(`${file} has no lines from "${first}" to "${last}"`);
  const indented = lines.slice(start, start + length).map((line) => `  ${line}`);
  return [`${file}:${start + 1}`, ...indented];
}

/** Returns the shortest time of each task in seconds, over interleaved rounds. */
export function measure(tasks: Map<string, () => unknown>, rounds = 3): Map<string, number> {
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const [name, task] of tasks) {
      const start = performance.now();
      task();
      const seconds = (performance.now() - start) / 1000;
      best.set(name, Math.min(seconds, best.get(name) ?? Infinity));
    }
  }
  return best;
}

export async function lesson() {
  manualSeed(17);
  const n = 512;
  const aTensor = randn([n, n], { device: "ts" });
  const bTensor = randn([n, n], { device: "ts" });
  const a = aTensor.data() as Float32Array;
  const b = bTensor.data() as Float32Array;
  const flops = 2 * n ** 3;
  console.log(`\nc = a b, ${n} x ${n}: ${(flops / 1e6).toFixed(0)} million operations`);
  const tasks = new Map<string, () => unknown>();
  const results = new Map<string, ArrayLike<number>>();

  say(`Step 1: the definition. Two loads per multiply-add, and those of b are n numbers apart: of
    each cache line of 64 bytes, only 4 are used.`);
  tasks.set("naive", () => naiveMatmul(a, b, n));
  results.set("naive", naiveMatmul(a, b, n));

  say(`Step 2: exchange two loops, so that all accesses are along rows. But c, which was in a
    register before, is now loaded and stored for each multiply-add: one change helps, the other
    hurts.`);
  tasks.set("row order", () => rowOrderMatmul(a, b, n));
  results.set("row order", rowOrderMatmul(a, b, n));

  say(`Step 3: the kernel of the device ts. It keeps 16 elements of c in local variables, that is,
    in registers. Eight loads then serve 16 multiply-adds: half a load for each.`);
  console.log("TypeScript: a tile of 4 x 4 results stays in registers while k runs");
  printLines(excerpt("src/backend/ts/tiled-matmul.ts", "for (let k = 0; k < K; k++) {", "  }"));
  const addDevice = (name: DeviceName, label: string, prepare = () => {}) => {
    const aOnDevice = aTensor.to(name);
    const bOnDevice = bTensor.to(name);
    const run = (): Tensor => {
      prepare();
      return matmul(aOnDevice, bOnDevice);
    };
    results.set(label, run().data());
    // GPU kernels run asynchronously; reading the result waits for it
    tasks.set(label, name === "cuda" ? () => run().data() : run);
  };
  addDevice("ts", "device ts");

  say(`Step 4: the same tile in C++. One instruction now multiplies and adds vectors of 8 or 16
    numbers, and threads split the rows of c. The tile is as large as the registers allow.`);
  console.log("C++: the same loop, on vectors");
  printLines(excerpt("native/cpu/tile.h", "for (int64_t k = 0; k < K; k++) {", "  }"));
  const reasons = new Map(devices().map(({ name, reason }) => [name, reason]));
  if (reasons.get("cpu")) console.log(`not measured: ${reasons.get("cpu")}`);
  else {
    const { addon } = device("cpu");
    if (!addon || !("threads" in addon)) throw new Error("the cpu addon does not have threads");
    const threads = addon.threads();
    addDevice("cpu", "device cpu, 1 thread", () => addon.threads(1));
    if (threads > 1)
      addDevice("cpu", `device cpu, ${threads} threads`, () => addon.threads(threads));
    console.log(`  (this machine: ${addon.simd})`);
  }

  say(`Step 5: on a GPU, each element of c can have its own thread. That is the first program of
    bench/ladder. Seven more lead to tensor cores, each with its speedup and the reason for it.`);
  console.log("CUDA: thread indices replace the loops over i and j");
  printLines(excerpt("bench/ladder/1-naive.cu", "__global__ void naive", "}"));
  console.log("and again a tile, 8 x 8 per thread (bench/ladder/README.md explains every step):");
  printLines(excerpt("bench/ladder/4-registers.cu", "float left[8], right[8];", "    }"));
  if (reasons.get("cuda")) console.log(`not measured: ${reasons.get("cuda")}`);
  else addDevice("cuda", "device cuda");

  // Interleaved, so that other load on the machine affects all versions.
  const seconds = measure(tasks);
  const rates = mapValues(seconds, (time) => flops / time / 1e9);
  const expected = results.get("naive") as ArrayLike<number>; // JavaScript sums in f64
  const errors = mapValues(results, (result) => maxDifference(result, expected));
  console.log(`\n${"".padEnd(24)}GFLOP/s          speedup  largest difference`);
  for (const [name, rate] of Object.entries(rates)) {
    const columns = [
      rate.toFixed(2).padStart(7),
      (rate / rates.naive).toFixed(1).padStart(17),
      errors[name].toExponential(1).padStart(20),
    ];
    console.log(name.padEnd(24) + columns.join(""));
  }
  show(barChart(rates, { title: "GFLOP/s (logarithmic)", log: true }), "lesson-17");
  say(`All versions do the same multiplications; only the rounding differs. "naive" and "device ts"
    sum in f64 and round once at the end. The others round each partial sum to f32.`);

  console.log(`Exercises
1. Set n to 1024. Which rates drop? (b now takes 4 MB: what does reading a column do to the cache?)
2. TINYBARD_SIMD=scalar npm run lesson 17 runs the C++ kernel without vectors. How much do they add?
3. The third loop order is j, k, i: both a and c are then accessed down their columns. Is it slower
   than "naive"? Why?`);
  return { rates, errors };
}

function printLines(lines: string[]): void {
  console.log(lines.join("\n"));
}

function mapValues<A>(map: Map<string, A>, f: (value: A) => number): Record<string, number> {
  return Object.fromEntries([...map].map(([name, value]) => [name, f(value)]));
}

/** Returns the largest absolute difference between two arrays. */
function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((largest, x, i) => Math.max(largest, Math.abs(x - b[i])), 0);
}
