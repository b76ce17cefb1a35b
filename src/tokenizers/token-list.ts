// A list of token ids that grows. An ordinary array ends the process when it grows beyond about
// 2^27 elements, and a training text may have more tokens.

/** The first chunk is small, for prompts; the others have up to this many ids. */
const MAX_CHUNK = 2 ** 20;

/** The maximum number of ids in the result of encode(), an ordinary array. */
const MAX_ARRAY_LENGTH = 100_000_000;

export class TokenList {
  readonly #full: Int32Array[] = [];
  #chunk = new Int32Array(256);
  #used = 0; // the number of ids in the current chunk
  #before = 0; // and in the full ones

  push(id: number): void {
    if (this.#used === this.#chunk.length) {
      this.#full.push(this.#chunk);
      this.#before += this.#chunk.length;
      this.#chunk = new Int32Array(Math.min(2 * this.#chunk.length, MAX_CHUNK));
      this.#used = 0;
    }
    this.#chunk[this.#used++] = id;
  }

  get length(): number {
    return this.#before + this.#used;
  }

  toInt32Array(): Int32Array {
    const ids = new Int32Array(this.length);
    let position = 0;
    for (const chunk of this.#full) {
      ids.set(chunk, position);
      position += chunk.length;
    }
    ids.set(this.#chunk.subarray(0, this.#used), position);
    return ids;
  }

  /** Throws a RangeError if the list is too long for an ordinary array. */
  toArray(): number[] {
    const { length } = this;
    if (length > MAX_ARRAY_LENGTH) {
      const limit = `an array holds at most ${MAX_ARRAY_LENGTH.toLocaleString("en-US")}`;
      throw new RangeError(
        `encode: the text has ${length.toLocaleString("en-US")} tokens, but ${limit}; ` +
          "use encodeToInt32()",
      );
    }
    return Array.from(this.toInt32Array());
  }
}

/** The maximum number of distinct words that a tokenizer learns from. */
const MAX_DISTINCT_WORDS = 2 ** 23;

/**
 * Counts the occurrences of each word, in the order of their first occurrence. Throws a RangeError
 * that begins with `op` if there are too many for the memory.
 */
export function countWords(op: string, words: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const word of words) {
    const count = counts.get(word);
    if (count === undefined && counts.size === MAX_DISTINCT_WORDS)
      throw new RangeError(
        `${op}: the text has more than ${MAX_DISTINCT_WORDS.toLocaleString("en-US")} distinct ` +
          "words; train on a part of it",
      );
    counts.set(word, (count ?? 0) + 1);
  }
  return counts;
}

/**
 * Yields the matches of a global regular expression. V8 keeps a way back for each character of a
 * match, so one of many millions overflows its stack: this throws a RangeError that says so.
 */
export function* matches(text: string, pattern: RegExp): Generator<string> {
  let end = 0;
  try {
    for (const match of text.matchAll(pattern)) {
      end = (match.index as number) + match[0].length;
      yield match[0];
    }
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const position = end.toLocaleString("en-US");
    throw new RangeError(
      `encode: the text at character ${position} has millions of characters without a word ` +
        "boundary, which is too long for a word",
      { cause },
    );
  }
}
