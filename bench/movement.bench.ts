// Movement kernels on the residual stream, its heads, the queries, keys and values of a projection,
// and the embeddings.

import { F, forModels, I, out } from "./row.ts";

export const movement = forModels(({ B, T, C, H, D, M, V }) => {
  const n = M * C;
  const sliceBytes = 4 * 2 * n; // the keys, a third of [M, 3, C], are read and written
  return [
    { kernel: "copy", shape: `${M} x ${C}`, args: [F(n), out(n), n] },
    { kernel: "fill", shape: `${M} x ${C}`, args: [out(n), 0, n] },
    {
      kernel: "transpose",
      shape: `${B} x ${T} x ${H} x ${D}`,
      args: [F(n), out(n), B, T, H, D],
    },
    { kernel: "expand", shape: `${C} -> ${M} x ${C}`, args: [F(C), out(n), 1, M, C] },
    {
      kernel: "slice",
      shape: `${M} x 3 x ${C}`,
      args: [F(3 * n), out(n), M, 3, C, 1, 1],
      bytes: sliceBytes,
    },
    {
      kernel: "sliceUpdate",
      shape: `${M} x 3 x ${C}`,
      args: [F(n), out(3 * n), M, 3, C, 1, 1],
      bytes: sliceBytes,
    },
    {
      kernel: "embedding",
      shape: `${M} of ${V} x ${C}`,
      args: [I(M, V), F(V * C), out(n), M, V, C],
    },
    {
      kernel: "embeddingBackward",
      shape: `${M} of ${V} x ${C}`,
      args: [I(M, V), F(n), out(V * C), M, V, C],
    },
  ];
});
