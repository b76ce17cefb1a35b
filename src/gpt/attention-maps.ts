// Attention maps for inspection. The model's fused attention never stores its T x T weights; this
// recomputes them layer by layer.

import { fail } from "../errors.ts";
import { inEvalMode, type MultiHeadAttention, ResidualStream } from "../nn/index.ts";
import { compose } from "../ops/compose.ts";
import { tensor } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { cat, permute, reshape, slice, split, to, transpose } from "../ops/movement.ts";
import { maskedFill } from "../ops/selection.ts";
import { softmax } from "../ops/softmax.ts";
import { checkRank } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GPT } from "./model.ts";
import { positionRows } from "./positions.ts";

/**
 * Yields the causal attention weights softmax(q k^T / sqrt D) of each layer, (B, H, T, T), for idx
 * [B, T] of i32. They are yielded one layer at a time, because all of them may not fit in memory.
 * A surrounding scope must not end before the last map is read.
 */
export function* attentionMaps(model: GPT, idx: Tensor): Generator<Tensor> {
  checkRank("attentionMaps", "idx", idx.shape, "BT");
  const T = idx.shape[1];
  const { blockSize } = model.config;
  if (T > blockSize) fail(`attentionMaps: idx has ${T} tokens, expected at most ${blockSize}`);
  const compute = <R>(fn: () => R): R => compose(() => inEvalMode(model, fn));
  let x = compute(() => {
    const token = model.wte.forward(idx); // (B, T, C)
    return model.wpe ? add(token, positionRows(model.wpe, 0, T)) : token;
  });
  for (const block of model.h) {
    const { map, next } = compute(() => ({
      map: attentionWeights(block.attn, block.attentionInput(x)),
      next: block.forward(new ResidualStream(x)).sum(),
    }));
    yield map;
    x = next;
  }
}

/**
 * Returns the weights of a self-attention layer, softmax(q k^T / sqrt D) (B, H, T, T), for x
 * [B, T, C]. They are f32 even in a bf16 model.
 */
export function attentionWeights(layer: MultiHeadAttention, x: Tensor): Tensor {
  if (layer.q_attn)
    fail("attentionWeights: the layer has cross-attention, expected self-attention");
  const { nHead, nKvHead, headDim: D } = layer;
  const [B, T] = x.shape;
  const projected = layer.project(x); // (B, T, (nHead + 2 nKvHead) D)
  const qkv = projected.dtype === "bf16" ? to(projected, "f32") : projected;
  const heads = (first: number, count: number) => {
    const part = slice(qkv, { dim: 2, start: first * D, end: (first + count) * D });
    return permute(reshape(part, [B, T, count, D]), [0, 2, 1, 3]); // (B, count, T, D)
  };
  const q = heads(0, nHead);
  const keys = split(heads(nHead, nKvHead), 1, { dim: 1 }); // of nKvHead heads
  const shared = Array.from({ length: nHead }, (_, h) => keys[Math.floor((h * nKvHead) / nHead)]);
  const k = cat(shared, { dim: 1 }); // (B, H, T, D)
  const scores = mul(matmul(q, transpose(k, -2, -1)), 1 / Math.sqrt(D)); // (B, H, T, T)
  return softmax(layer.causal ? maskedFill(scores, futureMask(T, x), -Infinity) : scores);
}

/** Returns a mask (T, T) of i32: 1 where key j is after query i. */
function futureMask(T: number, { device }: Tensor): Tensor {
  const mask = new Int32Array(T * T);
  for (let i = 0; i < T; i++) mask.fill(1, i * T + i + 1, (i + 1) * T);
  return tensor(mask, { shape: [T, T], device });
}
