// Scaled dot-product attention: softmax(q k^T / sqrt D) v, without ever holding all T x T
// probabilities. Vaswani et al. (2017); the backward pass computes them again from lse, as in Dao
// et al. (2022).

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { nextSite } from "../random.ts";
import { checkRank, checkShape, show } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { add, maskedFill, mul, sub } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { cat, permute, reshape, slice, split, transpose } from "./movement.ts";
import { checkProbability, dropout as drop } from "./random.ts";
import { softmax } from "./softmax.ts";

/**
 * Each query's mean of the values, weighted by softmax(q k^T / sqrt D). q [B, H, Tq, D]; k, v
 * [B, H, Tk, D]; gives [B, H, Tq, D]. Causal: query i sees keys j <= i + Tk - Tq; a query that sees
 * none gives 0. `dropout` is the probability that a weight is dropped.
 * @example
 * const q = randn([1, 2, 4, 8]); // (B, H, T, D)
 * const y = attention(q, q, q, { causal: true });
 * console.log(y.shape); // [ 1, 2, 4, 8 ]
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: { causal?: boolean; dropout?: number } = {},
): Tensor {
  checkOptions("attention", options, ["causal", "dropout"]);
  const { causal = false, dropout = 0 } = options;
  checkProbability("attention", dropout);
  for (const [name, each] of Object.entries({ q, k, v })) checkTensor("attention", name, each);
  checkRank("attention", "q", q.shape, "BHTD");
  checkRank("attention", "k", k.shape, "BHTD");
  const [B, H, Tq, D] = q.shape;
  const Tk = k.shape[2];
  for (const [name, each] of Object.entries({ k, v }))
    checkSameKind("attention", name, each, q, [B, H, Tk, D]);
  const { kernels } = q.device;
  const [y, lse] = [empty(q), empty(q, [B, H, Tq], q.accumulateDType)];
  const site = dropout > 0 ? nextSite() : 0;
  const sizes = [q.device.rngState(), B * H, Tq, Tk, D, causal, site, dropout] as const;
  kernels.attention(q.floats, k.floats, v.floats, y.floats, lse.floats, ...sizes);
  return record(
    "attention",
    y,
    [q, k, v],
    (dy) => {
      const [dq, dk, dv] = [empty(q), empty(k), empty(v)];
      kernels.attentionBackward(
        q.floats,
        k.floats,
        v.floats,
        y.floats,
        lse.floats,
        dy.floats,
        dq.floats,
        dk.floats,
        dv.floats,
        ...sizes,
      );
      return [dq, dk, dv];
    },
    [lse],
  );
}

/**
 * `mask` [Tq, Tk] of i32 is 1 where a query may not see a key; without it every query sees every
 * key.
 */
export function attentionSpec(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | null = null,
  p = 0,
): Tensor {
  const scores = mul(matmul(q, transpose(k, -2, -1)), 1 / Math.sqrt(q.shape[3])); // (B, H, Tq, Tk)
  const seen = mask ? maskedFill(scores, mask, -Infinity) : scores;
  return matmul(drop(softmax(seen), { p }), v); // (B, H, Tq, D)
}

/**
 * attention() of the queries, keys and values that lie side by side in one projection, without
 * copying heads. qkv [B, T, 3C]; gives [B, T, C]; head h has channels h C / nHead and on.
 * @example
 * const qkv = randn([1, 4, 24]); // (B, T, 3 C)
 * console.log(selfAttention(qkv, { nHead: 2, causal: true }).shape); // [ 1, 4, 8 ]
 */
export function selfAttention(
  qkv: Tensor,
  options: { nHead: number; causal?: boolean; dropout?: number },
): Tensor {
  checkOptions("selfAttention", options, ["nHead", "causal", "dropout"]);
  const { nHead, causal = false, dropout = 0 } = options;
  checkProbability("selfAttention", dropout);
  const [B, T, C] = projection("selfAttention", qkv, nHead);
  const { kernels } = qkv.device;
  const [y, lse] = [empty(qkv, [B, T, C]), empty(qkv, [B, nHead, T], qkv.accumulateDType)];
  const site = dropout > 0 ? nextSite() : 0;
  const sizes = [qkv.device.rngState(), B, T, nHead, C / nHead, causal, site, dropout] as const;
  kernels.selfAttention(qkv.floats, y.floats, lse.floats, ...sizes);
  return record(
    "selfAttention",
    y,
    [qkv],
    (dy) => {
      const dqkv = empty(qkv);
      kernels.selfAttentionBackward(
        qkv.floats,
        y.floats,
        lse.floats,
        dy.floats,
        dqkv.floats,
        ...sizes,
      );
      return [dqkv];
    },
    [lse],
  );
}

export function selfAttentionSpec(
  qkv: Tensor,
  options: { nHead: number; causal?: boolean; dropout?: number },
): Tensor {
  const { nHead, ...rest } = options;
  const [B, T, C] = projection("selfAttention", qkv, nHead);
  const heads = (x: Tensor) => permute(reshape(x, [B, T, nHead, C / nHead]), [0, 2, 1, 3]);
  const [q, k, v] = split(qkv, C, { dim: 2 }).map(heads); // (B, H, T, D)
  return reshape(permute(attention(q, k, v, rest), [0, 2, 1, 3]), [B, T, C]);
}

/**
 * selfAttention() of T new tokens over themselves and all tokens before them, whose keys and values
 * `cache` holds; theirs are added to it. cache [B, capacity, 2C]; length [] of i32 counts the
 * tokens before. For generation: no gradient flows through a cache.
 */
export function cachedAttention(
  qkv: Tensor,
  cache: Tensor,
  length: Tensor,
  options: { nHead: number },
): Tensor {
  checkOptions("cachedAttention", options, ["nHead"]);
  const [B, T, C] = projection("cachedAttention", qkv, options.nHead);
  const capacity = cache.shape[1];
  checkShape("cachedAttention", "cache", cache.shape, [B, capacity, 2 * C]);
  if (qkv.requiresGrad) fail("cachedAttention: qkv requires a gradient; run it inside noGrad()");
  const y = empty(qkv, [B, T, C]);
  qkv.device.kernels.cachedAttention(
    qkv.floats,
    cache.floats,
    length.ints,
    y.floats,
    B,
    T,
    options.nHead,
    C / options.nHead,
    capacity,
  );
  cache.storage.bumpVersion();
  return y;
}

/**
 * Turns queries and keys by angles that grow with their places, so that a score depends on how far
 * apart two tokens are, not on where they stand. x [B, T, parts nHead D]: one part by itself, or
 * parts side by side of which the last, the values, stays as it is. `table` [places, D] is that of
 * rotaryTable(); token t stands at place length + t, length being a [] of i32, by default 0.
 * Su et al. (2021).
 * @example
 * const table = nn.rotaryTable(4, 8);
 * const y = rotary(randn([1, 4, 16]), table, { nHead: 2 }); // 2 heads of size 8
 * console.log(y.shape); // [ 1, 4, 16 ]
 */
export function rotary(
  x: Tensor,
  table: Tensor,
  options: { nHead: number; length?: Tensor | null },
): Tensor {
  checkOptions("rotary", options, ["nHead", "length"]);
  const { nHead, length } = options;
  checkTensor("rotary", "x", x);
  checkRank("rotary", "x", x.shape, "BTC");
  checkSameKind("rotary", "table", table, x, undefined, [x.accumulateDType]);
  const [[B, T, width], [capacity, D = 0]] = [x.shape, table.shape];
  const parts = width / (nHead * D);
  if (table.shape.length !== 2 || D % 2 !== 0 || !Number.isInteger(parts) || parts < 1)
    fail(
      `rotary: x has shape ${show(x.shape)}, expected [B, T, parts nHead D] with nHead ${nHead}, ` +
        `D even as in table ${show(table.shape)}`,
    );
  const sizes = [B, T, parts, nHead, D / 2, capacity, Math.max(1, parts - 1)] as const;
  const turn = (from: Tensor, inverse: boolean) => {
    const to = empty(x);
    const place = length ? length.ints : null;
    x.device.kernels.rotary(from.floats, table.floats, place, to.floats, ...sizes, inverse);
    return to;
  };
  return record("rotary", turn(x, false), [x], (dy) => [turn(dy, true)]);
}

/** rotary() of one part, from place 0, in small ops. */
export function rotarySpec(x: Tensor, table: Tensor, options: { nHead: number }): Tensor {
  const [[B, T], [, D]] = [x.shape, table.shape];
  const half = { dim: -1, start: 0, end: D / 2 };
  const rest = { dim: -1, start: D / 2 };
  const heads = permute(reshape(x, [B, T, options.nHead, D]), [0, 2, 1, 3]); // (B, H, T, D)
  const [a, b] = [slice(heads, half), slice(heads, rest)];
  const angles = slice(table, { dim: 0, end: T });
  const [cos, sin] = [slice(angles, half), slice(angles, rest)]; // (T, D / 2)
  const turned = [sub(mul(a, cos), mul(b, sin)), add(mul(a, sin), mul(b, cos))];
  return reshape(permute(cat(turned, { dim: -1 }), [0, 2, 1, 3]), x.shape);
}

function projection(op: string, qkv: Tensor, nHead: number): [B: number, T: number, C: number] {
  checkTensor(op, "qkv", qkv);
  checkRank(op, "qkv", qkv.shape, "BTC");
  const [B, T, width] = qkv.shape;
  if (!Number.isInteger(nHead) || nHead < 1 || width % (3 * nHead) !== 0)
    fail(`${op}: qkv has shape ${show(qkv.shape)}, expected [B, T, 3 nHead D] with nHead ${nHead}`);
  return [B, T, width / 3];
}
