// Compares the matmuls of a model and a large square one with PyTorch.

import { median } from "../command.ts";
import { runTinybard, runTorch } from "./processes.ts";
import type { MatmulRate } from "./tinybard.ts";

/** Measures both sides in interleaved rounds, and prints their median rates. */
export async function compareMatmuls(
  preset: string,
  { rounds, threads }: { rounds: number; threads: number },
) {
  const rates = new Map<string, { ours: number[]; torch: number[] }>();
  const addRate = (side: "ours" | "torch", { gemm, m, n, k, gflops }: MatmulRate) => {
    const product = `${gemm.padEnd(12)}${m} x ${k} x ${n}`;
    const entry = rates.get(product) ?? { ours: [], torch: [] };
    entry[side].push(gflops);
    rates.set(product, entry);
  };
  const torchArgs = ["--gemm", "--device", "cpu", "--preset", preset, "--threads", threads];
  for (let i = 0; i < rounds; i++) {
    const tinybardRates = runTinybard<MatmulRate>("tinybard.js", ["gemm", preset, threads]);
    for await (const rate of tinybardRates) addRate("ours", rate);
    const torchRates = runTorch<MatmulRate>("torch_gpt.py", torchArgs);
    for await (const rate of torchRates) addRate("torch", rate);
  }
  console.log(`\n${preset.padEnd(32)}   tinybard      torch  (GFLOP/s)`);
  return [...rates].map(([product, { ours, torch }]) => {
    const ratio = median(ours) / median(torch);
    const cells = [median(ours), median(torch)].map((rate) => rate.toFixed(1).padStart(11));
    const percent = `${(100 * ratio).toFixed(0)} %`;
    console.log(`${product.padEnd(32)}${cells.join("")}${percent.padStart(8)}`);
    return { preset, product, ours, torch, ratio };
  });
}
