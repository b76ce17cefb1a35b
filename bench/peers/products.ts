// The matrix products of a model and a large square one, here and in PyTorch.

import { median } from "../command.ts";
import type { Product } from "./ours.ts";
import { ours, torch } from "./sides.ts";

/** Measures both sides by turns, and prints the median rates of both. */
export async function compareProducts(
  preset: string,
  { rounds, threads }: { rounds: number; threads: number },
) {
  const rates = new Map<string, { ours: number[]; torch: number[] }>();
  const note = (side: "ours" | "torch", { gemm, m, n, k, gflops }: Product) => {
    const product = `${gemm.padEnd(12)}${m} x ${k} x ${n}`;
    const both = rates.get(product) ?? { ours: [], torch: [] };
    both[side].push(gflops);
    rates.set(product, both);
  };
  const words = ["--gemm", "--device", "cpu", "--preset", preset, "--threads", threads];
  for (let i = 0; i < rounds; i++) {
    for await (const own of ours<Product>("ours.js", ["gemm", preset, threads])) note("ours", own);
    for await (const other of torch<Product>("torch_gpt.py", words)) note("torch", other);
  }
  console.log(`\n${preset.padEnd(32)}   tinybard      torch  (GFLOP/s)`);
  return [...rates].map(([product, { ours, torch }]) => {
    const [own, other] = [median(ours), median(torch)];
    const figures = [own, other].map((rate) => rate.toFixed(1).padStart(11)).join("");
    const share = `${((100 * own) / other).toFixed(0)} %`;
    console.log(`${product.padEnd(32)}${figures}${share.padStart(8)}`);
    return { preset, product, ours, torch, ratio: own / other };
  });
}
