// Trains a tokenizer on input of any size in a fixed amount of memory: words are counted piece by
// piece, and the rarest are dropped when there are too many.

import { trainBPE } from "../../tokenizers/bpe/bpe.ts";
import { WordCounts } from "../../tokenizers/bpe/word-counts.ts";
import { CharTokenizer } from "../../tokenizers/char.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import { trainOnCounts, wordsOf } from "../../tokenizers/word.ts";
import { getCutRule } from "./cuts.ts";
import { DocumentCounter } from "./documents.ts";
import { getTexts, throwPieceError, toEncoderInput } from "./encode.ts";
import { type Job, report } from "./job.ts";
import { readPieces, start } from "./pieces.ts";

/** The special token that is written between documents. */
const END_OF_TEXT = "<|endoftext|>";

/** The maximum number of distinct words that are counted, and their length in bytes. */
const MAX_WORDS = 2 ** 21;
const MAX_WORDS_BYTES = 2 ** 24;

/** The default size of the sample in bytes. */
const DEFAULT_SAMPLE = 256e6;

/** A tokenizer to train. Its vocabulary size includes the special tokens. */
export type TrainingRequest =
  | { readonly kind: "bpe" | "word"; readonly vocabSize: number }
  | { readonly kind: "char" };

/** Learns from texts that are added one at a time. */
interface Learner {
  /** Adds a text in valid UTF-8. */
  add(text: Uint8Array): void;
  finish(): Tokenizer;
}

/**
 * Trains a tokenizer on the documents of the training split: on all of them, or on pieces of about
 * job.tokenizerSample bytes in total, evenly spread. A character tokenizer reads both splits, since
 * it can only encode characters that it has seen.
 */
export async function trainOnInput(request: TrainingRequest, job: Job): Promise<Tokenizer> {
  const { kind } = request;
  const learner = createLearner(request);
  const hasSeparator = kind === "bpe";
  const options = { field: job.field, lineEnd: hasSeparator ? "" : "\n" };
  const pieces = readPieces(job.input.sections, start, {
    rule: getCutRule(kind),
    separator: job.separator,
    keepsSeparator: !hasSeparator,
  });
  const documents = new DocumentCounter(job.input, 0);
  const sample = job.tokenizerSample ?? (kind === "char" ? Infinity : DEFAULT_SAMPLE);
  const interval = Math.max(1, Math.round(job.input.bytes / sample));
  let index = 0;
  for await (const piece of pieces) {
    try {
      const input = { ...toEncoderInput(piece), context: 0 };
      const texts = getTexts(input, options);
      const sizes = texts.map((text) => text.length);
      for (const { range, split } of documents.parts(piece, sizes)) {
        const isUsed = index % interval === 0 && (split === "train" || kind === "char");
        if (isUsed) learner.add(texts[range]);
      }
    } catch (error) {
      throwPieceError(piece, error);
    }
    index++;
    report(job, "reading for the tokenizer", piece);
  }
  const end = { position: start, read: job.input.bytes };
  report(job, "training the tokenizer", end);
  return learner.finish();
}

/** Returns the learner of a kind of tokenizer. */
function createLearner(request: TrainingRequest): Learner {
  if (request.kind === "char") return createCharLearner();
  const create = request.kind === "bpe" ? createBPELearner : createWordLearner;
  return create(request.vocabSize);
}

function createBPELearner(vocabSize: number): Learner {
  const words = new WordCounts();
  return {
    add(text) {
      words.addUtf8(text);
      words.dropRarest(MAX_WORDS, MAX_WORDS_BYTES);
    },
    finish: () => trainBPE(words, { vocabSize, specialTokens: [END_OF_TEXT] }),
  };
}

function createWordLearner(vocabSize: number): Learner {
  let counts = new Map<string, number>();
  return {
    add(text) {
      for (const word of wordsOf(decode(text), "keep"))
        counts.set(word, (counts.get(word) ?? 0) + 1);
      for (let limit = 1; counts.size > MAX_WORDS / 4; limit *= 2)
        counts = new Map([...counts].filter(([, count]) => count > limit));
    },
    finish: () => trainOnCounts(counts, { vocabSize }),
  };
}

function createCharLearner(): Learner {
  const seen = new Uint8Array(0x110000);
  return {
    add(text) {
      for (const character of decode(text)) seen[character.codePointAt(0) as number] = 1;
    },
    finish() {
      const characters: string[] = [];
      for (const [code, isSeen] of seen.entries()) {
        if (isSeen) characters.push(String.fromCodePoint(code));
      }
      return new CharTokenizer(characters);
    },
  };
}

function decode(text: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(text);
}
