// Where a document can be cut into pieces that are encoded independently of each other: the tokens
// of the pieces are those of the whole document.

import { BPETokenizer } from "../../tokenizers/bpe/bpe.ts";
import { findCut } from "../../tokenizers/bpe/pretokenize.ts";
import { CharTokenizer } from "../../tokenizers/char.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import { WordTokenizer } from "../../tokenizers/word.ts";

export interface CutRule {
  /** Returns the last index of at most `end` at which the bytes can be cut, or 0. */
  find(bytes: Uint8Array, end: number): number;
  /**
   * Returns the number of bytes before a cut on which the tokens after it depend. They are one
   * token.
   */
  contextBytes(bytes: Uint8Array, cut: number): number;
}

/** Returns the rule of a tokenizer, or of the kind that is going to be trained. */
export function getCutRule(tokenizer: Tokenizer | "bpe" | "char" | "word"): CutRule {
  if (tokenizer instanceof BPETokenizer && tokenizer.vocabulary.steps) return afterLines;
  if (tokenizer === "bpe" || tokenizer instanceof BPETokenizer) return betweenWords;
  if (tokenizer === "char" || tokenizer instanceof CharTokenizer) return betweenCharacters;
  if (tokenizer === "word" || tokenizer instanceof WordTokenizer) return afterMarks;
  return afterSpaces;
}

const betweenWords: CutRule = { find: findCut, contextBytes: () => 0 };

const betweenCharacters: CutRule = {
  find(bytes, end) {
    let index = Math.min(end, bytes.length);
    if (index === bytes.length) index--; // the last character may be incomplete
    return findCharacter(bytes, index);
  },
  contextBytes: () => 0,
};

/**
 * The patterns of Llama 3, Qwen2 and others allow fewer cuts than GPT-2's: after the end of a line
 * that is not white space, before an ASCII letter. A word does not go on there, and lookaheads for
 * white space see none.
 */
const afterLines: CutRule = {
  find(bytes, end) {
    const isLetter = (byte: number) => (byte | 32) >= 97 && (byte | 32) <= 122;
    for (let cut = Math.min(end, bytes.length - 1); cut > 1; cut--) {
      const before = bytes[cut - 2]; // of ASCII, a visible character
      if (bytes[cut - 1] === 10 && isLetter(bytes[cut]) && before > 32 && before < 127) return cut;
    }
    return 0;
  },
  contextBytes: () => 0,
};

/** The numbers of an IdTokenizer. */
const afterSpaces: CutRule = {
  find: (bytes, end) =>
    1 + Math.max(bytes.lastIndexOf(10, end - 1), bytes.lastIndexOf(32, end - 1)),
  contextBytes: () => 0,
};

/**
 * A WordTokenizer encodes the space before a word depending on the token before it. A mark is one
 * token whatever surrounds it, except an apostrophe in a word, or a space.
 */
const afterMarks: CutRule = {
  find(bytes, end) {
    let cut = betweenCharacters.find(bytes, end);
    while (cut > 0) {
      const begin = findCharacter(bytes, cut - 1);
      const character = Buffer.from(bytes.subarray(begin, cut)).toString();
      if (!/[\p{L}\p{M}\p{N}_'’ ]/u.test(character)) return cut;
      cut = begin;
    }
    return 0;
  },
  contextBytes: (bytes, cut) => cut - findCharacter(bytes, cut - 1),
};

/** Returns the index of the first byte of the character that a byte belongs to. */
function findCharacter(bytes: Uint8Array, index: number): number {
  let begin = index;
  while (begin > 0 && (bytes[begin] & 0xc0) === 0x80) begin--;
  return begin;
}
