// The blocks of transformers: attention between tokens, then an MLP on each token, each added to a
// residual stream. GPT's own block is in gpt/model.ts; these are the encoder's and the decoder's of
// Vaswani et al. (2017), with the norm before each branch as in later models.

import { checkCount, checkOptions, checkSize, describe, fail } from "../errors.ts";
import { type Activation, mlp } from "../ops/linear.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type AttentionOptions, MultiHeadAttention } from "./attention.ts";
import { type Init, LayerNorm, Linear, RMSNorm } from "./layers.ts";
import { Module } from "./module.ts";
import { ResidualStream } from "./residual.ts";

/** The kind of norm at the start of each branch. */
export type Norm = "layer" | "rms";

interface NormOptions {
  /** "layer" (default) or "rms". */
  norm?: Norm;
  /** A bias in layer norms; default true. */
  bias?: boolean;
  /** Added to the variance or the mean square; 1e-5 by default. */
  normEps?: number;
}

/**
 * Returns a LayerNorm, or an RMSNorm, which has no bias.
 * @example
 * const norm = nn.makeNorm(4, { norm: "rms" });
 * console.log(norm.forward(randn([2, 4])).shape); // [ 2, 4 ]
 */
export function makeNorm(size: number, options: NormOptions = {}): LayerNorm | RMSNorm {
  checkSize("makeNorm", "size", size);
  if (typeof options !== "object" || options === null)
    fail(`makeNorm: options are ${describe(options)}, expected an object such as { norm: ... }`);
  const { norm = "layer", bias = true, normEps: eps } = options;
  if (norm !== "layer" && norm !== "rms")
    fail(`makeNorm: norm is ${describe(norm)}, expected layer or rms`);
  return norm === "rms" ? new RMSNorm(size, { eps }) : new LayerNorm(size, { bias, eps });
}

/** The width of the hidden layer of an MLP by default: 4C, or about 8C / 3 with swiglu. */
export function defaultMLPWidth(nEmbd: number, activation: Activation): number {
  return activation === "swiglu" ? 8 * Math.ceil(nEmbd / 3) : 4 * nEmbd;
}

/** Options of MLP. */
interface MLPOptions {
  nEmbd: number;
  /** The width of the hidden layer; by default that of defaultMLPWidth(). */
  mlpWidth?: number;
  bias?: boolean;
  activation?: Activation;
  init?: Init;
}

/**
 * y = c_proj(activation(c_fc(x))) on each token; the hidden size is 4C by default.
 * @example
 * const layer = new nn.MLP({ nEmbd: 4, bias: true });
 * console.log(layer.forward(randn([2, 4])).shape); // [ 2, 4 ]
 */
export class MLP extends Module {
  /** The first layer, from C to the hidden size. */
  readonly c_fc: Linear;
  /** The second layer, back to C. */
  readonly c_proj: Linear;
  /** The activation between the layers. */
  readonly activation: Activation;

  /**
   * With swiglu c_fc holds two matrices, the gate and the values, and by default the hidden layer
   * is a third narrower, so that the number of parameters stays the same. Shazeer (2020).
   */
  constructor(options: MLPOptions) {
    super();
    checkOptions("MLP", options, ["nEmbd", "mlpWidth", "bias", "activation", "init"]);
    const { nEmbd, bias = true, activation = "gelu", init } = options;
    const { mlpWidth: width = defaultMLPWidth(nEmbd, activation) } = options;
    checkCount("MLP", "mlpWidth", width);
    this.activation = activation;
    const isGated = activation === "swiglu";
    this.c_fc = new Linear(nEmbd, isGated ? 2 * width : width, { bias, init });
    this.c_proj = new Linear(width, nEmbd, { bias, init });
  }

  /** x [B, T, C] to [B, T, C]. */
  forward(x: Tensor): Tensor {
    const { c_fc, c_proj, activation } = this;
    // the exact class: layers with LoRA adapters and quantized layers override forward()
    const canFuse = c_fc.constructor === Linear && c_proj.constructor === Linear;
    if (canFuse) return mlp(x, c_fc.weight, c_fc.bias, c_proj.weight, c_proj.bias, { activation });
    return c_proj.forward(c_fc.forward(x, { activation }));
  }
}

/** Options of EncoderBlock and DecoderBlock. */
export interface BlockOptions extends Omit<AttentionOptions, "cross">, NormOptions {
  /** The activation of the MLP; default gelu. */
  activation?: Activation;
}

/**
 * Self-attention, then an MLP. Every token attends to all tokens, unless `causal` is set.
 * @example
 * const block = new nn.EncoderBlock({ nEmbd: 8, nHead: 2 });
 * console.log(block.forward(randn([1, 4, 8])).shape); // [ 1, 4, 8 ]
 */
export class EncoderBlock extends Module {
  /** The norm before attention. */
  readonly ln_1: LayerNorm | RMSNorm;
  /** Self-attention. */
  readonly attn: MultiHeadAttention;
  /** The norm before the MLP. */
  readonly ln_2: LayerNorm | RMSNorm;
  /** The MLP. */
  readonly mlp: MLP;
  /** The dropout probability of the branches. */
  readonly dropout: number;

  constructor({ activation, norm, ...options }: BlockOptions) {
    super();
    const { nEmbd, bias, init, dropout = 0 } = options;
    this.ln_1 = makeNorm(nEmbd, { norm, bias });
    this.attn = new MultiHeadAttention(options);
    this.ln_2 = makeNorm(nEmbd, { norm, bias });
    this.mlp = new MLP({ nEmbd, bias, activation, init });
    this.dropout = dropout;
  }

  /** input [B, T, C] to [B, T, C]. */
  forward(input: Tensor): Tensor {
    const dropout = this.training ? this.dropout : 0;
    let x = new ResidualStream(input);
    x = x.add(this.attn.forward(this.ln_1.forward(x)), { dropout }); // x + dropout(attn(ln_1(x)))
    x = x.add(this.mlp.forward(this.ln_2.forward(x)), { dropout }); // x + dropout(mlp(ln_2(x)))
    return x.sum();
  }
}

/**
 * Causal self-attention, then attention to the encoder's output, then an MLP.
 * @example
 * const block = new nn.DecoderBlock({ nEmbd: 8, nHead: 2 });
 * const memory = randn([1, 6, 8]); // the encoder's output
 * console.log(block.forward(randn([1, 4, 8]), memory).shape); // [ 1, 4, 8 ]
 */
export class DecoderBlock extends Module {
  /** The norm before self-attention. */
  readonly ln_1: LayerNorm | RMSNorm;
  /** Causal self-attention. */
  readonly attn: MultiHeadAttention;
  /** The norm before cross-attention. */
  readonly ln_x: LayerNorm | RMSNorm;
  /** Attention to the encoder's output. */
  readonly cross: MultiHeadAttention;
  /** The norm before the MLP. */
  readonly ln_2: LayerNorm | RMSNorm;
  /** The MLP. */
  readonly mlp: MLP;
  /** The dropout probability of the branches. */
  readonly dropout: number;

  constructor({ activation, norm, rotary, causal = true, ...options }: BlockOptions) {
    super();
    const { nEmbd, bias, init, dropout = 0 } = options;
    this.ln_1 = makeNorm(nEmbd, { norm, bias });
    this.attn = new MultiHeadAttention({ ...options, causal, rotary });
    this.ln_x = makeNorm(nEmbd, { norm, bias });
    this.cross = new MultiHeadAttention({ ...options, cross: true });
    this.ln_2 = makeNorm(nEmbd, { norm, bias });
    this.mlp = new MLP({ nEmbd, bias, activation, init });
    this.dropout = dropout;
  }

  /** input [B, T, C] to [B, T, C]; memory [B, S, C] is the encoder's output. */
  forward(input: Tensor, memory: Tensor): Tensor {
    const dropout = this.training ? this.dropout : 0;
    let x = new ResidualStream(input);
    x = x.add(this.attn.forward(this.ln_1.forward(x)), { dropout });
    x = x.add(this.cross.forward(this.ln_x.forward(x), memory), { dropout });
    x = x.add(this.mlp.forward(this.ln_2.forward(x)), { dropout });
    return x.sum();
  }
}
