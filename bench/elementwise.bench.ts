// Elementwise kernels on the hidden layer of the MLP, [M, 4C], and the sum of the token and
// position embeddings.

import { F, forModels, I, inPlace, out, P, type Row } from "./row.ts";

export const elementwise = forModels(({ T, C, M }) => {
  const n = 4 * M * C;
  const row = (kernel: Row["kernel"], ...args: Row["args"]) => {
    return { kernel, shape: `${M} x ${4 * C}`, args };
  };
  const pairwise = ["add", "sub", "mul", "div"] as const;
  const unary = ["neg", "exp", "sin", "cos", "abs", "tanh", "relu", "sigmoid"] as const;
  const smooth = ["silu", "gelu", "geluTanh"] as const;
  const withBackward = ["abs", "tanh", "relu", "sigmoid", ...smooth] as const;
  return [
    ...pairwise.map((kernel) => row(kernel, F(n), P(n), out(n), n, n, n)),
    {
      kernel: "add",
      shape: `${M} x ${C} + ${T} x ${C}`,
      args: [F(M * C), F(T * C), out(M * C), M * C, T * C, M * C],
    },
    row("where", I(n, 2), F(n), F(1), out(n), n, n, 1, n),
    row("pow", P(n), out(n), n, 2.5),
    row("log", P(n), out(n), n),
    row("sqrt", P(n), out(n), n),
    ...[...unary, ...smooth].map((kernel) => row(kernel, F(n), out(n), n)),
    ...withBackward.map((name) => row(`${name}Backward`, F(n), F(n), out(n), n)),
    row("accumulate", F(n), inPlace(F(n)), n),
  ];
});
