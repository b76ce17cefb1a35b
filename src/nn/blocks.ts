// The blocks of transformers: communication, then computation. GPT's own block is in
// gpt/model.ts; these are those of the encoder and the decoder of Vaswani et al. (2017), with the
// normalization before each branch, as later models have it.

import { fail } from "../errors.ts";
import { add } from "../ops/elementwise.ts";
import { type Activation, mlp } from "../ops/linear.ts";
import { dropout } from "../ops/random.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type AttentionOptions, MultiHeadAttention } from "./attention.ts";
import { type Init, LayerNorm, Linear, RMSNorm } from "./layers.ts";
import { Module } from "./module.ts";

/** How the residual stream is normalized before a branch reads it. */
export type Norm = "layer" | "rms";

export function normOf(size: number, { norm = "layer", bias = true }: NormOptions) {
  if (norm !== "layer" && norm !== "rms") fail(`norm: norm is ${norm}, expected layer, rms`);
  return norm === "rms" ? new RMSNorm(size) : new LayerNorm(size, { bias });
}

interface NormOptions {
  norm?: Norm;
  bias?: boolean;
}

/** Each token by itself works on what it gathered: to four times the width, and back. */
export class MLP extends Module {
  readonly c_fc: Linear;
  readonly c_proj: Linear;
  readonly activation: Activation;

  /** swiglu has two matrices in c_fc, each narrower by a third: as many numbers in all. */
  constructor(options: { nEmbd: number; bias?: boolean; activation?: Activation; init?: Init }) {
    super();
    const { nEmbd, bias = true, activation = "gelu", init } = options;
    this.activation = activation;
    const isGated = activation === "swiglu";
    const width = isGated ? 8 * Math.ceil(nEmbd / 3) : 4 * nEmbd;
    this.c_fc = new Linear(nEmbd, isGated ? 2 * width : width, { bias, init });
    this.c_proj = new Linear(width, nEmbd, { bias, init });
  }

  forward(x: Tensor): Tensor {
    const { c_fc, c_proj, activation } = this;
    const arePlain = [c_fc, c_proj].every((layer) => layer.constructor === Linear);
    if (!arePlain) return c_proj.forward(c_fc.forward(x, { activation })); // adapted, or quantized
    return mlp(x, c_fc.weight, c_fc.bias, c_proj.weight, c_proj.bias, { activation }); // (B, T, C)
  }
}

export interface BlockOptions extends Omit<AttentionOptions, "cross">, NormOptions {
  activation?: Activation;
}

/** Tokens that look at each other, all at all unless `causal`. x [B, T, C] to the same. */
export class EncoderBlock extends Module {
  readonly ln_1: LayerNorm | RMSNorm;
  readonly attn: MultiHeadAttention;
  readonly ln_2: LayerNorm | RMSNorm;
  readonly mlp: MLP;
  readonly dropout: number;

  constructor({ activation, norm, ...options }: BlockOptions) {
    super();
    const { nEmbd, bias, init, dropout = 0 } = options;
    this.ln_1 = normOf(nEmbd, { norm, bias });
    this.attn = new MultiHeadAttention(options);
    this.ln_2 = normOf(nEmbd, { norm, bias });
    this.mlp = new MLP({ nEmbd, bias, activation, init });
    this.dropout = dropout;
  }

  forward(x: Tensor): Tensor {
    const p = this.training ? this.dropout : 0;
    const [y, n] = this.ln_2.join(x, this.attn.forward(this.ln_1.forward(x)), p); // (B, T, C)
    return add(y, dropout(this.mlp.forward(n), { p }));
  }
}

/** Tokens that look at those before them, then at the encoder's. */
export class DecoderBlock extends Module {
  readonly ln_1: LayerNorm | RMSNorm;
  readonly attn: MultiHeadAttention;
  readonly ln_x: LayerNorm | RMSNorm;
  readonly cross: MultiHeadAttention;
  readonly ln_2: LayerNorm | RMSNorm;
  readonly mlp: MLP;
  readonly dropout: number;

  constructor({ activation, norm, rotary, causal = true, ...options }: BlockOptions) {
    super();
    const { nEmbd, bias, init, dropout = 0 } = options;
    this.ln_1 = normOf(nEmbd, { norm, bias });
    this.attn = new MultiHeadAttention({ ...options, causal, rotary });
    this.ln_x = normOf(nEmbd, { norm, bias });
    this.cross = new MultiHeadAttention({ ...options, cross: true });
    this.ln_2 = normOf(nEmbd, { norm, bias });
    this.mlp = new MLP({ nEmbd, bias, activation, init });
    this.dropout = dropout;
  }

  /** x [B, T, C]; memory [B, S, C] is the text that the encoder has read. */
  forward(x: Tensor, memory: Tensor): Tensor {
    const p = this.training ? this.dropout : 0;
    const [y, n] = this.ln_x.join(x, this.attn.forward(this.ln_1.forward(x)), p); // (B, T, C)
    const [z, m] = this.ln_2.join(y, this.cross.forward(n, memory), p); // (B, T, C)
    return add(z, dropout(this.mlp.forward(m), { p }));
  }
}
