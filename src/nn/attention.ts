// Multi-head attention as a layer: the op with its projections, for self-attention and
// cross-attention.

import { checkOptions, fail } from "../errors.ts";
import { attention, cachedAttention, selfAttention } from "../ops/attention.ts";
import { permute, reshape, split } from "../ops/movement.ts";
import { checkProbability } from "../ops/random.ts";
import { qkNorm, rotary } from "../ops/rotary.ts";
import { checkRank } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Init, Linear } from "./layers.ts";
import { Module } from "./module.ts";

/** The keys and values of earlier tokens. */
export interface Past {
  readonly kv: Tensor; // [B, capacity, 2C]
  readonly length: Tensor; // [] of i32: the number of earlier tokens
}

/** Options of MultiHeadAttention. */
export interface AttentionOptions {
  /** The number of channels, C. */
  nEmbd: number;
  nHead: number;
  bias?: boolean;
  /** A bias in the projections to queries, keys and values; defaults to `bias`. */
  qkvBias?: boolean;
  /** The dropout probability of the attention weights. */
  dropout?: number;
  /** True if a token attends only to itself and to earlier tokens. */
  causal?: boolean;
  /** True for cross-attention: keys and values come from another sequence. */
  cross?: boolean;
  /** The table of rotary position embeddings, from rotaryTable(). */
  rotary?: Tensor | null;
  /** Normalizes the queries and keys of each head; see qkNorm(). */
  qkNorm?: boolean;
  init?: Init;
}

const optionNames = [
  "nEmbd",
  "nHead",
  "bias",
  "qkvBias",
  "dropout",
  "causal",
  "cross",
  "rotary",
  "qkNorm",
  "init",
];

/**
 * y = c_proj(concat of nHead heads softmax(q k^T / sqrt D) v), D = C / nHead. Vaswani et al.
 * (2017), section 3.2.2.
 * @example
 * const layer = new nn.MultiHeadAttention({ nEmbd: 8, nHead: 2, causal: true });
 * console.log(layer.forward(randn([1, 4, 8])).shape); // [ 1, 4, 8 ]
 */
export class MultiHeadAttention extends Module {
  readonly c_attn: Linear; // to queries, keys and values [3C, C]; cross: to keys and values
  readonly q_attn: Linear | null; // cross: to queries
  readonly c_proj: Linear;
  readonly nHead: number;
  readonly causal: boolean;
  readonly dropout: number;
  readonly rotary: Tensor | null;
  readonly qkNorm: boolean;

  constructor(options: AttentionOptions) {
    super();
    checkOptions("MultiHeadAttention", options, optionNames);
    const { nEmbd, nHead, bias = true, qkvBias = bias, dropout = 0, init } = options;
    const { causal = false, cross = false, rotary = null, qkNorm = false } = options;
    if (!(Number.isInteger(nHead) && nHead > 0 && nEmbd % nHead === 0))
      fail(`MultiHeadAttention: nEmbd is ${nEmbd}, expected a multiple of nHead, ${nHead}`);
    if (cross && (causal || rotary))
      fail("MultiHeadAttention: cross-attention supports neither causal nor rotary");
    checkProbability("MultiHeadAttention", dropout);
    this.c_attn = new Linear(nEmbd, (cross ? 2 : 3) * nEmbd, { bias: qkvBias, init });
    this.q_attn = cross ? new Linear(nEmbd, nEmbd, { bias: qkvBias, init }) : null;
    this.c_proj = new Linear(nEmbd, nEmbd, { bias, init });
    this.nHead = nHead;
    this.causal = causal;
    this.dropout = dropout;
    this.rotary = rotary;
    this.qkNorm = qkNorm;
  }

  /** x [B, T, C] to [B, T, C]; `context` [B, S, C] is the other sequence of cross-attention. */
  forward(x: Tensor, context?: Tensor | null): Tensor {
    if (this.q_attn && !context) fail("MultiHeadAttention: context is missing in cross-attention");
    if (!this.q_attn && context)
      fail("MultiHeadAttention: context passed to a layer without cross-attention");
    const { nHead, causal } = this;
    const dropout = this.training ? this.dropout : 0;
    const y = context
      ? this.#attendAcross(x, context, dropout)
      : selfAttention(this.project(x), { nHead, causal, dropout });
    return this.c_proj.forward(y);
  }

  /**
   * forward() for the next tokens of a text; appends their keys and values to past.kv. The caller
   * advances past.length once all layers have run.
   */
  extend(x: Tensor, past: Past): Tensor {
    if (!this.causal) fail("MultiHeadAttention: extend() needs a causal layer");
    const qkv = this.project(x, past.length);
    return this.c_proj.forward(cachedAttention(qkv, past.kv, past.length, { nHead: this.nHead }));
  }

  /**
   * Returns the queries, keys and values of self-attention [B, T, 3C], normalized and rotated as
   * the options say; `length` [] of i32 is the position of the first token, by default 0.
   */
  project(x: Tensor, length: Tensor | null = null): Tensor {
    const qkv = this.c_attn.forward(x);
    const { nHead, rotary: table } = this;
    if (this.qkNorm) return qkNorm(qkv, { nHead, table, length });
    return table ? rotary(qkv, table, { nHead, length }) : qkv;
  }

  #attendAcross(x: Tensor, context: Tensor, dropout: number): Tensor {
    checkRank("MultiHeadAttention", "x", x.shape, "BTC");
    checkRank("MultiHeadAttention", "context", context.shape, "BTC");
    const { nHead } = this;
    const [B, T, C] = x.shape;
    const normalize = (y: Tensor, parts: number) => (this.qkNorm ? qkNorm(y, { nHead, parts }) : y);
    const heads = (y: Tensor) => permute(reshape(y, [B, -1, nHead, C / nHead]), [0, 2, 1, 3]);
    const q = heads(normalize((this.q_attn as Linear).forward(x), 1)); // (B, nh, T, hs)
    const kv = normalize(this.c_attn.forward(context), 2); // (B, S, 2C)
    const [k, v] = split(kv, C, { dim: 2 }).map(heads); // (B, nh, S, hs)
    return reshape(permute(attention(q, k, v, { dropout }), [0, 2, 1, 3]), [B, T, C]);
  }
}
