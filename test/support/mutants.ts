// A program for scripts/emulator.mjs: calls the kernels of one family on the emulator and prints
// the emulator's report, or `silent` if it has none. usage: node dist-test/support/mutants.js SCENE

import {
  attention,
  exp,
  layerNorm,
  manualSeed,
  matmul,
  ones,
  randn,
  setDefaultDevice,
  type Tensor,
} from "tinybard";

setDefaultDevice("cuda-emulator");
manualSeed(1);
const leaf = (...shape: number[]) => randn(shape, { requiresGrad: true });
const randnBf16 = (...shape: number[]) => randn(shape).to("bf16");

const scenes: Record<string, () => Tensor> = {
  elementwise: () => exp(leaf(13)),
  matmul: () => matmul(leaf(70, 40), leaf(40, 50)),
  tensorCores: () => matmul(randnBf16(64, 72), randnBf16(72, 64)),
  layerNorm: () => layerNorm(leaf(40, 24), ones([24], { requiresGrad: true })),
  attention: () => attention(leaf(1, 2, 40, 8), leaf(1, 2, 40, 8), leaf(1, 2, 40, 8)),
  flashAttention: () =>
    attention(randnBf16(1, 2, 80, 16), randnBf16(1, 2, 80, 16), randnBf16(1, 2, 80, 16), {
      causal: true,
    }),
};

try {
  const y = scenes[process.argv[2]]();
  y.data();
  const total = y.sum();
  if (total.requiresGrad) total.backward();
  total.data(); // reading throws the errors of the kernels
  console.log("silent");
} catch (error) {
  console.log((error as Error).message);
}
