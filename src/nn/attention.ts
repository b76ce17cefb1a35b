// Multi-head attention as a layer: the op with its projections, for self-attention and
// cross-attention.

import { checkCount, checkOptions, fail } from "../errors.ts";
import { attention, cachedAttention, selfAttention } from "../ops/attention.ts";
import { cat, permute, reshape, slice, split } from "../ops/movement.ts";
import { checkProbability } from "../ops/random.ts";
import { qkNorm, rotary } from "../ops/rotary.ts";
import { checkRank } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Init, Linear, RMSNorm } from "./layers.ts";
import { Module } from "./module.ts";

/** The keys and values of earlier tokens. */
export interface Past {
  /** The keys and values [B, capacity, 2 nKvHead headDim]. */
  readonly kv: Tensor;
  /** [] of i32: the number of earlier tokens. */
  readonly length: Tensor;
}

/** Options of MultiHeadAttention. */
export interface AttentionOptions {
  /** The number of channels, C. */
  nEmbd: number;
  /** The number of heads, a divisor of nEmbd. */
  nHead: number;
  /** The number of heads of keys and values, each shared by nHead / nKvHead heads of queries. */
  nKvHead?: number;
  /** The size D of a head; C / nHead by default. */
  headDim?: number;
  /** Biases in the projections; default true. */
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
  /** Multiplies the normalized queries and keys by a learned weight [D] each, as Qwen3 does. */
  qkNormWeight?: boolean;
  /** The eps of qkNorm; 1e-5 by default. */
  normEps?: number;
  /** Returns the initial values of the weights. */
  init?: Init;
}

const optionNames = [
  "nEmbd",
  "nHead",
  "nKvHead",
  "headDim",
  "bias",
  "qkvBias",
  "dropout",
  "causal",
  "cross",
  "rotary",
  "qkNorm",
  "qkNormWeight",
  "normEps",
  "init",
];

/**
 * y = c_proj(concat of nHead heads softmax(q k^T / sqrt D) v), D = C / nHead by default. Vaswani
 * et al. (2017), section 3.2.2. With nKvHead below nHead, groups of queries share keys and values:
 * Ainslie et al. (2023).
 * @example
 * const layer = new nn.MultiHeadAttention({ nEmbd: 8, nHead: 2, causal: true });
 * console.log(layer.forward(randn([1, 4, 8])).shape); // [ 1, 4, 8 ]
 */
export class MultiHeadAttention extends Module {
  /**
   * The projection to queries, keys and values [(nHead + 2 nKvHead) D, C]; of cross-attention, to
   * keys and values.
   */
  readonly c_attn: Linear;
  /** The projection to queries of cross-attention; otherwise null. */
  readonly q_attn: Linear | null;
  /** The projection of the concatenated heads [C, nHead D]. */
  readonly c_proj: Linear;
  /** The norm of the queries of each head, with a weight; null without qkNormWeight. */
  readonly q_norm: RMSNorm | null;
  /** The norm of the keys of each head, with a weight; null without qkNormWeight. */
  readonly k_norm: RMSNorm | null;
  /** The number of heads. */
  readonly nHead: number;
  /** The number of heads of keys and values. */
  readonly nKvHead: number;
  /** The size D of a head. */
  readonly headDim: number;
  /** True if a token attends only to itself and earlier tokens. */
  readonly causal: boolean;
  /** The dropout probability of the attention weights. */
  readonly dropout: number;
  /** The table of rotary position embeddings; null if there are none. */
  readonly rotary: Tensor | null;
  /** True if the queries and keys of each head are normalized. */
  readonly qkNorm: boolean;
  /** The eps of qkNorm. */
  readonly normEps: number | undefined;

  constructor(options: AttentionOptions) {
    super();
    checkOptions("MultiHeadAttention", options, optionNames);
    const { nEmbd, nHead, bias = true, qkvBias = bias, dropout = 0, init } = options;
    const { causal = false, cross = false, rotary = null, qkNorm = false } = options;
    const { nKvHead = nHead, headDim = nEmbd / nHead, qkNormWeight = false, normEps } = options;
    checkHeads("MultiHeadAttention", { nEmbd, nHead, nKvHead, headDim: options.headDim });
    if (cross && (causal || rotary))
      fail("MultiHeadAttention: cross-attention supports neither causal nor rotary");
    if (cross && (qkNormWeight || nKvHead !== nHead))
      fail("MultiHeadAttention: cross-attention supports neither qkNormWeight nor nKvHead");
    if (qkNormWeight && !qkNorm)
      fail("MultiHeadAttention: qkNormWeight is true, expected qkNorm true as well");
    checkProbability("MultiHeadAttention", dropout);
    const queries = nHead * headDim;
    const keysAndValues = 2 * nKvHead * headDim;
    const outputs = cross ? keysAndValues : queries + keysAndValues;
    this.c_attn = new Linear(nEmbd, outputs, { bias: qkvBias, init });
    this.q_attn = cross ? new Linear(nEmbd, queries, { bias: qkvBias, init }) : null;
    this.c_proj = new Linear(queries, nEmbd, { bias, init });
    this.q_norm = qkNormWeight ? new RMSNorm(headDim, { eps: normEps }) : null;
    this.k_norm = qkNormWeight ? new RMSNorm(headDim, { eps: normEps }) : null;
    this.nHead = nHead;
    this.nKvHead = nKvHead;
    this.headDim = headDim;
    this.causal = causal;
    this.dropout = dropout;
    this.rotary = rotary;
    this.qkNorm = qkNorm;
    this.normEps = normEps;
  }

  /** x [B, T, C] to [B, T, C]; `context` [B, S, C] is the other sequence of cross-attention. */
  forward(x: Tensor, context?: Tensor | null): Tensor {
    if (this.q_attn && !context) fail("MultiHeadAttention: context is missing in cross-attention");
    if (!this.q_attn && context)
      fail("MultiHeadAttention: context passed to a layer without cross-attention");
    const { nKvHead, causal } = this;
    const dropout = this.training ? this.dropout : 0;
    const attend = (qkv: Tensor) => selfAttention(qkv, { nHead: nKvHead, causal, dropout });
    const y = context
      ? this.#attendAcross(x, context, dropout)
      : this.#attendInGroups(this.project(x), attend);
    return this.c_proj.forward(y);
  }

  /**
   * forward() for the next tokens of a text; appends their keys and values to past.kv. The caller
   * advances past.length once all layers have run.
   */
  extend(x: Tensor, past: Past): Tensor {
    if (!this.causal) fail("MultiHeadAttention: extend() needs a causal layer");
    const { nKvHead } = this;
    const attend = (qkv: Tensor) => cachedAttention(qkv, past.kv, past.length, { nHead: nKvHead });
    return this.c_proj.forward(this.#attendInGroups(this.project(x, past.length), attend));
  }

  /**
   * Returns the queries, keys and values of self-attention [B, T, (nHead + 2 nKvHead) D],
   * normalized and rotated as the options say; `length` [] of i32 is the position of the first
   * token, by default 0.
   */
  project(x: Tensor, length: Tensor | null = null): Tensor {
    const qkv = this.c_attn.forward(x);
    const { nHead, nKvHead, rotary: table, normEps: eps } = this;
    const heads = nKvHead === nHead ? { nHead } : { nHead, nKvHead };
    if (this.qkNorm && !this.q_norm) return qkNorm(qkv, { ...heads, table, length, eps });
    const normalized = this.#normalize(qkv);
    return table ? rotary(normalized, table, { ...heads, length }) : normalized;
  }

  /** Applies q_norm to the queries and k_norm to the keys of each head, if the layer has them. */
  #normalize(qkv: Tensor): Tensor {
    const { q_norm, k_norm, nHead, nKvHead, headDim } = this;
    if (!q_norm || !k_norm) return qkv;
    const [B, T] = qkv.shape;
    const queries = nHead * headDim;
    const queriesAndKeys = queries + nKvHead * headDim;
    const normalize = (norm: RMSNorm, start: number, end: number) => {
      const heads = reshape(slice(qkv, { dim: 2, start, end }), [B, T, -1, headDim]);
      return reshape(norm.forward(heads), [B, T, end - start]);
    };
    const q = normalize(q_norm, 0, queries);
    const k = normalize(k_norm, queries, queriesAndKeys);
    return cat([q, k, slice(qkv, { dim: 2, start: queriesAndKeys })], { dim: 2 });
  }

  /**
   * Applies self-attention to [B, T, (nHead + 2 nKvHead) D]. Query head h uses the keys and values
   * of head floor(h nKvHead / nHead). `attend` takes as many heads of queries as of keys: it is
   * called once for each query of a group, so that a KV cache needs only nKvHead heads. Returns
   * [B, T, nHead D].
   */
  #attendInGroups(qkv: Tensor, attend: (qkv: Tensor) => Tensor): Tensor {
    const { nHead, nKvHead, headDim: D } = this;
    const groupSize = nHead / nKvHead;
    if (groupSize === 1) return attend(qkv);
    const [B, T] = qkv.shape;
    const queries = slice(qkv, { dim: 2, end: nHead * D });
    const groups = reshape(queries, [B, T, nKvHead, groupSize, D]);
    const keysAndValues = slice(qkv, { dim: 2, start: nHead * D }); // (B, T, 2 nKvHead D)
    const outputs = Array.from({ length: groupSize }, (_, i) => {
      const q = reshape(slice(groups, { dim: 3, start: i, end: i + 1 }), [B, T, nKvHead * D]);
      const y = attend(cat([q, keysAndValues], { dim: 2 })); // (B, T, nKvHead D)
      return reshape(y, [B, T, nKvHead, 1, D]);
    });
    return reshape(cat(outputs, { dim: 3 }), [B, T, nHead * D]);
  }

  #attendAcross(x: Tensor, context: Tensor, dropout: number): Tensor {
    checkRank("MultiHeadAttention", "x", x.shape, "BTC");
    checkRank("MultiHeadAttention", "context", context.shape, "BTC");
    const { nHead, headDim, normEps: eps } = this;
    const [B, T] = x.shape;
    const C = nHead * headDim;
    const normalize = (y: Tensor, parts: number) =>
      this.qkNorm ? qkNorm(y, { nHead, parts, eps }) : y;
    const heads = (y: Tensor) => permute(reshape(y, [B, -1, nHead, headDim]), [0, 2, 1, 3]);
    const q = heads(normalize((this.q_attn as Linear).forward(x), 1)); // (B, nh, T, hs)
    const kv = normalize(this.c_attn.forward(context), 2); // (B, S, 2C)
    const [k, v] = split(kv, C, { dim: 2 }).map(heads); // (B, nh, S, hs)
    return reshape(permute(attention(q, k, v, { dropout }), [0, 2, 1, 3]), [B, T, C]);
  }
}

/**
 * Throws unless nHead is a multiple of nKvHead, and nEmbd one of nHead or headDim is given. Errors
 * begin with `op`.
 */
export function checkHeads(
  op: string,
  sizes: { nEmbd: number; nHead: number; nKvHead?: number; headDim?: number },
): void {
  const { nEmbd, nHead, nKvHead = nHead, headDim } = sizes;
  if (headDim !== undefined) checkCount(op, "headDim", headDim);
  if (!(Number.isInteger(nHead) && nHead > 0) || (headDim === undefined && nEmbd % nHead !== 0))
    fail(`${op}: nEmbd is ${nEmbd}, expected a multiple of nHead, ${nHead}`);
  if (!(Number.isInteger(nKvHead) && nKvHead > 0 && nHead % nKvHead === 0))
    fail(`${op}: nKvHead is ${nKvHead}, expected a divisor of nHead, ${nHead}`);
}
