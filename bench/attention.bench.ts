// Causal attention over a batch, and over one token with a KV cache that it fills. Only the pairs
// of a query and a visible key count as work. A matmul takes 2 D FLOPs per pair: there are two
// forward, and five backward, one of which recomputes the scores. p is the dropout probability of
// the model.

import { F, forModels, I, inPlace, out, P, type Row, scalar } from "./row.ts";

export const attention = forModels(({ B, T, C, H, D, M, dropout }) => {
  const n = M * C;
  const heads = B * H;
  const rngState = I(4, 1);
  const q = F(n);
  const lse = P(heads * T);
  const pairs = (heads * T * (T + 1)) / 2;
  const forwardFlops = 4 * D * pairs;
  const backwardFlops = 10 * D * pairs;
  const shape = `${B} x ${T} x ${H} x ${D}`;
  const sizes = [rngState, heads, T, T, D, true, 0, 0];
  const selfAttentionRows = (p: number): Omit<Row, "model">[] => {
    const sizes = [rngState, B, T, H, D, true, 0, p];
    const name = p > 0 ? `${shape}, p ${p}` : shape;
    return [
      {
        kernel: "selfAttention",
        shape: name,
        args: [F(3 * n), out(n), out(heads * T), ...sizes],
        flops: forwardFlops,
      },
      {
        kernel: "selfAttentionBackward",
        shape: name,
        args: [F(3 * n), q, lse, q, out(3 * n), ...sizes],
        flops: backwardFlops,
      },
    ];
  };
  return [
    {
      kernel: "attention",
      shape,
      args: [q, q, q, out(n), out(heads * T), ...sizes],
      flops: forwardFlops,
    },
    {
      kernel: "attentionBackward",
      shape,
      args: [q, q, q, q, lse, q, out(n), out(n), out(n), ...sizes],
      flops: backwardFlops,
    },
    ...[...new Set([0, dropout])].flatMap(selfAttentionRows),
    {
      kernel: "cachedAttention",
      shape: `1 x 1 of ${T} x ${H} x ${D}`,
      args: [F(3 * C), inPlace(F(2 * T * C)), scalar(T - 1, "i32"), out(C), 1, 1, H, D, T],
      flops: 4 * C * T,
    },
  ];
});
