// The GPT, from its parts to the whole, under nanoGPT's names. Sizes: B sequences of T tokens, C =
// nEmbd numbers for each, V tokens to know. Radford et al. (2019), after Vaswani et al. (2017).

import { checkOptions, fail } from "../errors.ts";
import {
  Embedding,
  type Init,
  type LayerNorm,
  Linear,
  MLP,
  Module,
  MultiHeadAttention,
  normOf,
  type Past,
  type RMSNorm,
  rotaryTable,
} from "../nn/index.ts";
import { zeros } from "../ops/creation.ts";
import { add } from "../ops/elementwise.ts";
import { crossEntropy } from "../ops/loss.ts";
import { dropout } from "../ops/random.ts";
import { checkRank } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { configure, type GPTConfig, type GPTOptions } from "./config.ts";
import { initWeights } from "./init.ts";
import type { KVCache } from "./kv-cache.ts";
import { positionRows, positionTable } from "./positions.ts";

/** Communication, then computation: branches that join the residual stream at the next norm. */
class Block extends Module {
  readonly ln_1: LayerNorm | RMSNorm;
  readonly attn: MultiHeadAttention; // each token looks back, and takes what it looks for
  readonly ln_2: LayerNorm | RMSNorm;
  readonly mlp: MLP; // each token by itself works on what it gathered

  /** `rotary`: the angles by which attention turns queries and keys, if it does. */
  constructor(
    { nEmbd, nHead, activation, ...config }: GPTConfig,
    rotary: Tensor | null,
    init: Init,
  ) {
    super();
    const { bias, qkvBias, dropout } = config;
    this.ln_1 = normOf(nEmbd, config);
    this.attn = new MultiHeadAttention({
      ...{ nEmbd, nHead, bias, qkvBias, dropout, rotary, init },
      causal: true,
    });
    this.ln_2 = normOf(nEmbd, config);
    this.mlp = new MLP({ nEmbd, bias, activation, init });
  }

  /**
   * Takes the stream (B, T, C), and the branch that has yet to join it with dropout p; gives the
   * same. `past`: the keys and values of the tokens before, when a text is read piece by piece.
   */
  forward(x: Tensor, branch: Tensor | null, p: number, past?: Past): [Tensor, Tensor] {
    const [y, n] = this.ln_1.join(x, branch, p); // (B, T, C)
    const [z, m] = this.ln_2.join(y, past ? this.attn.extend(n, past) : this.attn.forward(n), p);
    return [z, this.mlp.forward(m)];
  }
}

/** Token ids in, for each position the logits of the next token out. */
export class GPT extends Module {
  readonly config: GPTConfig;
  readonly wte: Embedding; // what a token is
  readonly wpe: Embedding | null; // where it stands, if a table tells
  readonly h: Block[];
  readonly ln_f: LayerNorm | RMSNorm;
  readonly lm_head: Linear;

  /**
   * Without `initWeights` the matrices stay 0, or what `init` makes them, and wait for
   * loadStateDict().
   */
  constructor(
    options: GPTOptions,
    { initWeights: draw = true, init = zeros }: { initWeights?: boolean; init?: Init } = {},
  ) {
    super();
    const config = configure(options);
    const { vocabSize, blockSize, nEmbd, nHead, nLayer, positions, tieWeights } = config;
    this.config = config;
    this.wte = new Embedding(vocabSize, nEmbd, { init });
    this.wpe = positionTable(config);
    const angles = positions === "rotary" ? rotaryTable(blockSize, nEmbd / nHead) : null;
    this.h = Array.from({ length: nLayer }, () => new Block(config, angles, init));
    this.ln_f = normOf(nEmbd, config);
    const shared = tieWeights ? { weight: this.wte.weight } : {};
    this.lm_head = new Linear(nEmbd, vocabSize, { bias: config.lmHeadBias, init, ...shared });
    if (draw) initWeights(this, config.scaleResidual ? 2 * nLayer : 1);
  }

  /**
   * idx, targets [B, T] of i32. Gives the logits [B, T, V] and, with targets, the loss []. Training
   * asks for no logits: as nobody reads them, their gradient may take their place.
   */
  forward(idx: Tensor, targets?: Tensor | null, options: { logits?: boolean } = {}) {
    checkOptions("forward", options, ["logits"]);
    const x = this.hidden(idx); // (B, T, C)
    if (options.logits === false)
      return { logits: null, loss: targets ? this.lm_head.linearCrossEntropy(x, targets) : null };
    const logits = this.lm_head.forward(x); // (B, T, V)
    return { logits, loss: targets ? crossEntropy(logits, targets) : null };
  }

  /** The residual stream behind the last block (B, T, C); a cache holds what came before idx. */
  hidden(idx: Tensor, cache?: KVCache): Tensor {
    checkTensor("forward", "idx", idx);
    checkRank("forward", "idx", idx.shape, "BT");
    const { blockSize, embeddingDropout } = this.config;
    const [start, end] = [cache?.used ?? 0, (cache?.used ?? 0) + idx.shape[1]];
    const p = this.training && !cache ? this.config.dropout : 0;
    if (end > blockSize) fail(`forward: idx ends at token ${end}, expected at most ${blockSize}`);
    const token = this.wte.forward(idx); // (B, T, C)
    const places = this.wpe && positionRows(this.wpe, start, end, cache); // (T, C)
    let x = dropout(places ? add(token, places) : token, { p: embeddingDropout ? p : 0 });
    let branch: Tensor | null = null;
    for (const [i, block] of this.h.entries())
      [x, branch] = block.forward(x, branch, p, cache?.layers[i]);
    return this.ln_f.join(x, branch, p)[1];
  }
}
