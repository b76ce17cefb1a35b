// Multi-head attention as a layer: the projections around the op, for a text that looks at itself
// or at another one.

import { checkOptions, fail } from "../errors.ts";
import { attention, cachedAttention, selfAttention } from "../ops/attention.ts";
import { permute, reshape, split } from "../ops/movement.ts";
import { checkProbability } from "../ops/random.ts";
import { rotary } from "../ops/rotary.ts";
import { checkRank } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Init, Linear } from "./layers.ts";
import { Module } from "./module.ts";

/** The keys and values of the tokens that were read before. */
export interface Past {
  readonly kv: Tensor; // [B, capacity, 2C]
  readonly length: Tensor; // [] of i32: how many tokens they are of
}

/** Options of MultiHeadAttention. */
export interface AttentionOptions {
  /** The width of the tokens, C. */
  nEmbd: number;
  nHead: number;
  bias?: boolean;
  /** A bias in the projections to queries, keys and values; as `bias` unless given. */
  qkvBias?: boolean;
  /** The probability that an attention weight is dropped, while training. */
  dropout?: number;
  /** Whether a token sees only itself and those before it. */
  causal?: boolean;
  /** Whether the queries are of one text and the keys and values of another. */
  cross?: boolean;
  /** The angles by which queries and keys are turned, of rotaryTable(). */
  rotary?: Tensor | null;
  init?: Init;
}

const known = [
  ...["nEmbd", "nHead", "bias", "qkvBias", "dropout", "causal", "cross", "rotary", "init"],
];

/**
 * Each token takes from the tokens it sees what it looks for: nHead times softmax(q k^T / sqrt D) v
 * side by side, D = C / nHead, then a projection. Vaswani et al. (2017), section 3.2.2.
 * @example
 * const layer = new nn.MultiHeadAttention({ nEmbd: 8, nHead: 2, causal: true });
 * console.log(layer.forward(randn([1, 4, 8])).shape); // [ 1, 4, 8 ]
 */
export class MultiHeadAttention extends Module {
  readonly c_attn: Linear; // to queries, keys and values, [3C, C]; across, to keys and values
  readonly q_attn: Linear | null; // across: to queries
  readonly c_proj: Linear;
  readonly nHead: number;
  readonly causal: boolean;
  readonly dropout: number;
  readonly rotary: Tensor | null;

  constructor(options: AttentionOptions) {
    super();
    checkOptions("MultiHeadAttention", options, known);
    const { nEmbd, nHead, bias = true, qkvBias = bias, dropout = 0, init } = options;
    const { causal = false, cross = false, rotary = null } = options;
    if (!(Number.isInteger(nHead) && nHead > 0 && nEmbd % nHead === 0))
      fail(`MultiHeadAttention: nEmbd is ${nEmbd}, expected a multiple of nHead, ${nHead}`);
    if (cross && (causal || rotary))
      fail("MultiHeadAttention: cross with causal or rotary, expected texts without common places");
    checkProbability("MultiHeadAttention", dropout);
    this.c_attn = new Linear(nEmbd, (cross ? 2 : 3) * nEmbd, { bias: qkvBias, init });
    this.q_attn = cross ? new Linear(nEmbd, nEmbd, { bias: qkvBias, init }) : null;
    this.c_proj = new Linear(nEmbd, nEmbd, { bias, init });
    this.nHead = nHead;
    this.causal = causal;
    this.dropout = dropout;
    this.rotary = rotary;
  }

  /** x [B, T, C]; `context` [B, S, C] is what x looks at if it is another text. Gives [B, T, C]. */
  forward(x: Tensor, context?: Tensor | null): Tensor {
    if (this.q_attn ? !context : context)
      fail(
        `MultiHeadAttention: context is ${context ? "given" : "missing"}, made for the contrary`,
      );
    const { nHead, causal } = this;
    const dropout = this.training ? this.dropout : 0;
    const y = context
      ? this.#across(x, context, dropout)
      : selfAttention(this.#project(x), { nHead, causal, dropout });
    return this.c_proj.forward(y);
  }

  /** forward() for the next tokens of a text of which `past` holds the rest; it takes them up. */
  extend(x: Tensor, past: Past): Tensor {
    if (!this.causal) fail("MultiHeadAttention: it is not causal: all tokens must come at once");
    const qkv = this.#project(x, past.length);
    return this.c_proj.forward(cachedAttention(qkv, past.kv, past.length, { nHead: this.nHead }));
  }

  /** Queries, keys and values side by side (B, T, 3C). */
  #project(x: Tensor, length: Tensor | null = null): Tensor {
    const qkv = this.c_attn.forward(x);
    return this.rotary ? rotary(qkv, this.rotary, { nHead: this.nHead, length }) : qkv;
  }

  #across(x: Tensor, context: Tensor, dropout: number): Tensor {
    for (const [name, each] of Object.entries({ x, context }))
      checkRank("MultiHeadAttention", name, each.shape, "BTC");
    const [[B, T, C], { nHead }] = [x.shape, this];
    const heads = (y: Tensor) => permute(reshape(y, [B, -1, nHead, C / nHead]), [0, 2, 1, 3]);
    const q = heads((this.q_attn as Linear).forward(x)); // (B, nh, T, hs)
    const [k, v] = split(this.c_attn.forward(context), C, { dim: 2 }).map(heads); // (B, nh, S, hs)
    return reshape(permute(attention(q, k, v, { dropout }), [0, 2, 1, 3]), [B, T, C]);
  }
}
