// Attention kernels: for each head, rows of scores. Only one row of the T x T probabilities exists
// at a time; the forward pass saves the log of its normalizer (lse), and the backward pass computes
// the row again from it, as FlashAttention does (Dao et al., 2022).

import type { Floats } from "../kernels.ts";
import { keepScales } from "./random.ts";

/** Where the rows of one head lie: row t is data[start + t stride ... + D]. */
interface Rows {
  data: Floats;
  start: number;
  stride: number;
}

/** What one head attends over; `element` is the index of its first probability, for dropout. */
interface Head {
  Tq: number;
  Tk: number;
  D: number;
  causal: boolean;
  rngState: Int32Array;
  site: number;
  p: number;
  element: number;
  lse: Floats;
  lseStart: number;
}

export function attention(
  q: Floats, k: Floats, v: Floats, y: Floats, lse: Floats, rngState: Int32Array, heads: number,
  Tq: number, Tk: number, D: number, causal: boolean, site: number, p: number,
): void {
  for (let h = 0; h < heads; h++) {
    const head = { Tq, Tk, D, causal, rngState, site, p, element: h * Tq * Tk, lse, lseStart: h * Tq };
    const [queries, keys] = [h * Tq * D, h * Tk * D];
    attend(head, rows(q, queries, D), rows(k, keys, D), rows(v, keys, D), rows(y, queries, D));
  }
}

export function attentionBackward(
  q: Floats, k: Floats, v: Floats, y: Floats, lse: Floats, dy: Floats, dq: Floats, dk: Floats,
  dv: Floats, rngState: Int32Array, heads: number, Tq: number, Tk: number, D: number, causal: boolean,
  site: number, p: number,
): void {
  for (const [dx, T] of [[dq, Tq], [dk, Tk], [dv, Tk]] as const) dx.fill(0, 0, heads * T * D);
  for (let h = 0; h < heads; h++) {
    const head = { Tq, Tk, D, causal, rngState, site, p, element: h * Tq * Tk, lse, lseStart: h * Tq };
    const [queries, keys] = [h * Tq * D, h * Tk * D];
    attendBackward(
      head, rows(q, queries, D), rows(k, keys, D), rows(v, keys, D), rows(y, queries, D),
      rows(dy, queries, D), rows(dq, queries, D), rows(dk, keys, D), rows(dv, keys, D),
    );
  }
}

export function selfAttention(
  qkv: Floats, y: Floats, lse: Floats, rngState: Int32Array, B: number, T: number, H: number,
  D: number, causal: boolean, site: number, p: number,
): void {
  for (let bh = 0; bh < B * H; bh++) {
    const [q, k, v] = projected(qkv, bh, T, H, D);
    const head =
      { Tq: T, Tk: T, D, causal, rngState, site, p, element: bh * T * T, lse, lseStart: bh * T };
    attend(head, q, k, v, merged(y, bh, T, H, D));
  }
}

export function selfAttentionBackward(
  qkv: Floats, y: Floats, lse: Floats, dy: Floats, dqkv: Floats, rngState: Int32Array, B: number,
  T: number, H: number, D: number, causal: boolean, site: number, p: number,
): void {
  dqkv.fill(0, 0, B * T * 3 * H * D);
  for (let bh = 0; bh < B * H; bh++) {
    const [q, k, v] = projected(qkv, bh, T, H, D);
    const [dq, dk, dv] = projected(dqkv, bh, T, H, D);
    const head =
      { Tq: T, Tk: T, D, causal, rngState, site, p, element: bh * T * T, lse, lseStart: bh * T };
    attendBackward(
      head, q, k, v, merged(y, bh, T, H, D), merged(dy, bh, T, H, D), dq, dk, dv,
    );
  }
}

export function cachedAttention(
  qkv: Floats, cache: Floats, length: Int32Array, y: Floats, B: number, T: number, H: number,
  D: number, capacity: number,
): void {
  const [C, past] = [H * D, length[0]];
  if (past < 0 || past + T > capacity) {
    throw new RangeError(`cachedAttention: ${past} + ${T} tokens, expected at most ${capacity}`);
  }
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const from = (b * T + t) * 3 * C;
      cache.set(qkv.subarray(from + C, from + 3 * C), (b * capacity + past + t) * 2 * C);
    }
  }
  const lse = new Float64Array(T);
  const all = { Tq: T, Tk: past + T, D, causal: true, rngState: length, site: 0, p: 0, element: 0 };
  for (let bh = 0; bh < B * H; bh++) {
    const [q] = projected(qkv, bh, T, H, D);
    const start = Math.floor(bh / H) * capacity * 2 * C + (bh % H) * D;
    const keys = { data: cache, start, stride: 2 * C };
    const values = { data: cache, start: start + C, stride: 2 * C };
    attend({ ...all, lse, lseStart: 0 }, q, keys, values, merged(y, bh, T, H, D));
  }
}

export function rotary(
  x: Floats, table: Floats, length: Int32Array | null, y: Floats, B: number, T: number,
  parts: number, H: number, half: number, capacity: number, turned: number, inverse: boolean,
): void {
  const past = length ? length[0] : 0;
  if (past < 0 || past + T > capacity) {
    throw new RangeError(`rotary: ${past} + ${T} tokens, expected at most ${capacity}`);
  }
  for (let row = 0, o = 0; row < B * T * parts * H; row++, o += 2 * half) {
    const isTurned = Math.floor(row / H) % parts < turned;
    const angles = (past + (Math.floor(row / (parts * H)) % T)) * 2 * half;
    for (let i = 0; i < half; i++) {
      const [a, b] = [x[o + i], x[o + half + i]];
      const cos = isTurned ? table[angles + i] : 1;
      const sin = isTurned ? (inverse ? -1 : 1) * table[angles + half + i] : 0;
      y[o + i] = a * cos - b * sin;
      y[o + half + i] = a * sin + b * cos;
    }
  }
}

function rows(data: Floats, start: number, stride: number): Rows {
  return { data, start, stride };
}

/** The query, key and value rows of head bh in a projection [B, T, 3, H, D]. */
function projected(data: Floats, bh: number, T: number, H: number, D: number): [Rows, Rows, Rows] {
  const [C, stride] = [H * D, 3 * H * D];
  const start = Math.floor(bh / H) * T * stride + (bh % H) * D;
  const part = (i: number) => rows(data, start + i * C, stride);
  return [part(0), part(1), part(2)];
}

/** The rows of head bh in the heads' joint result [B, T, H, D]. */
function merged(data: Floats, bh: number, T: number, H: number, D: number): Rows {
  return rows(data, Math.floor(bh / H) * T * H * D + (bh % H) * D, H * D);
}

/** y_i = sum_j P_ij v_j with P = softmax(q k^T / sqrt D), a query at a time. */
function attend(head: Head, q: Rows, k: Rows, v: Rows, y: Rows): void {
  const { Tq, Tk, D, causal, rngState, site, p, lse } = head;
  const scale = 1 / Math.sqrt(D);
  const weights = new Float64Array(Tk);
  const kept = new Float64Array(p > 0 ? Tk : 0);
  const result = new Float64Array(D);
  for (let i = 0; i < Tq; i++) {
    const seen = causal ? Math.min(Tk, i + Tk - Tq + 1) : Tk;
    let largest = -Infinity;
    for (let j = 0; j < seen; j++) {
      weights[j] = scale * dot(q, i, k, j, D);
      if (weights[j] > largest) largest = weights[j];
    }
    let total = 0;
    for (let j = 0; j < seen; j++) {
      weights[j] = Math.exp(weights[j] - largest);
      total += weights[j];
    }
    lse[head.lseStart + i] = seen > 0 ? largest + Math.log(total) : 0;
    if (p > 0) {
      keepScales(kept, head.element + i * Tk, seen, rngState, site, p);
      for (let j = 0; j < seen; j++) weights[j] *= kept[j];
    }
    result.fill(0);
    for (let j = 0; j < seen; j++) {
      const weight = weights[j] / total;
      const row = v.start + j * v.stride;
      for (let d = 0; d < D; d++) result[d] += weight * v.data[row + d];
    }
    y.data.set(result, y.start + i * y.stride);
  }
}

/**
 * With w_ij = P_ij drop_ij:  dv_j = sum_i w_ij dy_i;  dP_ij = drop_ij dy_i . v_j;
 * dS_ij = P_ij (dP_ij - dy_i . y_i) / sqrt D;  dq_i = sum_j dS_ij k_j;  dk_j = sum_i dS_ij q_i.
 */
function attendBackward(
  head: Head, q: Rows, k: Rows, v: Rows, y: Rows, dy: Rows, dq: Rows, dk: Rows, dv: Rows,
): void {
  const { Tq, Tk, D, causal, rngState, site, p, lse } = head;
  const scale = 1 / Math.sqrt(D);
  const kept = new Float64Array(Tk).fill(1);
  const dQuery = new Float64Array(D);
  for (let i = 0; i < Tq; i++) {
    const seen = causal ? Math.min(Tk, i + Tk - Tq + 1) : Tk;
    if (p > 0) keepScales(kept, head.element + i * Tk, Math.max(0, seen), rngState, site, p);
    const delta = dot(dy, i, y, i, D);
    const logTotal = lse[head.lseStart + i];
    const [rowQ, rowDy] = [q.start + i * q.stride, dy.start + i * dy.stride];
    dQuery.fill(0);
    for (let j = 0; j < seen; j++) {
      const P = Math.exp(scale * dot(q, i, k, j, D) - logTotal);
      const dP = kept[j] * dot(dy, i, v, j, D);
      const dS = P * (dP - delta) * scale;
      const weight = P * kept[j];
      const [rowK, rowDk] = [k.start + j * k.stride, dk.start + j * dk.stride];
      const rowDv = dv.start + j * dv.stride;
      for (let d = 0; d < D; d++) {
        dQuery[d] += dS * k.data[rowK + d];
        dk.data[rowDk + d] += dS * q.data[rowQ + d];
        dv.data[rowDv + d] += weight * dy.data[rowDy + d];
      }
    }
    dq.data.set(dQuery, dq.start + i * dq.stride);
  }
}

/** Row i of a times row j of b. */
function dot(a: Rows, i: number, b: Rows, j: number, D: number): number {
  const [from, to] = [a.start + i * a.stride, b.start + j * b.stride];
  const [x, y] = [a.data, b.data];
  let total = 0;
  for (let d = 0; d < D; d++) total += x[from + d] * y[to + d];
  return total;
}
