// Attention of one head, one query at a time. Only one row of the T x T probabilities exists at a
// time: the forward pass saves the log of its normalizer (lse), and the backward pass recomputes
// the row from it, as FlashAttention does (Dao et al., 2022).

import type { Floats } from "../kernels.ts";
import { dropoutScales } from "./random.ts";

/** The rows of one head in a buffer: row t is data[start + t stride ... + D]. */
export interface Rows {
  data: Floats;
  start: number;
  stride: number;
}

/** The arguments that all heads of a call share. */
export interface Settings {
  Tq: number;
  Tk: number;
  D: number;
  causal: boolean;
  lse: Floats; // [heads, Tq]
  dropout: { rngState: Int32Array; site: number; p: number };
  /** Rounds an operand of a matmul to the precision of matmuls. */
  round(x: number): number;
}

/** y_i = sum_j P_ij v_j, P = softmax(q k^T / sqrt D), for one query i after the other. */
export function attendHead(
  settings: Settings,
  head: number,
  q: Rows,
  k: Rows,
  v: Rows,
  y: Rows,
): void {
  const { Tq, Tk, D, causal, lse, round } = settings;
  const { rngState, site, p } = settings.dropout;
  const scale = 1 / Math.sqrt(D);
  const weights = new Float64Array(Tk);
  const scales = new Float64Array(p > 0 ? Tk : 0); // of dropout
  const result = new Float64Array(D);
  for (let i = 0; i < Tq; i++) {
    const visible = causal ? Math.min(Tk, i + Tk - Tq + 1) : Tk; // the number of visible keys
    let largest = -Infinity;
    for (let j = 0; j < visible; j++) {
      weights[j] = scale * dot(q, i, k, j, D);
      if (weights[j] > largest) largest = weights[j];
    }
    let total = 0;
    for (let j = 0; j < visible; j++) {
      weights[j] = Math.exp(weights[j] - largest);
      total += weights[j];
    }
    lse[head * Tq + i] = visible > 0 ? largest + Math.log(total) : 0;
    if (p > 0) {
      dropoutScales(scales, (head * Tq + i) * Tk, visible, rngState, site, p);
      for (let j = 0; j < visible; j++) weights[j] *= scales[j];
    }
    result.fill(0);
    for (let j = 0; j < visible; j++) {
      const weight = round(weights[j] / total);
      const row = v.start + j * v.stride;
      for (let d = 0; d < D; d++) result[d] += weight * v.data[row + d];
    }
    y.data.set(result, y.start + i * y.stride);
  }
}

/**
 * With w_ij = P_ij drop_ij: dv_j = sum_i w_ij dy_i; dP_ij = drop_ij dy_i . v_j;
 * dS_ij = P_ij (dP_ij - dy_i . y_i) / sqrt D; dq_i = sum_j dS_ij k_j; dk_j = sum_i dS_ij q_i.
 * q, k, v and dyOperand are rounded to the precision of matmuls; dy is not.
 */
export function differentiateHead(
  settings: Settings,
  head: number,
  rows: Record<"q" | "k" | "v" | "y" | "dy" | "dyOperand" | "dq" | "dk" | "dv", Rows>,
): void {
  const { Tq, Tk, D, causal, lse, round } = settings;
  const { rngState, site, p } = settings.dropout;
  const { q, k, v, y, dy, dyOperand, dq, dk, dv } = rows;
  const scale = 1 / Math.sqrt(D);
  const scales = new Float64Array(Tk).fill(1); // of dropout
  const dQuery = new Float64Array(D);
  for (let i = 0; i < Tq; i++) {
    const visible = causal ? Math.max(0, Math.min(Tk, i + Tk - Tq + 1)) : Tk;
    if (p > 0) dropoutScales(scales, (head * Tq + i) * Tk, visible, rngState, site, p);
    const delta = dot(dy, i, y, i, D);
    const rowQ = q.start + i * q.stride;
    const rowDy = dyOperand.start + i * dyOperand.stride;
    dQuery.fill(0);
    for (let j = 0; j < visible; j++) {
      const P = Math.exp(scale * dot(q, i, k, j, D) - lse[head * Tq + i]);
      const dP = scales[j] * dot(dyOperand, i, v, j, D);
      const dS = round(P * (dP - delta) * scale);
      const weight = round(P * scales[j]);
      const rowK = k.start + j * k.stride;
      const rowDk = dk.start + j * dk.stride;
      const rowDv = dv.start + j * dv.stride;
      for (let d = 0; d < D; d++) {
        dQuery[d] += dS * k.data[rowK + d];
        dk.data[rowDk + d] += dS * q.data[rowQ + d];
        dv.data[rowDv + d] += weight * dyOperand.data[rowDy + d];
      }
    }
    dq.data.set(dQuery, dq.start + i * dq.stride);
  }
}

/** Returns the dot product of row i of a and row j of b. */
function dot(a: Rows, i: number, b: Rows, j: number, D: number): number {
  const x = a.data;
  const y = b.data;
  const xStart = a.start + i * a.stride;
  const yStart = b.start + j * b.stride;
  let total = 0;
  for (let d = 0; d < D; d++) total += x[xStart + d] * y[yStart + d];
  return total;
}
