// Byte-level byte-pair encoding, as in GPT-2. A token is a sequence of bytes inside a word, so
// every text can be encoded. train.ts learns the merges, encode.ts applies them.

import { checkOptions, quote } from "../../errors.ts";
import { countWords, TokenList } from "../token-list.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "../tokenizer.ts";
import { MergeTable } from "./encode.ts";
import { fromHuggingFace, toHuggingFace, type Vocabulary } from "./huggingface.ts";
import {
  byteAlphabet,
  decodeUtf8,
  encodeUtf8,
  preTokenize,
  toBytes,
  unicodeToBytes,
} from "./pretokenize.ts";
import { learnMerges } from "./train.ts";

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

/** The maximum number of words whose ids are cached. */
const MAX_CACHED_WORDS = 1 << 16;

/** The maximum length of a word. Merging the tokens of one takes memory and seconds. */
const MAX_WORD_BYTES = 2 ** 24;

/** The maximum length of a cached word. */
const MAX_CACHED_LENGTH = 64;

/**
 * Encodes and decodes every text without loss, except that a lone surrogate becomes U+FFFD.
 * @example
 * const tokenizer = BPETokenizer.train("low lower lowest", { vocabSize: 260 });
 * console.log(tokenizer.decode(tokenizer.encode("lower"))); // lower
 */
export class BPETokenizer implements Tokenizer {
  readonly vocabulary: Vocabulary;
  readonly #byteIds: Map<string, number>;
  readonly #mergeTable = new MergeTable();
  readonly #cache = new Map<string, readonly number[]>();

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
    this.#byteIds = new Map(byteAlphabet.map((byte) => [byte, getId(byte)]));
    for (const [i, [left, right]] of merges.entries()) {
      const isNew = this.#mergeTable.add(left, right, getId(tokens[left] + tokens[right]));
      if (!isNew) throw new TokenizerError(`BPETokenizer: merge ${i + 1} is a duplicate`);
    }
  }

  /**
   * Learns merges from a text. The vocabulary is smaller than vocabSize if no pair of adjacent
   * tokens is left that occurs twice. Training is deterministic: among equally frequent pairs, the
   * one with the lower left id merges first, then the one with the lower right id.
   */
  static train(text: string, options: BPETrainingOptions): BPETokenizer {
    checkOptions("BPETokenizer.train", options, ["vocabSize", "specialTokens"]);
    const { vocabSize, specialTokens = [] } = options;
    const minSize = byteAlphabet.length + specialTokens.length;
    if (!(Number.isInteger(vocabSize) && vocabSize >= minSize)) {
      const expected = `expected a whole number from ${minSize} up`;
      throw new TypeError(`BPETokenizer.train: vocabSize is ${vocabSize}, ${expected}`);
    }
    if (specialTokens.includes("") || new Set(specialTokens).size < specialTokens.length)
      throw new TypeError("BPETokenizer.train: specialTokens must be distinct and not empty");
    const wordCounts = countWords("BPETokenizer.train", wordsOf(text, specialTokens));
    const { tokens, merges } = learnMerges(wordCounts, vocabSize - minSize);
    return new BPETokenizer({
      tokens: [...tokens, ...specialTokens.map(encodeUtf8)],
      merges,
      special: new Map(specialTokens.map((content, i) => [content, tokens.length + i])),
    });
  }

  /** Reads the result of toJSON(), or a Hugging Face tokenizer.json with byte-level BPE. */
  static fromJSON(json: unknown): BPETokenizer {
    return new BPETokenizer(fromHuggingFace(json));
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
    const allowed = allowedSpecial === "all" ? [...special.keys()] : allowedSpecial;
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
      for (const word of preTokenize(part)) {
        for (const id of this.#encodeWord(word)) ids.push(id);
      }
    }
    return ids;
  }

  #encodeWord(word: string): readonly number[] {
    const cached = this.#cache.get(word);
    if (cached) return cached;
    const text = encodeUtf8(word);
    if (text.length > MAX_WORD_BYTES) {
      const sizes = `${text.length} bytes, expected at most ${MAX_WORD_BYTES}`;
      throw new RangeError(`encode: the text has a word, or a run of spaces or marks, of ${sizes}`);
    }
    const bytes = Array.from(text, (byte) => this.#byteIds.get(byte) as number);
    const ids = this.#mergeTable.apply(bytes);
    if (this.#cache.size >= MAX_CACHED_WORDS) this.#cache.clear();
    if (word.length <= MAX_CACHED_LENGTH) this.#cache.set(word, ids);
    return ids;
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

/** Yields the words of a text outside of special tokens. */
function* wordsOf(text: string, specialTokens: readonly string[]): Generator<string> {
  for (const { part, isSpecial } of splitAtSpecialTokens(text, specialTokens)) {
    if (!isSpecial) yield* preTokenize(part);
  }
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
