// The matmuls of each linear layer: y = x w^T, and the gradients dx = dy w and dw = dy^T x.

import type { Sizes } from "./models.ts";
import { F, forModels, out, type Row } from "./row.ts";

/** Returns the linear layers of a model. */
export function getLayers({ C, V }: Sizes): [name: string, outputs: number, inputs: number][] {
  return [
    ["qkv", 3 * C, C],
    ["proj", C, C],
    ["fc", 4 * C, C],
    ["out", C, 4 * C],
    ["head", V, C],
  ];
}

/** Creates the row of c = op(a) op(b), [M, N], where op() transposes or not. */
export function createMatmul(
  name: string,
  [M, N, K]: [number, number, number],
  { transA = false, transB = false } = {},
): Omit<Row, "model"> {
  const a = F(M * K);
  const b = F(K * N);
  const c = out(M * N);
  const args = [a, b, c, 1, M, N, K, 0, 0, transA, transB, false];
  return { kernel: "matmul", shape: `${name} ${M} x ${K} x ${N}`, args, flops: 2 * M * N * K };
}

const activationCodes: Record<string, number> = { relu: 1, gelu: 2 };

export const matmul = forModels((sizes) => {
  const { M, activation, bias } = sizes;
  return getLayers(sizes).flatMap(([name, N, K]) => {
    const code = name === "fc" ? activationCodes[activation] : 0;
    const h = code === activationCodes.gelu ? out(M * N) : null; // the pre-activation
    const args = [F(M * K), F(N * K), bias ? F(N) : null, h, out(M * N), M, N, K, code];
    const shape = `${name} y ${M} x ${K} x ${N}${code ? ` ${activation}` : ""}`;
    return [
      { kernel: "linear", shape, args, flops: 2 * M * N * K },
      createMatmul(`${name} dx`, [M, K, N]),
      createMatmul(`${name} dw`, [N, K, M], { transA: true }),
    ];
  });
});
