// Attention kernels: they find the rows of each head in their buffers; attention-head.ts computes.

import type { Floats } from "../kernels.ts";
import { attendHead, differentiateHead, type Rows } from "./attention-head.ts";
import { roundNumberToBf16, roundToBf16, usesBf16 } from "./bf16.ts";

/** y = softmax(q k^T / sqrt D) v. q, y [heads, Tq, D], k, v [heads, Tk, D], lse [heads, Tq] */
export function attention(
  q: Floats,
  k: Floats,
  v: Floats,
  y: Floats,
  lse: Floats,
  rngState: Int32Array,
  heads: number,
  Tq: number,
  Tk: number,
  D: number,
  causal: boolean,
  site: number,
  p: number,
): void {
  if (heads * Tq === 0) return;
  const { round, roundAll } = getRounding(q, Tq);
  const settings = { Tq, Tk, D, causal, lse, dropout: { rngState, site, p }, round };
  [q, k, v] = [q, k, v].map(roundAll);
  for (let h = 0; h < heads; h++) {
    const queryRows = (data: Floats) => ({ data, start: h * Tq * D, stride: D });
    const keyRows = (data: Floats) => ({ data, start: h * Tk * D, stride: D });
    attendHead(settings, h, queryRows(q), keyRows(k), keyRows(v), queryRows(y));
  }
}

/** The gradients of attention(): dq [heads, Tq, D], dk, dv [heads, Tk, D] */
export function attentionBackward(
  q: Floats,
  k: Floats,
  v: Floats,
  y: Floats,
  lse: Floats,
  dy: Floats,
  dq: Floats,
  dk: Floats,
  dv: Floats,
  rngState: Int32Array,
  heads: number,
  Tq: number,
  Tk: number,
  D: number,
  causal: boolean,
  site: number,
  p: number,
): void {
  if (heads * (Tq + Tk) * D === 0) return;
  const { round, roundAll } = getRounding(q, Tq);
  const settings = { Tq, Tk, D, causal, lse, dropout: { rngState, site, p }, round };
  const dyOperand = roundAll(dy);
  [q, k, v] = [q, k, v].map(roundAll);
  dq.fill(0, 0, heads * Tq * D);
  dk.fill(0, 0, heads * Tk * D);
  dv.fill(0, 0, heads * Tk * D);
  for (let h = 0; h < heads; h++) {
    const queryRows = (data: Floats) => ({ data, start: h * Tq * D, stride: D });
    const keyRows = (data: Floats) => ({ data, start: h * Tk * D, stride: D });
    differentiateHead(settings, h, {
      q: queryRows(q),
      k: keyRows(k),
      v: keyRows(v),
      y: queryRows(y),
      dy: queryRows(dy),
      dyOperand: queryRows(dyOperand),
      dq: queryRows(dq),
      dk: keyRows(dk),
      dv: keyRows(dv),
    });
  }
}

/** attention() of the parts of a projection. qkv [B, T, 3, H, D], y [B, T, H, D], lse [B, H, T] */
export function selfAttention(
  qkv: Floats,
  y: Floats,
  lse: Floats,
  rngState: Int32Array,
  B: number,
  T: number,
  H: number,
  D: number,
  causal: boolean,
  site: number,
  p: number,
): void {
  if (B * T * H === 0) return;
  const { round, roundAll } = getRounding(qkv, T);
  const settings = { Tq: T, Tk: T, D, causal, lse, dropout: { rngState, site, p }, round };
  qkv = roundAll(qkv);
  for (let bh = 0; bh < B * H; bh++) {
    const [q, k, v] = splitProjection(qkv, bh, T, H, D);
    attendHead(settings, bh, q, k, v, getHeadRows(y, bh, T, H, D));
  }
}

/** The gradient of selfAttention(): dqkv [B, T, 3, H, D] */
export function selfAttentionBackward(
  qkv: Floats,
  y: Floats,
  lse: Floats,
  dy: Floats,
  dqkv: Floats,
  rngState: Int32Array,
  B: number,
  T: number,
  H: number,
  D: number,
  causal: boolean,
  site: number,
  p: number,
): void {
  if (B * T * H * D === 0) return;
  const { round, roundAll } = getRounding(qkv, T);
  const settings = { Tq: T, Tk: T, D, causal, lse, dropout: { rngState, site, p }, round };
  const dyOperand = roundAll(dy);
  qkv = roundAll(qkv);
  dqkv.fill(0, 0, B * T * 3 * H * D);
  for (let bh = 0; bh < B * H; bh++) {
    const [q, k, v] = splitProjection(qkv, bh, T, H, D);
    const [dq, dk, dv] = splitProjection(dqkv, bh, T, H, D);
    const yRows = getHeadRows(y, bh, T, H, D);
    const dyRows = getHeadRows(dy, bh, T, H, D);
    const dyOperandRows = getHeadRows(dyOperand, bh, T, H, D);
    const inputs = { q, k, v, y: yRows, dy: dyRows, dyOperand: dyOperandRows };
    differentiateHead(settings, bh, { ...inputs, dq, dk, dv });
  }
}

/**
 * Appends the keys and values of T tokens to a cache and attends over all of it. qkv [B, T, 3, H,
 * D], cache [B, capacity, 2, H, D], length [] the number of tokens in it, y [B, T, H, D]
 */
export function cachedAttention(
  qkv: Floats,
  cache: Floats,
  length: Int32Array,
  y: Floats,
  B: number,
  T: number,
  H: number,
  D: number,
  capacity: number,
): void {
  if (B * capacity * H * D === 0) return;
  const C = H * D;
  const past = length[0];
  if (past < 0 || past + T > capacity) {
    throw new RangeError(`cachedAttention: ${past} + ${T} tokens, expected at most ${capacity}`);
  }
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const token = (b * T + t) * 3 * C;
      cache.set(qkv.subarray(token + C, token + 3 * C), (b * capacity + past + t) * 2 * C);
    }
  }
  const dropout = { rngState: length, site: 0, p: 0 };
  const lse = new Float64Array(B * H * T);
  const { round, roundAll } = getRounding(qkv, T);
  const settings = { Tq: T, Tk: past + T, D, causal: true, lse, dropout, round };
  qkv = roundAll(qkv);
  cache = roundAll(cache);
  for (let bh = 0; bh < B * H; bh++) {
    const [q] = splitProjection(qkv, bh, T, H, D);
    const start = Math.floor(bh / H) * capacity * 2 * C + (bh % H) * D;
    const k = { data: cache, start, stride: 2 * C };
    const v = { data: cache, start: start + C, stride: 2 * C };
    attendHead(settings, bh, q, k, v, getHeadRows(y, bh, T, H, D));
  }
}

/** Returns how the operands of products of T queries are rounded: to bf16, or not at all. */
function getRounding(x: Floats, T: number) {
  const isBf16 = usesBf16(x, T);
  return {
    round: isBf16 ? roundNumberToBf16 : (x: number) => x,
    roundAll: isBf16 ? roundToBf16 : (x: Floats) => x,
  };
}

/** The query, key and value rows of head bh in a projection [B, T, 3, H, D]. */
function splitProjection(data: Floats, bh: number, T: number, H: number, D: number) {
  const C = H * D;
  const stride = 3 * C;
  const start = Math.floor(bh / H) * T * stride + (bh % H) * D;
  return [start, start + C, start + 2 * C].map((start) => ({ data, start, stride }));
}

/** The rows of head bh in the concatenated heads [B, T, H, D]. */
function getHeadRows(data: Floats, bh: number, T: number, H: number, D: number): Rows {
  return { data, start: Math.floor(bh / H) * T * H * D + (bh % H) * D, stride: H * D };
}
