// The transformer as it began: an encoder that reads one text whole, and a decoder that writes
// another, looking at both. Vaswani et al. (2017), with normalization before each branch.

import { noGrad } from "../autograd.ts";
import { checkOptions, defined, fail } from "../errors.ts";
import {
  type BlockOptions,
  DecoderBlock,
  Embedding,
  EncoderBlock,
  evaluating,
  type LayerNorm,
  Linear,
  Module,
  makeNorm,
  type RMSNorm,
  rotaryTable,
} from "../nn/index.ts";
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
import type { GPTConfig } from "./config.ts";
import { initWeights } from "./init.ts";
import { positionRows, positionTable } from "./positions.ts";

type Shared = "blockSize" | "nHead" | "nEmbd" | "dropout" | "bias" | "activation" | "norm";

export interface EncoderDecoderConfig extends Pick<GPTConfig, Shared | "positions"> {
  sourceVocabSize: number;
  targetVocabSize: number;
  nEncoderLayer: number;
  nDecoderLayer: number;
}

const defaults = {
  dropout: 0,
  bias: true,
  activation: "gelu",
  norm: "layer",
  positions: "sinusoidal",
} as const;

/** What must be given, and what may be: by default no dropout, and sinusoidal positions. */
export type EncoderDecoderOptions = Omit<EncoderDecoderConfig, keyof typeof defaults> &
  Partial<EncoderDecoderConfig>;

const init = zeros; // matrices start at 0: all are drawn when the whole is built
const sizes = ["sourceVocabSize", "targetVocabSize", "nEncoderLayer", "nDecoderLayer"] as const;
const known = [...sizes, "blockSize", "nHead", "nEmbd", ...Object.keys(defaults)];

/** One side: the embeddings of its tokens and places, its blocks, the last normalization. */
class Side<Block extends Module> extends Module {
  readonly wte: Embedding;
  readonly wpe: Embedding | null;
  readonly h: Block[];
  readonly ln_f: LayerNorm | RMSNorm;
  readonly config: EncoderDecoderConfig;

  constructor(config: EncoderDecoderConfig, vocabSize: number, blocks: () => Block[]) {
    super();
    this.config = config;
    this.wte = new Embedding(vocabSize, config.nEmbd, { init });
    this.wpe = positionTable(config);
    this.h = blocks();
    this.ln_f = makeNorm(config.nEmbd, config);
  }

  /** idx [B, T] of i32; `step` runs a block. Gives [B, T, C]. */
  run(name: string, idx: Tensor, step: (block: Block, x: Tensor) => Tensor): Tensor {
    checkTensor(name, "idx", idx);
    checkRank(name, "idx", idx.shape, "BT");
    const [, T] = idx.shape;
    const { blockSize, dropout: p } = this.config;
    if (T > blockSize) fail(`${name}: idx has ${T} tokens, expected at most ${blockSize}`);
    const token = this.wte.forward(idx);
    const x = this.wpe ? add(token, positionRows(this.wpe, 0, T)) : token; // (B, T, C)
    const first = dropout(x, { p, training: this.training });
    return this.ln_f.forward(this.h.reduce((y, block) => step(block, y), first));
  }
}

/** From one text to another: token ids of both in, logits of the other's next tokens out. */
export class EncoderDecoder extends Module {
  readonly config: EncoderDecoderConfig;
  readonly encoder: Side<EncoderBlock>;
  readonly decoder: Side<DecoderBlock>;
  readonly lm_head: Linear;

  constructor(options: EncoderDecoderOptions) {
    super();
    checkOptions("EncoderDecoder", options, known);
    const config: EncoderDecoderConfig = { ...defaults, ...defined(options) };
    for (const key of [...sizes, "blockSize"] as const)
      if (!(Number.isInteger(config[key]) && config[key] > 0))
        fail(`EncoderDecoder: ${key} is ${config[key]}, expected a whole number from 1 up`);
    this.config = config;
    const { nEmbd, nHead, dropout, bias, activation, norm, positions, blockSize } = config;
    const rotary = positions === "rotary" ? rotaryTable(blockSize, nEmbd / nHead) : null;
    const block: BlockOptions = { nEmbd, nHead, dropout, bias, activation, norm, rotary, init };
    const { sourceVocabSize, targetVocabSize, nEncoderLayer, nDecoderLayer } = config;
    const list = <B>(length: number, make: () => B) => Array.from({ length }, make);
    this.encoder = new Side(config, sourceVocabSize, () =>
      list(nEncoderLayer, () => new EncoderBlock(block)),
    );
    this.decoder = new Side(config, targetVocabSize, () =>
      list(nDecoderLayer, () => new DecoderBlock(block)),
    );
    this.lm_head = new Linear(nEmbd, targetVocabSize, { bias: false, init });
    initWeights(this.encoder, 2 * nEncoderLayer);
    initWeights(this.decoder, 3 * nDecoderLayer);
    initWeights(this.lm_head, 1);
  }

  /** What the encoder makes of a text.  source [B, S] of i32; gives [B, S, C]. */
  encode(source: Tensor): Tensor {
    return this.encoder.run("encode", source, (block, x) => block.forward(x));
  }

  /** The logits of each next token of a text, given its beginning and the encoder's [B, S, C]. */
  decode(target: Tensor, memory: Tensor): Tensor {
    const x = this.decoder.run("decode", target, (block, x) => block.forward(x, memory));
    return this.lm_head.forward(x); // (B, T, V)
  }

  /**
   * source [B, S]; target, targets [B, T], the same text but for one token: targets[t] comes after
   * target[t], and -100 counts for nothing. Gives the logits [B, T, V] and, with targets, the loss.
   */
  forward(source: Tensor, target: Tensor, targets?: Tensor | null) {
    const logits = this.decode(target, this.encode(source));
    return { logits, loss: targets ? crossEntropy(logits, targets) : null };
  }

  /**
   * The likeliest token after `start`, the likeliest after that, and so on to `stop` (which is left
   * out) or to maxNewTokens, for each text of source [B, S].
   */
  translate(
    source: Tensor,
    options: { start: number; stop?: number; maxNewTokens: number },
  ): number[][] {
    checkOptions("translate", options, ["start", "stop", "maxNewTokens"]);
    const { start, stop, maxNewTokens } = options;
    const rows: number[][] = Array.from({ length: source.shape[0] }, () => [start]);
    const isOver = (row: number[]) => stop !== undefined && row.includes(stop, 1);
    const next = (memory: Tensor) =>
      scope(() => {
        const target = tensor(rows, { dtype: "i32", device: source.device });
        const last = slice(this.decode(target, memory), { dim: 1, start: -1 }); // (B, 1, V)
        return argmax(last, { dim: 2 }).data();
      });
    evaluating(this, () =>
      noGrad(() =>
        scope(() => {
          const memory = this.encode(source);
          for (let i = 0; i < maxNewTokens && !rows.every(isOver); i++) {
            const ids = next(memory);
            for (const [b, row] of rows.entries()) row.push(ids[b]);
          }
        }),
      ),
    );
    const end = (row: number[]) => (isOver(row) ? row.indexOf(stop as number, 1) : row.length);
    return rows.map((row) => row.slice(1, end(row)));
  }
}
