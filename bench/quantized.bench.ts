// The linear layers for one token, as in generation: with f32 weights, and with 8 and 4 bits.

import { getLayers } from "./matmul.bench.ts";
import { F, forModels, I, out, P } from "./row.ts";

export const quantized = forModels((sizes) =>
  getLayers(sizes).flatMap(([name, N, K]) => {
    const shape = `${name} 1 x ${K} x ${N}`;
    const flops = 2 * N * K;
    const floats = [F(K), F(N * K), null, null, out(N), 1, N, K, 0];
    const quantizedRows = [8, 4].map((bits) => {
      const groups = bits === 8 ? 1 : Math.ceil(K / 32);
      const packed = I(N * Math.ceil((K * bits) / 32), 2 ** 31);
      const args = [F(K), packed, P(N * groups), null, out(N), 1, N, K, groups, bits, 0];
      return { kernel: "linearQuantized" as const, shape: `${shape} int${bits}`, args, flops };
    });
    return [{ kernel: "linear" as const, shape, args: floats, flops }, ...quantizedRows];
  }),
);
