// Byte-level byte-pair encoding, as in GPT-2. A token is a sequence of bytes inside a word, so
// every text can be encoded. train.ts learns the merges, encode.ts applies them.

import { checkOptions, quote } from "../../errors.ts";
import { formatCount, inspectSymbol } from "../../printing.ts";
import { TokenList } from "../token-list.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "../tokenizer.ts";
import {
  byteAlphabet,
  decodeUtf8,
  decodeUtf8Bytes,
  encodeUtf8,
  toBytes,
  unicodeToBytes,
} from "./alphabet.ts";
import { MergeTable } from "./encode.ts";
import { fromHuggingFace, toHuggingFace, type Vocabulary } from "./huggingface.ts";
import { checkWordLength, findWordEnd, forEachWord } from "./pretokenize.ts";
import { compileSteps, type Splitter } from "./steps.ts";
import { learnMerges } from "./train.ts";
import { WordCounts } from "./word-counts.ts";
import { WordEncoder } from "./word-encoder.ts";

export interface BPETrainingOptions {
  /** The maximum vocabulary size, including the 256 bytes and the special tokens. */
  vocabSize: number;
  /** Tokens that represent no text, such as "<|endoftext|>". They have the last ids. */
  specialTokens?: readonly string[];
}

/** Options of encode(). */
interface EncodeOptions {
  /** The special tokens in the text that become single ids. */
  allowedSpecial?: "all" | readonly string[];
}

/**
 * Encodes and decodes every text without loss, except that a lone surrogate becomes U+FFFD.
 * @example
 * const tokenizer = BPETokenizer.train("low lower lowest", { vocabSize: 260 });
 * console.log(tokenizer.decode(tokenizer.encode("lower"))); // lower
 */
export class BPETokenizer implements Tokenizer {
  /** The bytes of each token, by id. */
  readonly vocabulary: Vocabulary;
  readonly #encoder: WordEncoder;
  readonly #splitter: Splitter;
  /** The ids that a model expects before a text, such as Llama 3's <|begin_of_text|>. */
  readonly prefix: readonly number[];

  /**
   * Throws a TokenizerError if the vocabulary lacks a byte or the result of a merge, if a merge is
   * duplicated, or if a special token is spelled like an ordinary one, since files could not
   * distinguish the two.
   */
  constructor(vocabulary: Vocabulary) {
    const { tokens, merges, special } = vocabulary;
    this.vocabulary = vocabulary;
    const specialIds = new Set(special.values());
    const ids = new Map<string, number>();
    for (const [id, token] of tokens.entries()) {
      if (!specialIds.has(id)) ids.set(token, id);
    }
    const getId = (token: string) => {
      const id = ids.get(token);
      if (id !== undefined) return id;
      throw new TokenizerError(`BPETokenizer: vocabulary has no token for ${quote(token)}`);
    };
    for (const name of special.keys()) {
      if (!ids.has(unicodeToBytes(name) ?? "")) continue;
      const token = `special token ${quote(name)}`;
      throw new TokenizerError(`BPETokenizer: ${token} is spelled like an ordinary token`);
    }
    const byteIds = new Int32Array(256);
    for (const byte of byteAlphabet) byteIds[byte.charCodeAt(0)] = getId(byte);
    const mergeTable = new MergeTable();
    for (const [i, [left, right]] of merges.entries()) {
      const isNew = mergeTable.add(left, right, getId(tokens[left] + tokens[right]));
      if (!isNew) throw new TokenizerError(`BPETokenizer: merge ${i + 1} is a duplicate`);
    }
    const { steps } = vocabulary;
    this.#encoder = new WordEncoder(byteIds, mergeTable, steps?.ignoresMerges ? ids : undefined);
    const prefix = steps?.prefix ?? null;
    const prefixId = prefix === null ? undefined : special.get(prefix);
    if (prefix !== null && prefixId === undefined)
      throw new TokenizerError(`BPETokenizer: post_processor adds ${quote(prefix)}, not a token`);
    this.prefix = prefixId === undefined ? [] : [prefixId];
    this.#splitter = steps ? compileSteps(steps) : forEachWord;
  }

  /**
   * Learns merges from a text. The vocabulary is smaller than vocabSize if no pair of adjacent
   * tokens is left that occurs twice. Training is deterministic: among equally frequent pairs, the
   * one with the lower left id merges first, then the one with the lower right id.
   */
  static train(text: string, options: BPETrainingOptions): BPETokenizer {
    checkTraining(options);
    const words = new WordCounts();
    for (const { part, isSpecial } of splitAtSpecialTokens(text, options.specialTokens ?? [])) {
      if (!isSpecial) words.addText(part);
    }
    return trainBPE(words, options);
  }

  /** Reads the result of toJSON(), or a Hugging Face tokenizer.json with byte-level BPE. */
  static fromJSON(json: unknown): BPETokenizer {
    return new BPETokenizer(fromHuggingFace(json));
  }

  /** Returns the text that console.log() prints: the number of tokens. */
  toString(): string {
    return `BPETokenizer(${formatCount(this.vocabSize, "token")})`;
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Returns the content of a tokenizer.json file for Hugging Face tokenizers. */
  toJSON(): object {
    return toHuggingFace(this.vocabulary);
  }

  get vocabSize(): number {
    return this.vocabulary.tokens.length;
  }

  /**
   * Returns the ids of a text. Special tokens in it are encoded as ordinary text by default, so
   * that untrusted text cannot contain control tokens. Those in `allowedSpecial` become single ids.
   */
  encode(text: string, options: EncodeOptions = {}): number[] {
    return this.#encode(text, options).toArray();
  }

  /** Returns the ids of a text of any length, with the options of encode(). */
  encodeToInt32(text: string, options: EncodeOptions = {}): Int32Array {
    return this.#encode(text, options).toInt32Array();
  }

  #encode(text: string, options: EncodeOptions): TokenList {
    checkOptions("encode", options, ["allowedSpecial"]);
    const { special } = this.vocabulary;
    const { allowedSpecial = [] } = options;
    const chosen = allowedSpecial === "all" ? [...special.keys()] : allowedSpecial;
    const allowed = [...new Set([...(this.vocabulary.visible ?? []), ...chosen])];
    const unknown = allowed.find((name) => !special.has(name));
    if (unknown !== undefined) {
      const name = JSON.stringify(unknown);
      throw new RangeError(`encode: allowedSpecial has ${name}, which is not a special token`);
    }
    const ids = new TokenList();
    for (const { part, isSpecial } of splitAtSpecialTokens(text, allowed)) {
      if (isSpecial) {
        ids.push(special.get(part) as number);
        continue;
      }
      this.#splitter("encode", part, (bytes, begin, end) => {
        this.#encoder.encode(bytes, begin, end, ids);
      });
    }
    return ids;
  }

  /** Returns the ids of a text in valid UTF-8, as encodeToInt32() does. */
  encodeUtf8(bytes: Uint8Array): Int32Array {
    const ids = new TokenList();
    this.appendUtf8(bytes, ids);
    return ids.toInt32Array();
  }

  /** Appends the ids of a text in valid UTF-8 to a list. @internal */
  appendUtf8(bytes: Uint8Array, ids: TokenList): void {
    const { steps, visible } = this.vocabulary;
    if (steps || visible) {
      for (const id of this.encodeToInt32(decodeUtf8Bytes(bytes))) ids.push(id);
      return;
    }
    for (let begin = 0; begin < bytes.length; ) {
      const end = findWordEnd(bytes, begin, bytes.length);
      checkWordLength("encode", end - begin);
      this.#encoder.encode(bytes, begin, end, ids);
      begin = end;
    }
  }

  /** Returns the text of token ids. Invalid UTF-8 sequences become U+FFFD. */
  decode(ids: Iterable<number>): string {
    return decodeUtf8(Array.from(ids, (id) => this.#getBytes(id)).join(""));
  }

  /** Returns an incremental decoder. It returns a character when its last token is decoded. */
  decoder(): Decoder {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      write: (id) => utf8.decode(toBytes(this.#getBytes(id)), { stream: true }),
      end: () => utf8.decode(),
    };
  }

  #getBytes(id: number): string {
    const token = this.vocabulary.tokens[id];
    if (token === undefined) throw unknownIdError(id, this.vocabSize);
    return token;
  }
}

/** Learns merges from the words of a text, like BPETokenizer.train(). */
export function trainBPE(words: WordCounts, options: BPETrainingOptions): BPETokenizer {
  const { vocabSize, specialTokens = [] } = checkTraining(options);
  const minSize = byteAlphabet.length + specialTokens.length;
  const { tokens, merges } = learnMerges(words, vocabSize - minSize);
  return new BPETokenizer({
    tokens: [...tokens, ...specialTokens.map(encodeUtf8)],
    merges,
    special: new Map(specialTokens.map((content, i) => [content, tokens.length + i])),
  });
}

/** Throws a TypeError if the options of training are not valid. */
function checkTraining(options: BPETrainingOptions): BPETrainingOptions {
  checkOptions("BPETokenizer.train", options, ["vocabSize", "specialTokens"]);
  const { vocabSize, specialTokens = [] } = options;
  const minSize = byteAlphabet.length + specialTokens.length;
  if (!(Number.isInteger(vocabSize) && vocabSize >= minSize)) {
    const expected = `expected a whole number from ${minSize} up`;
    throw new TypeError(`BPETokenizer.train: vocabSize is ${vocabSize}, ${expected}`);
  }
  if (specialTokens.includes("") || new Set(specialTokens).size < specialTokens.length)
    throw new TypeError("BPETokenizer.train: specialTokens must be distinct and not empty");
  return options;
}

/** Splits a text at special tokens. Where several match, the longest one wins. */
function splitAtSpecialTokens(
  text: string,
  names: readonly string[],
): { part: string; isSpecial: boolean }[] {
  if (names.length === 0) return [{ part: text, isSpecial: false }];
  const alternatives = [...names]
    .sort((a, b) => b.length - a.length)
    .map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  // the capturing group keeps the names in the result: text, name, text, name, text
  const parts = text.split(new RegExp(`(${alternatives.join("|")})`));
  return parts.map((part, i) => ({ part, isSpecial: i % 2 === 1 }));
}
