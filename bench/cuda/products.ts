// Matrix products by our own kernels, by cuBLASLt as we call it, and by PyTorch.

import type { Product } from "../peers/ours.ts";
import { ours, torch } from "../peers/sides.ts";
import type { Part } from "./run.ts";
import { hasTorch, torchType } from "./sides.ts";

export const products: Part = async ({ device, preset, dtype }, note) => {
  for (const name of preset ? [preset] : ["lecture-10.8m", "gpt2"])
    for (const type of dtype ? [dtype] : ["bf16", "tf32"]) {
      const words = ["gemm", name, 1, device, type];
      const sides: Record<string, AsyncGenerator<Product>> = {
        own: ours("../peers/ours.js", words, { TINYBARD_MATMUL: "own" }),
      };
      if (device === "cuda") {
        sides.cublas = ours("../peers/ours.js", words, { TINYBARD_MATMUL: "cublas" });
        if (hasTorch())
          sides.torch = torch("torch_gpt.py", ["--gemm", "--preset", name, ...torchType(type)]);
      }
      const rates: Record<string, Record<string, number>> = {};
      for (const [side, lines] of Object.entries(sides))
        for await (const { gemm, m, n, k, gflops } of lines) {
          const product = `${gemm.padEnd(10)} ${m} x ${k} x ${n}`;
          rates[product] = { ...rates[product], [side]: gflops };
          note(`products-${name}-${type}`, rates);
        }
      console.log(`\n${name} in ${type}, TFLOP/s: ${Object.keys(sides).join(", ")}`);
      for (const [product, figures] of Object.entries(rates)) {
        const cells = Object.values(figures).map((rate) => (rate / 1000).toFixed(1).padStart(9));
        console.log(`${product.padEnd(34)}${cells.join("")}`);
      }
    }
};
