// The GPT, from its block to the whole model, under nanoGPT's names. Sizes: B sequences of T
// tokens, C = nEmbd channels, V tokens in the vocabulary. Radford et al. (2019), after Vaswani et
// al. (2017).

import { checkOptions, fail } from "../errors.ts";
import {
  Embedding,
  type Init,
  type LayerNorm,
  Linear,
  MLP,
  Module,
  MultiHeadAttention,
  makeNorm,
  ResidualStream,
  type RMSNorm,
  TokenShift,
} from "../nn/index.ts";
import { softcap } from "../ops/activations.ts";
import { zeros } from "../ops/creation.ts";
import { add } from "../ops/elementwise.ts";
import { crossEntropy } from "../ops/loss.ts";
import { dropout } from "../ops/random.ts";
import { checkRank } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { configure, type GPTConfig, type GPTOptions, pickAttentionOptions } from "./config.ts";
import { initWeights } from "./init.ts";
import type { BlockPast, KVCache } from "./kv-cache.ts";
import type { ForwardResult } from "./language-model.ts";
import { positionRows, positionTable, rotaryPositions } from "./positions.ts";

/** Attention between tokens, then an MLP on each of them, each added to the residual stream. */
class Block extends Module {
  readonly ln_1: LayerNorm | RMSNorm;
  readonly attn: MultiHeadAttention;
  readonly ln_2: LayerNorm | RMSNorm;
  readonly mlp: MLP;
  readonly shift_1: TokenShift | null;
  readonly shift_2: TokenShift | null;
  readonly dropout: number;

  /** `rotary` is the table from rotaryTable(), if the model has rotary position embeddings. */
  constructor(config: GPTConfig, rotary: Tensor | null, init: Init) {
    super();
    const { nEmbd, mlpWidth, bias, dropout, activation, tokenShift } = config;
    const causal = true; // a token sees itself and the tokens before it
    this.ln_1 = makeNorm(nEmbd, config);
    this.attn = new MultiHeadAttention({ ...pickAttentionOptions(config), causal, rotary, init });
    this.ln_2 = makeNorm(nEmbd, config);
    this.mlp = new MLP({ nEmbd, mlpWidth, bias, activation, init });
    this.shift_1 = tokenShift ? new TokenShift(nEmbd) : null;
    this.shift_2 = tokenShift ? new TokenShift(nEmbd) : null;
    this.dropout = dropout;
  }

  /** `past` holds the keys and values of earlier tokens when a text is processed in pieces. */
  forward(x: ResidualStream, past?: BlockPast): ResidualStream {
    const dropout = this.training && !past ? this.dropout : 0;
    const attn = (x: Tensor) => (past ? this.attn.extend(x, past) : this.attn.forward(x));
    x = x.add(attn(this.attentionInput(x, past)), { dropout }); // x + dropout(attn(ln_1(x)))
    const y = this.ln_2.forward(x); // (B, T, C)
    const shifted = this.shift_2?.forward(y, past?.inputs?.[1]) ?? y;
    return x.add(this.mlp.forward(shifted), { dropout }); // x + dropout(mlp(ln_2(x)))
  }

  /** Returns ln_1(x), to which shift_1 adds a part of the previous token. */
  attentionInput(x: Tensor | ResidualStream, past?: BlockPast): Tensor {
    const y = this.ln_1.forward(x);
    return this.shift_1?.forward(y, past?.inputs?.[0]) ?? y;
  }
}

/**
 * A decoder-only transformer: token ids in, the logits of each next token out.
 * @example
 * const model = new GPT({ vocabSize: 65, blockSize: 16, nLayer: 2, nHead: 2, nEmbd: 32 });
 * const { logits } = model.forward(tensor([[1, 2, 3]], { dtype: "i32" }));
 * console.log(logits.shape); // [ 1, 3, 65 ]
 */
export class GPT extends Module {
  /** The sizes and settings. */ readonly config: GPTConfig;
  /** Token embeddings [V, C]. */ readonly wte: Embedding;
  /** Position embeddings; null if attention encodes them. */ readonly wpe: Embedding | null;
  /** The blocks. */ readonly h: Block[];
  /** The final norm. */ readonly ln_f: LayerNorm | RMSNorm;
  /** The output layer; a tied weight is that of wte. */ readonly lm_head: Linear;

  /** With `initWeights: false`, matrices keep the values of `init` until loadStateDict(). */
  constructor(
    options: GPTOptions,
    { initWeights: isRandom = true, init = zeros }: { initWeights?: boolean; init?: Init } = {},
  ) {
    super();
    const config = configure(options);
    const { vocabSize, nEmbd, nLayer, tieWeights } = config;
    this.config = config;
    this.wte = new Embedding(vocabSize, nEmbd, { init });
    this.wpe = positionTable(config);
    const rotary = rotaryPositions(config);
    this.h = Array.from({ length: nLayer }, () => new Block(config, rotary, init));
    this.ln_f = makeNorm(nEmbd, config);
    const weight = tieWeights ? this.wte.weight : undefined;
    this.lm_head = new Linear(nEmbd, vocabSize, { bias: config.lmHeadBias, init, weight });
    const additions = config.scaleResidual ? 2 * nLayer : 1;
    if (isRandom) initWeights(this, additions, config.zeroInitProjections);
  }

  /** Returns the logits [B, T, V] and, with targets, the mean cross-entropy []; idx, targets [B, T]
   *  of i32. With `logits: false`, as in training, the logits are null and not stored. */
  forward<T extends Tensor | null | undefined = undefined, L extends boolean = true>(
    idx: Tensor,
    targets?: T,
    options: { logits?: L } = {},
  ): ForwardResult<T, L> {
    checkOptions("forward", options, ["logits"]);
    const x = this.hidden(idx); // (B, T, C)
    const needsLogits = options.logits !== false;
    const logits = needsLogits || this.config.logitSoftcap > 0 ? this.head(x) : null; // (B, T, V)
    let loss: Tensor | null = null;
    if (targets && logits) loss = crossEntropy(logits, targets);
    else if (targets) loss = this.lm_head.crossEntropy(x, targets);
    return { logits: needsLogits ? logits : null, loss } as ForwardResult<T, L>;
  }

  /** Returns the logits [B, T, V] of what hidden() returns, with the softcap if there is one. */
  head(x: Tensor): Tensor {
    const logits = this.lm_head.forward(x);
    const { logitSoftcap } = this.config;
    return logitSoftcap > 0 ? softcap(logits, logitSoftcap) : logits;
  }

  /** Returns the output of the last block, normalized [B, T, C]; `cache` holds earlier tokens. */
  hidden(idx: Tensor, cache?: KVCache): Tensor {
    checkTensor("forward", "idx", idx);
    checkRank("forward", "idx", idx.shape, "BT");
    const { blockSize, embeddingDropout } = this.config;
    const start = cache?.used ?? 0;
    const end = start + idx.shape[1];
    if (end > blockSize) fail(`forward: idx ends at token ${end}, expected at most ${blockSize}`);
    const token = this.wte.forward(idx); // (B, T, C)
    const position = this.wpe && positionRows(this.wpe, start, end, cache); // (T, C)
    const embedded = position ? add(token, position) : token; // (B, T, C)
    const p = embeddingDropout && this.training && !cache ? this.config.dropout : 0;
    let x = new ResidualStream(dropout(embedded, { p }));
    for (const [i, block] of this.h.entries()) x = block.forward(x, cache?.layers[i]);
    return this.ln_f.forward(x);
  }
}
