// Our side of two comparisons, in a process of its own, which prints lines of JSON. usage:
// ours.js gemm PRESET THREADS [DEVICE DTYPE], as torch_gpt.py --gemm: the products of each linear
// layer and a square one; ours.js generate PRESET THREADS SECONDS, as torch_generate.py: 200 tokens
// behind 16.

import { type Device, type DeviceName, device, GPT, generate, manualSeed } from "tinybard";
import { setThreads } from "#src/backend/devices.js";
import { median, run } from "../command.ts";
import { layersOf, product } from "../matmul.bench.ts";
import { rateOf, timeOf } from "../measure.ts";
import { modelOptions, sizesOf } from "../models.ts";
import { toBf16 } from "../row.ts";

/** What is printed of a product, here and there. */
export interface Product {
  gemm: string;
  m: number;
  n: number;
  k: number;
  gflops: number;
}

const [mode, preset, threads, ...rest] = process.argv.slice(2);
await run(async () => {
  if (mode === "gemm") {
    const [name = "cpu", dtype = "f32"] = rest;
    const on = device(name as DeviceName);
    if (name === "cpu") setThreads(Number(threads));
    gemm(on, dtype);
  } else {
    setThreads(Number(threads));
    const rate = await tokensPerSecond(device("cpu"), Number(rest[0]));
    console.log(JSON.stringify({ tokensPerSecond: rate }));
  }
});

function gemm(on: Device, dtype: string): void {
  const sizes = sizesOf(preset);
  const { addon } = on;
  if (addon && "setTf32" in addon) addon.setTf32(dtype === "tf32");
  const print = (gemm: string, m: number, n: number, k: number, transposed = {}) => {
    const plain = product(gemm, [m, n, k], transposed);
    const call = dtype === "bf16" && addon ? toBf16(plain, addon.signatures.matmul) : plain;
    const gflops = rateOf(call, timeOf(call, on, 200));
    console.log(JSON.stringify({ gemm, m, n, k, gflops } satisfies Product));
  };
  const layers = layersOf(sizes).map(([name, n, k]) => [name, sizes.M, n, k] as const);
  const side = { cpu: 2048, cuda: 4096 }[on.name as string] ?? 64; // the emulator is slow
  for (const [name, r, n, k] of [...layers, ["square", side, side, side] as const]) {
    print(`${name} y`, r, n, k, { transB: true });
    print(`${name} dx`, r, k, n);
    print(`${name} dw`, n, k, r, { transA: true });
  }
}

/** The median of generations, the first of which does not count. */
async function tokensPerSecond(on: Device, seconds: number): Promise<number> {
  manualSeed(1337);
  const model = new GPT(modelOptions(preset)).to(on);
  const [prompt, maxNewTokens] = [Array.from({ length: 16 }, (_, i) => i), 200];
  const generateAll = async () => {
    const start = performance.now();
    let count = 0;
    for await (const _ of generate(model, { prompt, maxNewTokens, temperature: 1 })) count++;
    return (1000 * count) / (performance.now() - start);
  };
  await generateAll();
  const rates: number[] = [];
  const end = performance.now() + 1000 * seconds;
  do rates.push(await generateAll());
  while (performance.now() < end);
  return median(rates);
}
