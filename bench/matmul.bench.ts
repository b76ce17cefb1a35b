// The products of each linear layer: y = x w^T, and the gradients dx = dy w and dw = dy^T x.

import type { Sizes } from "./models.ts";
import { F, forModels, out, type Row } from "./row.ts";

/** The linear layers of a model. */
export function layersOf({ C, V }: Sizes): [name: string, outputs: number, inputs: number][] {
  return [
    ["qkv", 3 * C, C],
    ["proj", C, C],
    ["fc", 4 * C, C],
    ["out", C, 4 * C],
    ["head", V, C],
  ];
}

/** c = op(a) op(b), which is [M, N]. */
export function product(
  name: string,
  [M, N, K]: [number, number, number],
  { transA = false, transB = false } = {},
): Omit<Row, "model"> {
  const buffers = [F(M * K), F(K * N), out(M * N)];
  const args = [...buffers, 1, M, N, K, 0, 0, transA, transB, false];
  return { kernel: "matmul", shape: `${name} ${M} x ${K} x ${N}`, args, flops: 2 * M * N * K };
}

const codes: Record<string, number> = { relu: 1, gelu: 2 };

export const matmul = forModels((sizes) => {
  const { M, activation, bias } = sizes;
  return layersOf(sizes).flatMap(([name, N, K]) => {
    const code = name === "fc" ? codes[activation] : 0;
    const h = code === codes.gelu ? out(M * N) : null; // what its derivative is computed from
    const args = [F(M * K), F(N * K), bias ? F(N) : null, h, out(M * N), M, N, K, code];
    const shape = `${name} y ${M} x ${K} x ${N}${code ? ` ${activation}` : ""}`;
    return [
      { kernel: "linear", shape, args, flops: 2 * M * N * K },
      product(`${name} dx`, [M, K, N]),
      product(`${name} dw`, [N, K, M], { transA: true }),
    ];
  });
});
