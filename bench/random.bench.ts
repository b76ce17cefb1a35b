// Dropout on the residual stream.

import { F, forModels, I, out } from "./row.ts";

export const random = forModels(({ M, C }) => [
  {
    kernel: "dropout",
    shape: `${M} x ${C}`,
    args: [F(M * C), out(M * C), I(4, 1), M * C, 0, 0.2],
  },
]);
