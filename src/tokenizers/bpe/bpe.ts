// Byte-level byte-pair encoding, GPT-2's kind: a token is a piece of a word, made of bytes, so that
// every text has tokens. How merges are learned stands in learn.ts, how they are made in merges.ts.

import { checkOptions } from "../../errors.ts";
import { type Decoder, type Tokenizer, TokenizerError, unknownIdError } from "../tokenizer.ts";
import { Merges } from "./encode.ts";
import { fromHuggingFace, toHuggingFace, type Vocabulary } from "./huggingface.ts";
import { byteOrder, splitWords, toBytes, toText, unspell } from "./pretokenize.ts";
import { learnMerges } from "./train.ts";

export interface BPETraining {
  /** How many tokens there are to be, with the 256 bytes and the special tokens. */
  vocabSize: number;
  /** Tokens that stand for no text, such as "<|endoftext|>". They get the last ids. */
  specialTokens?: readonly string[];
}

/** Words whose tokens are remembered, and how long such a word may be. */
const [MOST_WORDS, LONGEST_WORD] = [1 << 16, 64];

/**
 * Every text comes back from its tokens; only a lone surrogate comes back as U+FFFD.
 * @example
 * const tokenizer = BPETokenizer.train("low lower lowest", { vocabSize: 260 });
 * console.log(tokenizer.decode(tokenizer.encode("lower"))); // lower
 */
export class BPETokenizer implements Tokenizer {
  readonly vocabulary: Vocabulary;
  readonly #byteIds: Map<string, number>;
  readonly #merges = new Merges();
  readonly #words = new Map<string, readonly number[]>();

  /**
   * Throws a TokenizerError if a byte, or what a merge makes, is no token, or if files could not
   * tell a special token from an ordinary one.
   */
  constructor(vocabulary: Vocabulary) {
    const { tokens, merges, special } = vocabulary;
    this.vocabulary = vocabulary;
    const isSpecial = new Set(special.values());
    const ids = new Map<string, number>();
    for (const [id, token] of tokens.entries()) if (!isSpecial.has(id)) ids.set(token, id);
    const idOf = (token: string) => {
      const id = ids.get(token);
      if (id !== undefined) return id;
      throw new TokenizerError(`BPETokenizer: there is no token for ${JSON.stringify(token)}`);
    };
    for (const name of special.keys())
      if (ids.has(unspell(name) ?? "")) {
        const which = `special token ${JSON.stringify(name)}`;
        throw new TokenizerError(`BPETokenizer: ${which} is written as an ordinary one is`);
      }
    this.#byteIds = new Map(byteOrder.map((byte) => [byte, idOf(byte)]));
    for (const [i, [left, right]] of merges.entries())
      if (!this.#merges.add(left, right, idOf(tokens[left] + tokens[right])))
        throw new TokenizerError(`BPETokenizer: merge ${i + 1} is there twice`);
  }

  /**
   * Learns merges from a text. Fewer tokens than vocabSize come out if no pair of neighbours occurs
   * twice any more. Equal texts give equal tokenizers: of pairs that are equally common, the one of
   * the lower ids merges first, the left id compared before the right.
   */
  static train(text: string, options: BPETraining): BPETokenizer {
    checkOptions("BPETokenizer.train", options, ["vocabSize", "specialTokens"]);
    const { vocabSize, specialTokens = [] } = options;
    const least = byteOrder.length + specialTokens.length;
    if (!(Number.isInteger(vocabSize) && vocabSize >= least)) {
      const expected = `expected a whole number from ${least} up`;
      throw new TypeError(`BPETokenizer.train: vocabSize is ${vocabSize}, ${expected}`);
    }
    if (specialTokens.includes("") || new Set(specialTokens).size < specialTokens.length)
      throw new TypeError("BPETokenizer.train: specialTokens are not different names");
    const words = new Map<string, number>();
    for (const { part, isName } of splitAt(text, specialTokens))
      if (!isName) for (const word of splitWords(part)) words.set(word, (words.get(word) ?? 0) + 1);
    const { tokens, merges } = learnMerges(words, vocabSize - least);
    return new BPETokenizer({
      tokens: [...tokens, ...specialTokens.map(toBytes)],
      merges,
      special: new Map(specialTokens.map((content, i) => [content, tokens.length + i])),
    });
  }

  /** From toJSON(), or from a tokenizer.json of Hugging Face's with byte-level BPE in it. */
  static fromJSON(json: unknown): BPETokenizer {
    return new BPETokenizer(fromHuggingFace(json));
  }

  /** The tokenizer.json that Hugging Face's tokenizers reads. */
  toJSON(): object {
    return toHuggingFace(this.vocabulary);
  }

  get vocabSize(): number {
    return this.vocabulary.tokens.length;
  }

  /**
   * The ids of a text. What looks like a special token is text like any other, so that nobody's
   * text can end a document; only those in `allowedSpecial` become the tokens that they name.
   */
  encode(text: string, options: { allowedSpecial?: "all" | readonly string[] } = {}): number[] {
    checkOptions("encode", options, ["allowedSpecial"]);
    const { special } = this.vocabulary;
    const { allowedSpecial = [] } = options;
    const allowed = allowedSpecial === "all" ? [...special.keys()] : allowedSpecial;
    const stranger = allowed.find((name) => !special.has(name));
    if (stranger !== undefined)
      throw new RangeError(
        `encode: allowedSpecial has ${JSON.stringify(stranger)}, an unknown one`,
      );
    const ids: number[] = [];
    for (const { part, isName } of splitAt(text, allowed)) {
      if (isName) ids.push(special.get(part) as number);
      else
        for (const word of splitWords(part)) for (const id of this.#encodeWord(word)) ids.push(id);
    }
    return ids;
  }

  #encodeWord(word: string): readonly number[] {
    const known = this.#words.get(word);
    if (known) return known;
    const bytes = Array.from(toBytes(word), (byte) => this.#byteIds.get(byte) as number);
    const ids = this.#merges.apply(bytes);
    if (this.#words.size >= MOST_WORDS) this.#words.clear();
    if (word.length <= LONGEST_WORD) this.#words.set(word, ids);
    return ids;
  }

  /** Bytes that are no UTF-8 give U+FFFD. */
  decode(ids: Iterable<number>): string {
    return toText(Array.from(ids, (id) => this.#bytesOf(id)).join(""));
  }

  /** A character of several tokens comes with its last one. */
  decoder(): Decoder {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      write: (id) => utf8.decode(Buffer.from(this.#bytesOf(id), "latin1"), { stream: true }),
      end: () => utf8.decode(),
    };
  }

  #bytesOf(id: number): string {
    const token = this.vocabulary.tokens[id];
    if (token === undefined) throw unknownIdError(id, this.vocabSize);
    return token;
  }
}

/** Cuts a text where it has one of some names, the longest that fits. */
function splitAt(text: string, names: readonly string[]): { part: string; isName: boolean }[] {
  if (names.length === 0) return [{ part: text, isName: false }];
  const quoted = [...names]
    .sort((a, b) => b.length - a.length)
    .map((name) => name.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  const parts = text.split(new RegExp(`(${quoted.join("|")})`)); // text, name, text, name, text
  return parts.map((part, i) => ({ part, isName: i % 2 === 1 }));
}
