// The GPT, from its parts to the whole, under nanoGPT's names. Sizes: B sequences of T tokens, C =
// nEmbd numbers for each, V tokens to know. Radford et al. (2019), after Vaswani et al. (2017).

import { Embedding, LayerNorm, Linear, Module } from "../nn/index.ts";
import { cachedAttention, selfAttention } from "../ops/attention.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { add, dropout } from "../ops/elementwise.ts";
import { slice, to } from "../ops/movement.ts";
import { classify, crossEntropy } from "../ops/rows/loss.ts";
import { nextSite, normal } from "../random.ts";
import { scope } from "../scope.ts";
import { expectOptions, expectRank, fail } from "../shape.ts";
import { expectTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor.ts";
import type { KVCache, LayerCache } from "./cache.ts";
import { configure, type GPTConfig, type GPTOptions } from "./config.ts";

const init = zeros; // matrices start at 0: the GPT draws them all when it is built

/** Each token looks back at the tokens before it, and takes from them what it looks for. */
class CausalSelfAttention extends Module {
  readonly c_attn: Linear;
  readonly c_proj: Linear;
  readonly nHead: number;

  constructor({ nEmbd, nHead, bias, qkvBias }: GPTConfig) {
    super();
    this.nHead = nHead;
    this.c_attn = new Linear(nEmbd, 3 * nEmbd, { bias: qkvBias, init });
    this.c_proj = new Linear(nEmbd, nEmbd, { bias, init });
  }

  /** `past`: the keys and values of the tokens before, when a text is read piece by piece. */
  forward(x: Tensor, dropout: number, past?: LayerCache): Tensor {
    const qkv = this.c_attn.forward(x); // (B, T, 3C)
    const y = past
      ? cachedAttention(qkv, past.kv, past.length, { nHead: this.nHead })
      : selfAttention(qkv, { nHead: this.nHead, causal: true, dropout }); // (B, T, C)
    return this.c_proj.forward(y);
  }
}

/** Each token by itself works on what it gathered: to four times the width, and back. */
class MLP extends Module {
  readonly c_fc: Linear;
  readonly c_proj: Linear;
  readonly activation: GPTConfig["activation"];

  constructor({ nEmbd, bias, activation }: GPTConfig) {
    super();
    this.activation = activation;
    this.c_fc = new Linear(nEmbd, 4 * nEmbd, { bias, init });
    this.c_proj = new Linear(4 * nEmbd, nEmbd, { bias, init });
  }

  forward(x: Tensor): Tensor {
    return this.c_proj.forward(this.c_fc.forward(x, { activation: this.activation })); // (B, T, C)
  }
}

/** Communication, then computation: branches that join the residual stream at the next norm. */
class Block extends Module {
  readonly ln_1: LayerNorm;
  readonly attn: CausalSelfAttention;
  readonly ln_2: LayerNorm;
  readonly mlp: MLP;

  constructor(config: GPTConfig) {
    super();
    this.ln_1 = new LayerNorm(config.nEmbd, { bias: config.bias });
    this.attn = new CausalSelfAttention(config);
    this.ln_2 = new LayerNorm(config.nEmbd, { bias: config.bias });
    this.mlp = new MLP(config);
  }

  /** Takes the stream, and the branch that has yet to join it with dropout p; gives the same. */
  forward(x: Tensor, branch: Tensor | null, p: number, past?: LayerCache): [Tensor, Tensor] {
    const [y, n] = this.ln_1.join(x, branch, p); // (B, T, C)
    const [z, m] = this.ln_2.join(y, this.attn.forward(n, p, past), p); // (B, T, C)
    return [z, this.mlp.forward(m)];
  }
}

/** Token ids in, for each position the logits of the next token out. */
export class GPT extends Module {
  readonly config: GPTConfig;
  readonly wte: Embedding; // what a token is
  readonly wpe: Embedding; // where it stands
  readonly h: Block[];
  readonly ln_f: LayerNorm;
  readonly lm_head: Linear;

  /** Without `drawWeights` the matrices stay 0 and wait for loadStateDict(). */
  constructor(options: GPTOptions, { drawWeights = true } = {}) {
    super();
    const config = configure(options);
    const { vocabSize, blockSize, nEmbd, nLayer, lmHeadBias, tieWeights } = config;
    this.config = config;
    this.wte = new Embedding(vocabSize, nEmbd, { init });
    this.wpe = new Embedding(blockSize, nEmbd, { init });
    this.h = Array.from({ length: nLayer }, () => new Block(config));
    this.ln_f = new LayerNorm(nEmbd, { bias: config.bias });
    const shared = tieWeights ? { weight: this.wte.weight } : {};
    this.lm_head = new Linear(nEmbd, vocabSize, { bias: lmHeadBias, init, ...shared });
    if (drawWeights) this.#drawWeights();
  }

  /**
   * idx, targets [B, T] of i32. Gives the logits [B, T, V] and, with targets, the loss []. Training
   * asks for no logits: as nobody reads them, their gradient may take their place.
   */
  forward(idx: Tensor, targets?: Tensor | null, options: { logits?: boolean } = {}) {
    expectOptions("forward", options, ["logits"]);
    const [x, { weight, bias }] = [this.hidden(idx), this.lm_head]; // (B, T, C)
    if (options.logits === false)
      return { logits: null, loss: targets ? classify(x, weight, bias, targets) : null };
    const logits = this.lm_head.forward(x); // (B, T, V)
    return { logits, loss: targets ? crossEntropy(logits, targets) : null };
  }

  /** The residual stream behind the last block (B, T, C); a cache holds what came before idx. */
  hidden(idx: Tensor, cache?: KVCache): Tensor {
    expectTensor("forward", "idx", idx);
    expectRank("forward", "idx", idx.shape, "BT");
    const { blockSize, embeddingDropout } = this.config;
    const [start, end] = [cache?.used ?? 0, (cache?.used ?? 0) + idx.shape[1]];
    const p = this.training && !cache ? this.config.dropout : 0;
    if (end > blockSize) fail(`forward: idx ends at token ${end}, expected at most ${blockSize}`);
    const places =
      cache && end - start === 1 // one token: its place is on the device, for a captured step
        ? this.wpe.forward(cache.length)
        : to(slice(this.wpe.weight, { dim: 0, start, end }), this.dtype); // (T, C)
    let x = dropout(add(this.wte.forward(idx), places), { p: embeddingDropout ? p : 0 });
    let branch: Tensor | null = null;
    for (const [i, block] of this.h.entries())
      [x, branch] = block.forward(x, branch, p, cache?.layers[i]);
    return this.ln_f.join(x, branch, p)[1];
  }

  /** Matrices with standard deviation 0.02, less where they add to the residual stream. */
  #drawWeights(): void {
    for (const [name, w] of this.namedParameters()) {
      if (w.shape.length < 2) continue;
      const small = this.config.scaleResidual && name.endsWith("c_proj.weight");
      const deviation = small ? 0.02 / Math.sqrt(2 * this.config.nLayer) : 0.02;
      const values = normal(w.size, { site: nextSite(), stream: "init" }).map((z) => z * deviation);
      scope(() => w.assign(tensor(values, { shape: w.shape, dtype: w.dtype, device: w.device })));
    }
  }
}
