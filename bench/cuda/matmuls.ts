// Measures matmuls by tinybard's own kernels, by tinybard with cuBLASLt, and by PyTorch.

import { runTinybard, runTorch } from "../peers/processes.ts";
import type { MatmulRate } from "../peers/tinybard.ts";
import { getTorchDType, hasTorch } from "./processes.ts";
import type { Part } from "./run.ts";

export const matmuls: Part = async ({ device, preset, dtype }, save) => {
  for (const name of preset ? [preset] : ["lecture-10.8m", "gpt2"])
    for (const type of dtype ? [dtype] : ["bf16", "tf32"]) {
      const args = ["gemm", name, 1, device, type];
      const sides: Record<string, AsyncGenerator<MatmulRate>> = {
        own: runTinybard("../peers/tinybard.js", args, { TINYBARD_MATMUL: "own" }),
      };
      if (device === "cuda") {
        sides.cublas = runTinybard("../peers/tinybard.js", args, { TINYBARD_MATMUL: "cublas" });
        if (hasTorch())
          sides.torch = runTorch("torch_gpt.py", [
            "--gemm",
            "--preset",
            name,
            ...getTorchDType(type),
          ]);
      }
      const rates: Record<string, Record<string, number>> = {};
      for (const [side, lines] of Object.entries(sides))
        for await (const { gemm, m, n, k, gflops } of lines) {
          const product = `${gemm.padEnd(10)} ${m} x ${k} x ${n}`;
          rates[product] = { ...rates[product], [side]: gflops };
          save(`products-${name}-${type}`, rates);
        }
      console.log(`\n${name} in ${type}, TFLOP/s: ${Object.keys(sides).join(", ")}`);
      for (const [product, bySide] of Object.entries(rates)) {
        const cells = Object.values(bySide).map((rate) => (rate / 1000).toFixed(1).padStart(9));
        console.log(`${product.padEnd(34)}${cells.join("")}`);
      }
    }
};
