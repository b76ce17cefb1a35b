// Causal attention over a batch, and over one more token behind a cache that is full but for it. Of
// a pair of tokens only those that see each other count as work: a product forward is 2 D each, two
// of them; backward there are five, one of which computes the scores again. Where a model drops
// some of what attention gives, p is how much.

import { F, forModels, given, I, inPlace, out, P } from "./row.ts";

export const attention = forModels(({ B, T, C, H, D, M, dropout }) => {
  const [n, heads, rngState] = [M * C, B * H, I(4, 1)];
  const [q, lse] = [F(n), P(heads * T)];
  const pairs = (heads * T * (T + 1)) / 2;
  const [forward, backward] = [{ flops: 4 * D * pairs }, { flops: 10 * D * pairs }];
  const shape = `${B} x ${T} x ${H} x ${D}`;
  const split = [rngState, heads, T, T, D, true, 0, 0];
  const joint = (p: number) => {
    const rest = [rngState, B, T, H, D, true, 0, p];
    const name = p > 0 ? `${shape}, p ${p}` : shape;
    const y = { args: [F(3 * n), out(n), out(heads * T), ...rest], ...forward };
    const dx = { args: [F(3 * n), q, lse, q, out(3 * n), ...rest], ...backward };
    return [
      { kernel: "selfAttention" as const, shape: name, ...y },
      { kernel: "selfAttentionBackward" as const, shape: name, ...dx },
    ];
  };
  return [
    { kernel: "attention", shape, args: [q, q, q, out(n), out(heads * T), ...split], ...forward },
    {
      kernel: "attentionBackward",
      shape,
      args: [q, q, q, q, lse, q, out(n), out(n), out(n), ...split],
      ...backward,
    },
    ...[...new Set([0, dropout])].flatMap(joint),
    {
      kernel: "cachedAttention",
      shape: `1 x 1 of ${T} x ${H} x ${D}`,
      args: [F(3 * C), inPlace(F(2 * T * C)), given(T - 1, "i32"), out(C), 1, 1, H, D, T],
      flops: 4 * C * T,
    },
  ];
});
