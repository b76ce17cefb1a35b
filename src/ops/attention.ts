// Scaled dot-product attention, softmax(q k^T / sqrt D) v, without storing the T x T probabilities.
// Vaswani et al. (2017); the backward pass recomputes them from lse, as in Dao et al. (2022).

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { nextSite } from "../random.ts";
import { checkRank, checkShape, formatShape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { mul } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { permute, reshape, split, transpose } from "./movement.ts";
import { checkProbability, dropout as drop } from "./random.ts";
import { maskedFill } from "./selection.ts";
import { softmax } from "./softmax.ts";

/**
 * y = softmax(q k^T / sqrt D) v. q, y [B, H, Tq, D]; k, v [B, H, Tk, D]. Causal: query i attends to
 * keys j <= i + Tk - Tq, and no other key affects it, not even one that is NaN; a query without any
 * key gives 0. `dropout` is the probability that a probability is zeroed.
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
  for (const [name, x] of Object.entries({ q, k, v })) checkTensor("attention", name, x);
  checkRank("attention", "q", q.shape, "BHTD");
  checkRank("attention", "k", k.shape, "BHTD");
  const [B, H, Tq, D] = q.shape;
  const Tk = k.shape[2];
  checkSameKind("attention", "k", k, q, [B, H, Tk, D]);
  checkSameKind("attention", "v", v, q, [B, H, Tk, D]);
  const { kernels } = q.device;
  const rngState = q.device.rngState();
  const site = dropout > 0 ? nextSite() : 0;
  const y = empty(q);
  const lse = empty(q, [B, H, Tq], q.accumulateDType); // log of the sum of e^scores
  kernels.attention(
    q.floats,
    k.floats,
    v.floats,
    y.floats,
    lse.floats,
    rngState,
    B * H,
    Tq,
    Tk,
    D,
    causal,
    site,
    dropout,
  );
  return record(
    "attention",
    y,
    [q, k, v],
    (dy) => {
      const dq = empty(q);
      const dk = empty(k);
      const dv = empty(v);
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
        rngState,
        B * H,
        Tq,
        Tk,
        D,
        causal,
        site,
        dropout,
      );
      return [dq, dk, dv];
    },
    [lse],
  );
}

/**
 * The reference for attention(), composed of small ops. `mask` [Tq, Tk] of i32 is 1 where a query
 * does not attend to a key; without it every query attends to every key. Unlike attention(), it
 * multiplies values by probabilities of 0, so that a hidden value that is NaN makes the result NaN.
 */
export function attentionSpec(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | null = null,
  p = 0,
): Tensor {
  const scores = mul(matmul(q, transpose(k, -2, -1)), 1 / Math.sqrt(q.shape[3])); // (B, H, Tq, Tk)
  const visible = mask ? maskedFill(scores, mask, -Infinity) : scores;
  return matmul(drop(softmax(visible), { p }), v); // (B, H, Tq, D)
}

/**
 * attention() of the queries, keys and values of one projection, without copying the heads.
 * qkv [B, T, 3C], y [B, T, C]; head h has the C / nHead channels from h C / nHead on.
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
  const [B, T, C] = projectionSizes("selfAttention", qkv, nHead);
  const D = C / nHead;
  const { kernels } = qkv.device;
  const rngState = qkv.device.rngState();
  const site = dropout > 0 ? nextSite() : 0;
  const y = empty(qkv, [B, T, C]);
  const lse = empty(qkv, [B, nHead, T], qkv.accumulateDType);
  kernels.selfAttention(
    qkv.floats,
    y.floats,
    lse.floats,
    rngState,
    B,
    T,
    nHead,
    D,
    causal,
    site,
    dropout,
  );
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
        rngState,
        B,
        T,
        nHead,
        D,
        causal,
        site,
        dropout,
      );
      return [dqkv];
    },
    [lse],
  );
}

/** The reference for selfAttention(), composed of small ops. */
export function selfAttentionSpec(
  qkv: Tensor,
  options: { nHead: number; causal?: boolean; dropout?: number },
): Tensor {
  const { nHead, ...rest } = options;
  const [B, T, C] = projectionSizes("selfAttention", qkv, nHead);
  const heads = (x: Tensor) => permute(reshape(x, [B, T, nHead, C / nHead]), [0, 2, 1, 3]);
  const [q, k, v] = split(qkv, C, { dim: 2 }).map(heads); // (B, H, T, D)
  return reshape(permute(attention(q, k, v, rest), [0, 2, 1, 3]), [B, T, C]);
}

/**
 * Causal selfAttention() of T new tokens over themselves and all earlier tokens, whose keys and
 * values are in `cache`; those of the new tokens are appended. qkv [B, T, 3C], cache
 * [B, capacity, 2C], y [B, T, C]; length [] of i32 is the number of earlier tokens. For generation:
 * no gradient flows through a cache.
 */
export function cachedAttention(
  qkv: Tensor,
  cache: Tensor,
  length: Tensor,
  options: { nHead: number },
): Tensor {
  checkOptions("cachedAttention", options, ["nHead"]);
  const [B, T, C] = projectionSizes("cachedAttention", qkv, options.nHead);
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

/** Checks a projection [B, T, 3C] and returns its sizes. */
function projectionSizes(
  op: string,
  qkv: Tensor,
  nHead: number,
): [B: number, T: number, C: number] {
  checkTensor(op, "qkv", qkv);
  checkRank(op, "qkv", qkv.shape, "BTC");
  const [B, T, width] = qkv.shape;
  if (!Number.isInteger(nHead) || nHead < 1 || width % (3 * nHead) !== 0)
    fail(
      `${op}: qkv has shape ${formatShape(qkv.shape)}, ` +
        `expected [B, T, 3 nHead D] with nHead ${nHead}`,
    );
  return [B, T, width / 3];
}
