// Solutions to lesson 17
//
// Matrices that no longer fit into a cache, the kernel without vectors, and the third loop order.
//
// Time: 10 seconds.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { devices, manualSeed, randn } from "tinybard";
import { measure, naiveMatmul, rowOrderMatmul } from "../17-kernel.ts";
import { say } from "../print.ts";

/** Computes c = a b in the order j, k, i: a and c are accessed down their columns. */
export function columnOrderMatmul(a: Float32Array, b: Float32Array, n: number): Float32Array {
  const c = new Float32Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < n; k++) {
      const x = b[k * n + j];
      for (let i = 0; i < n; i++) c[i * n + j] += a[i * n + k] * x;
    }
  }
  return c;
}

/** Returns GFLOP/s of some versions for n x n matrices. */
function measureRates(n: number, versions: Record<string, typeof naiveMatmul>) {
  manualSeed(17);
  const a = randn([n, n], { device: "ts" }).data() as Float32Array;
  const b = randn([n, n], { device: "ts" }).data() as Float32Array;
  const tasks = new Map(
    Object.entries(versions).map(([name, matmul]) => [name, () => matmul(a, b, n)]),
  );
  const seconds = measure(tasks, n > 512 ? 1 : 3);
  return new Map([...seconds].map(([name, time]) => [name, (2 * n ** 3) / time / 1e9]));
}

/** Returns GFLOP/s of the device cpu in a process with another instruction set. */
function measureCpu(simd?: string): number {
  const library = fileURLToPath(new URL("../../index.js", import.meta.url));
  const program = `
    import { device, matmul, randn, setDefaultDevice } from ${JSON.stringify(library)};
    setDefaultDevice("cpu");
    device("cpu").addon.threads(1);
    const a = randn([512, 512]);
    let best = Infinity;
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      matmul(a, a).data();
      best = Math.min(best, performance.now() - start);
    }
    console.log((2 * 512 ** 3) / best / 1e6);`;
  const env = simd ? { ...process.env, TINYBARD_SIMD: simd } : process.env;
  const args = ["--input-type=module", "-e", program];
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { env, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return Number(stdout);
}

export async function solution() {
  say(`1. At 256 a matrix takes 256 KB, at 1024 it takes 4 MB. Reading a column of b loads a cache
    line of 64 bytes for each number. If the cache cannot hold the lines of a whole column until the
    next column is read, each number is a cache miss. The row order uses all numbers of a line at
    once. How far "naive" falls behind depends on the sizes of this machine's caches.`);
  const versions = { naive: naiveMatmul, "row order": rowOrderMatmul };
  const bySize = [256, 1024].map((n) => {
    const rates = measureRates(n, versions);
    const columns = [...rates].map(([name, rate]) => `${name} ${rate.toFixed(2)} GFLOP/s`);
    console.log(`n = ${n}: ${columns.join(", ")}`);
    return Object.fromEntries(rates);
  });

  say("2. The C++ kernel on one thread, with vectors and without.");
  const hasCpu = devices().some(({ name, available }) => name === "cpu" && available);
  const cpu = hasCpu ? { vectors: measureCpu(), scalar: measureCpu("scalar") } : null;
  if (cpu) {
    console.log(`vectors ${cpu.vectors.toFixed(1)} GFLOP/s, scalar ${cpu.scalar.toFixed(1)}`);
    console.log(`vectors make it ${(cpu.vectors / cpu.scalar).toFixed(1)} times as fast`);
  } else console.log("not measured: the device cpu is not available");

  say(`3. It reads a down its columns, as "naive" reads b, and it also loads and stores c down its
    columns. No other order uses less of each cache line.`);
  const rates = measureRates(512, { ...versions, "column order": columnOrderMatmul });
  for (const [name, rate] of rates) console.log(`${name.padEnd(13)} ${rate.toFixed(2)} GFLOP/s`);
  return { bySize, cpu, rates: Object.fromEntries(rates) };
}
