// The original transformer: an encoder reads the source text, and a decoder writes the target text
// while attending to both. Vaswani et al. (2017), with pre-normalization.

import { noGrad } from "../autograd.ts";
import { checkCount, checkOptions, defined, fail } from "../errors.ts";
import {
  type BlockOptions,
  DecoderBlock,
  Embedding,
  EncoderBlock,
  inEvalMode,
  type LayerNorm,
  Linear,
  Module,
  makeNorm,
  type RMSNorm,
  rotaryTable,
} from "../nn/index.ts";
import { softcap } from "../ops/activations.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { add } from "../ops/elementwise.ts";
import { crossEntropy } from "../ops/loss.ts";
import { slice } from "../ops/movement.ts";
import { dropout } from "../ops/random.ts";
import { argmax } from "../ops/reductions.ts";
import { scope } from "../scope.ts";
import { checkRank } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { checkSoftcap, type GPTConfig } from "./config.ts";
import { initWeights } from "./init.ts";
import type { ForwardResult } from "./language-model.ts";
import { positionRows, positionTable } from "./positions.ts";

type SharedSize = "blockSize" | "nHead" | "nEmbd";

/** Sizes and settings of an EncoderDecoder. */
export interface EncoderDecoderConfig extends Pick<GPTConfig, SharedSize | keyof typeof defaults> {
  /** The number of token ids of the source. */
  sourceVocabSize: number;
  /** The number of token ids of the target. */
  targetVocabSize: number;
  /** The number of blocks of the encoder. */
  nEncoderLayer: number;
  /** The number of blocks of the decoder. */
  nDecoderLayer: number;
}

const defaults = {
  dropout: 0,
  bias: true,
  activation: "gelu",
  norm: "layer",
  positions: "sinusoidal",
  qkNorm: false,
  logitSoftcap: 0,
  zeroInitProjections: false,
} as const;

/** The sizes are required; all other options have defaults. */
export type EncoderDecoderOptions = Omit<EncoderDecoderConfig, keyof typeof defaults> &
  Partial<EncoderDecoderConfig>;

const init = zeros; // matrices are 0 until initWeights()
const sizes = ["sourceVocabSize", "targetVocabSize", "nEncoderLayer", "nDecoderLayer"] as const;
const optionNames = [...sizes, "blockSize", "nHead", "nEmbd", ...Object.keys(defaults)];

/** The encoder or the decoder: embeddings of tokens and positions, blocks, final normalization. */
class TransformerStack<Block extends Module> extends Module {
  readonly wte: Embedding;
  readonly wpe: Embedding | null;
  readonly h: Block[];
  readonly ln_f: LayerNorm | RMSNorm;
  readonly config: EncoderDecoderConfig;

  constructor(config: EncoderDecoderConfig, vocabSize: number, createBlocks: () => Block[]) {
    super();
    this.config = config;
    this.wte = new Embedding(vocabSize, config.nEmbd, { init });
    this.wpe = positionTable(config);
    this.h = createBlocks();
    this.ln_f = makeNorm(config.nEmbd, config);
  }

  /** idx [B, T] of i32 -> [B, T, C]; `forwardBlock` runs a block, errors name `op`. */
  run(op: string, idx: Tensor, forwardBlock: (block: Block, x: Tensor) => Tensor): Tensor {
    checkTensor(op, "idx", idx);
    checkRank(op, "idx", idx.shape, "BT");
    const T = idx.shape[1];
    const { blockSize, dropout: p } = this.config;
    if (T > blockSize) fail(`${op}: idx has ${T} tokens, expected at most ${blockSize}`);
    const token = this.wte.forward(idx); // (B, T, C)
    const embedded = this.wpe ? add(token, positionRows(this.wpe, 0, T)) : token;
    let x = dropout(embedded, { p, training: this.training });
    for (const block of this.h) x = forwardBlock(block, x);
    return this.ln_f.forward(x);
  }
}

/**
 * A sequence-to-sequence transformer.
 * @example
 * const vocabulary = { sourceVocabSize: 10, targetVocabSize: 12, blockSize: 8 };
 * const sizes = { nEncoderLayer: 1, nDecoderLayer: 1, nHead: 2, nEmbd: 8 };
 * const model = new EncoderDecoder({ ...vocabulary, ...sizes });
 * const ids = tensor([[1, 2, 3]], { dtype: "i32" });
 * console.log(model.forward(ids, ids).logits.shape); // [ 1, 3, 12 ]
 */
export class EncoderDecoder extends Module {
  /** The sizes and settings. */
  readonly config: EncoderDecoderConfig;
  /** The embeddings and blocks of the source. */
  readonly encoder: TransformerStack<EncoderBlock>;
  /** The embeddings and blocks of the target. */
  readonly decoder: TransformerStack<DecoderBlock>;
  /** The output layer [V, C]. */
  readonly lm_head: Linear;

  constructor(options: EncoderDecoderOptions) {
    super();
    checkOptions("EncoderDecoder", options, optionNames);
    const config: EncoderDecoderConfig = { ...defaults, ...defined(options) };
    for (const key of [...sizes, "blockSize"] as const)
      checkCount("EncoderDecoder", key, config[key]);
    checkSoftcap("EncoderDecoder", config.logitSoftcap);
    this.config = config;
    const { nEmbd, nHead, dropout, bias, activation, norm, qkNorm, positions, blockSize } = config;
    const rotary = positions === "rotary" ? rotaryTable(blockSize, nEmbd / nHead) : null;
    const attention = { nEmbd, nHead, dropout, bias, rotary, qkNorm, init };
    const block: BlockOptions = { ...attention, activation, norm };
    const { sourceVocabSize, targetVocabSize, nEncoderLayer, nDecoderLayer } = config;
    this.encoder = new TransformerStack(config, sourceVocabSize, () =>
      Array.from({ length: nEncoderLayer }, () => new EncoderBlock(block)),
    );
    this.decoder = new TransformerStack(config, targetVocabSize, () =>
      Array.from({ length: nDecoderLayer }, () => new DecoderBlock(block)),
    );
    this.lm_head = new Linear(nEmbd, targetVocabSize, { bias: false, init });
    const { zeroInitProjections: isZero } = config;
    initWeights(this.encoder, 2 * nEncoderLayer, isZero); // a block has self-attention and an MLP
    initWeights(this.decoder, 3 * nDecoderLayer, isZero); // a decoder block also cross-attention
    initWeights(this.lm_head, 1);
  }

  /** Encodes the source text.  source [B, S] of i32 -> memory [B, S, C]. */
  encode(source: Tensor): Tensor {
    return this.encoder.run("encode", source, (block, x) => block.forward(x));
  }

  /** target [B, T] of i32, memory [B, S, C] -> the logits of each next token [B, T, V]. */
  decode(target: Tensor, memory: Tensor): Tensor {
    const x = this.decoder.run("decode", target, (block, x) => block.forward(x, memory));
    const logits = this.lm_head.forward(x); // (B, T, V)
    const { logitSoftcap } = this.config;
    return logitSoftcap > 0 ? softcap(logits, logitSoftcap) : logits;
  }

  /**
   * source [B, S]; target, targets [B, T] of i32, where targets is the same text shifted by one:
   * targets[t] follows target[t], and -100 is ignored. Returns logits [B, T, V] and, with targets,
   * the loss [].
   */
  forward<T extends Tensor | null | undefined = undefined>(
    source: Tensor,
    target: Tensor,
    targets?: T,
  ): ForwardResult<T, true> {
    const logits = this.decode(target, this.encode(source));
    const loss = targets ? crossEntropy(logits, targets) : null;
    return { logits, loss } as ForwardResult<T, true>;
  }

  /**
   * Decodes greedily: for each text of source [B, S], starts with `start` and repeatedly appends
   * the most likely next token, until `stop` or maxNewTokens. Returns neither `start` nor `stop`.
   */
  translate(
    source: Tensor,
    options: { start: number; stop?: number; maxNewTokens: number },
  ): number[][] {
    checkOptions("translate", options, ["start", "stop", "maxNewTokens"]);
    const { start, stop, maxNewTokens } = options;
    const rows: number[][] = Array.from({ length: source.shape[0] }, () => [start]);
    const hasStopped = (row: number[]) => stop !== undefined && row.includes(stop, 1);
    const predict = (memory: Tensor) =>
      scope(() => {
        const target = tensor(rows, { dtype: "i32", device: source.device });
        const last = slice(this.decode(target, memory), { dim: 1, start: -1 }); // (B, 1, V)
        return argmax(last, { dim: 2 }).data();
      });
    const decodeAll = () => {
      const memory = this.encode(source);
      for (let i = 0; i < maxNewTokens && !rows.every(hasStopped); i++) {
        const ids = predict(memory);
        for (const [b, row] of rows.entries()) row.push(ids[b]);
      }
    };
    inEvalMode(this, () => noGrad(() => scope(decodeAll)));
    return rows.map((row) => {
      const end = hasStopped(row) ? row.indexOf(stop as number, 1) : row.length;
      return row.slice(1, end);
    });
  }
}
