// Where a GPT looks. The model itself never holds the T x T weights of its attention; here they are
// computed layer by layer beside it, for who wants to see them.

import { noGrad } from "../autograd.ts";
import { fail } from "../errors.ts";
import { evaluating, type MultiHeadAttention, ResidualStream } from "../nn/index.ts";
import { rotary } from "../ops/attention.ts";
import { tensor } from "../ops/creation.ts";
import { add, maskedFill, mul } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { permute, reshape, split, to, transpose } from "../ops/movement.ts";
import { softmax } from "../ops/softmax.ts";
import { scope } from "../scope.ts";
import { checkRank } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { GPT } from "./model.ts";
import { positionRows } from "./positions.ts";

/**
 * Yields for each layer how much each head lets query i of key j: softmax(q k^T / sqrt D), causal,
 * (B, H, T, T), for idx [B, T] of i32. One layer at a time, since all may be large; outside of a
 * scope, or inside of one that lasts until the last is read.
 */
export function* attentionMaps(model: GPT, idx: Tensor): Generator<Tensor> {
  checkRank("attentionMaps", "idx", idx.shape, "BT");
  const [, T] = idx.shape;
  const { blockSize } = model.config;
  if (T > blockSize) fail(`attentionMaps: idx has ${T} tokens, expected at most ${blockSize}`);
  const quietly = <R>(fn: () => R): R => scope(() => noGrad(() => evaluating(model, fn)));
  let x = quietly(() => {
    const token = model.wte.forward(idx); // (B, T, C)
    return model.wpe ? add(token, positionRows(model.wpe, 0, T)) : token;
  });
  for (const block of model.h) {
    const { map, next } = quietly(() => ({
      map: attentionWeights(block.attn, block.ln_1.forward(x)),
      next: block.forward(new ResidualStream(x)).sum(),
    }));
    yield map;
    x = next;
  }
}

/**
 * The weights of a layer that looks at its own text: softmax(q k^T / sqrt D) (B, H, T, T) for x
 * [B, T, C], in f32 beside bf16 too.
 */
export function attentionWeights(layer: MultiHeadAttention, x: Tensor): Tensor {
  if (layer.q_attn) fail("attentionWeights: the layer looks at another text");
  const { nHead } = layer;
  const [B, T, C] = x.shape;
  const projected = layer.c_attn.forward(x); // (B, T, 3C)
  const qkv = layer.rotary ? rotary(projected, layer.rotary, { nHead }) : projected;
  const heads = (y: Tensor) => permute(reshape(y, [B, T, nHead, C / nHead]), [0, 2, 1, 3]);
  const [q, k] = split(qkv.dtype === "bf16" ? to(qkv, "f32") : qkv, C, { dim: 2 }).map(heads);
  const scores = mul(matmul(q, transpose(k, -2, -1)), 1 / Math.sqrt(C / nHead)); // (B, H, T, T)
  return softmax(layer.causal ? maskedFill(scores, future(T, x), -Infinity) : scores);
}

/** (T, T) of i32: 1 where key j comes after query i. */
function future(T: number, { device }: Tensor): Tensor {
  const isLater = Int32Array.from({ length: T * T }, (_, at) => +(at % T > Math.floor(at / T)));
  return tensor(isLater, { shape: [T, T], device });
}
