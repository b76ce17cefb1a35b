// The tinybard side of two comparisons with PyTorch. Prints JSON lines. usage:
//   tinybard.js gemm PRESET THREADS [DEVICE DTYPE]
//     the matmuls of each linear layer and a square one, as torch_gpt.py --gemm
//   tinybard.js generate PRESET THREADS SECONDS
//     200 tokens after a prompt of 16, as torch_generate.py

import { type Device, type DeviceName, device, GPT, generate, manualSeed } from "tinybard";
import { setThreads } from "#src/backend/devices.js";
import { median, run } from "../command.ts";
import { createMatmul, getLayers } from "../matmul.bench.ts";
import { computeRate, measureTime } from "../measure.ts";
import { getModelOptions, getSizes } from "../models.ts";
import { toBf16 } from "../row.ts";

/** The rate of a matmul, as tinybard.js and torch_gpt.py print it. */
export interface MatmulRate {
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
    measureMatmuls(on, dtype);
  } else {
    setThreads(Number(threads));
    const rate = await measureGeneration(device("cpu"), Number(rest[0]));
    console.log(JSON.stringify({ tokensPerSecond: rate }));
  }
});

function measureMatmuls(on: Device, dtype: string): void {
  const sizes = getSizes(preset);
  const { addon } = on;
  if (addon && "setTf32" in addon) addon.setTf32(dtype === "tf32");
  const print = (gemm: string, m: number, n: number, k: number, transpose = {}) => {
    const f32Call = createMatmul(gemm, [m, n, k], transpose);
    const call = dtype === "bf16" && addon ? toBf16(f32Call, addon.signatures.matmul) : f32Call;
    const gflops = computeRate(call, measureTime(call, on, 200));
    console.log(JSON.stringify({ gemm, m, n, k, gflops } satisfies MatmulRate));
  };
  const layers = getLayers(sizes).map(([name, n, k]) => [name, sizes.M, n, k] as const);
  const side = { cpu: 2048, cuda: 4096 }[on.name as string] ?? 64; // the emulator is slow
  for (const [name, m, n, k] of [...layers, ["square", side, side, side] as const]) {
    print(`${name} y`, m, n, k, { transB: true });
    print(`${name} dx`, m, k, n);
    print(`${name} dw`, n, k, m, { transA: true });
  }
}

/** Returns the median tokens per second of several generations, without the first. */
async function measureGeneration(on: Device, seconds: number): Promise<number> {
  manualSeed(1337);
  const model = new GPT(getModelOptions(preset)).to(on);
  const prompt = Array.from({ length: 16 }, (_, i) => i);
  const generateAll = async () => {
    const start = performance.now();
    let count = 0;
    for await (const _ of generate(model, { prompt, maxNewTokens: 200, temperature: 1 })) count++;
    return (1000 * count) / (performance.now() - start);
  };
  await generateAll();
  const rates: number[] = [];
  const end = performance.now() + 1000 * seconds;
  do {
    rates.push(await generateAll());
  } while (performance.now() < end);
  return median(rates);
}
