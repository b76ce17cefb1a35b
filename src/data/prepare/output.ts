// The shards of both splits, and the record of how far they are.

import { BPETokenizer } from "../../tokenizers/bpe/bpe.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import { type TokenDType, tokenDType } from "../shards/format.ts";
import type { ShardEntry, Split } from "../shards/manifest.ts";
import { DocumentCounter } from "./documents.ts";
import type { EncodedPiece } from "./encode.ts";
import { type Progress, readProgress, writeProgress } from "./folder.ts";
import type { Job } from "./job.ts";
import { type Piece, type Position, start } from "./pieces.ts";
import { emptyState, ShardWriter, type Tokens } from "./shard-writer.ts";

/** The names of the token between documents, in the order of preference. */
const separatorNames = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/** Returns the id of the token between documents, or null if the vocabulary has none. */
export function findSeparator(tokenizer: Tokenizer): number | null {
  if (!(tokenizer instanceof BPETokenizer)) return null;
  const { special } = tokenizer.vocabulary;
  const name = separatorNames.find((candidate) => special.has(candidate));
  return name === undefined ? null : (special.get(name) as number);
}

export class ShardOutput {
  readonly dtype: TokenDType;
  readonly separator: number | null;
  /** The beginning of the first piece that is not written yet. */
  position: Position;
  /** The number of tokens that this object has written. */
  tokens = 0;
  readonly #separatorTokens: Tokens;
  readonly #out: string;
  readonly #documents: DocumentCounter;
  readonly #writers: Record<Split, ShardWriter>;

  /** Continues what an earlier attempt has recorded. */
  constructor({ out, input, shardTokens }: Job, tokenizer: Tokenizer) {
    const progress = readProgress(out);
    this.dtype = tokenDType(tokenizer.vocabSize);
    this.separator = findSeparator(tokenizer);
    this.position = progress?.position ?? start;
    const List = this.dtype === "uint16" ? Uint16Array : Uint32Array;
    this.#separatorTokens = List.from(this.separator === null ? [] : [this.separator]);
    this.#out = out;
    this.#documents = new DocumentCounter(input, progress?.documents ?? 0);
    const countBytes = makeByteCount(tokenizer);
    const options = { folder: out, dtype: this.dtype, shardTokens, countBytes };
    const create = (split: Split) =>
      new ShardWriter({ ...options, split }, progress?.[split] ?? emptyState);
    this.#writers = { train: create("train"), val: create("val") };
  }

  /** Appends the tokens of the next piece, with a separator between documents. */
  write(piece: Piece, { tokens, counts, bytes }: EncodedPiece): void {
    const parts: Tokens[] = [];
    let begin = 0;
    for (const count of counts) {
      parts.push(tokens.subarray(begin, begin + count));
      begin += count;
    }
    for (const { range, split, beginsDocument } of this.#documents.parts(piece, bytes)) {
      const writer = this.#writers[split];
      if (beginsDocument && !writer.isEmpty) writer.append(this.#separatorTokens, 0, false);
      writer.append(parts[range], bytes[range], beginsDocument);
    }
    this.position = piece.next;
    this.tokens += tokens.length;
  }

  /** Records what has been written, when it is on disk. */
  checkpoint(): void {
    const train = this.#writers.train.sync();
    const val = this.#writers.val.sync();
    const documents = this.#documents.count;
    const progress: Progress = { position: this.position, documents, train, val };
    writeProgress(this.#out, progress);
  }

  /** Completes the last shards, and returns all of them. */
  finish(): ShardEntry[] {
    return [...this.#writers.train.finish(), ...this.#writers.val.finish()];
  }

  /** Closes the files. */
  close(): void {
    this.#writers.train.close();
    this.#writers.val.close();
  }
}

/** Returns a function that counts the bytes of the text of tokens. */
function makeByteCount(tokenizer: Tokenizer): (tokens: Tokens) => number {
  if (!(tokenizer instanceof BPETokenizer))
    return (tokens) => Buffer.byteLength(tokenizer.decode(tokens));
  const lengths = tokenizer.vocabulary.tokens.map((token) => token.length);
  for (const id of tokenizer.vocabulary.special.values()) lengths[id] = 0;
  return (tokens) => {
    let bytes = 0;
    for (const id of tokens) bytes += lengths[id];
    return bytes;
  };
}
