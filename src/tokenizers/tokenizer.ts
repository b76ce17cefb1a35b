// The interface of all tokenizers: text to token ids and back. A tokenizer is trained on a text and
// saved as JSON next to the model.

/** Converts text to token ids and back. */
export interface Tokenizer {
  /** The number of tokens. Their ids are 0 to vocabSize - 1. */
  readonly vocabSize: number;
  /** Returns the token ids of a text. Throws a RangeError if they are too many for an array. */
  encode(text: string): number[];
  /** Returns the token ids of a text of any length. */
  encodeToInt32(text: string): Int32Array;
  /** Returns the text of token ids. Throws a RangeError for an id outside the vocabulary. */
  decode(ids: Iterable<number>): string;
  /** Returns an incremental decoder, for tokens that may end in the middle of a character. */
  decoder(): Decoder;
  /** Returns the value that JSON.stringify() writes and tokenizerFromJSON() reads. */
  toJSON(): object;
}

/** Decodes ids one at a time. The concatenated results equal decode() of all ids. */
export interface Decoder {
  /** Returns the text that an id completes. */
  write(id: number): string;
  /** Returns the text of the incomplete character that remains after the last id. */
  end(): string;
}

/** An invalid tokenizer file or JSON value; the message says what is wrong and where. */
export class TokenizerError extends Error {
  /** The name of the class. */
  override name = "TokenizerError";
}

/**
 * Yields the text of each id as it arrives, for example from generate(). The text of the prompt is
 * not yielded: its ids only set the state of the decoder.
 * @example
 * const tokenizer = CharTokenizer.train("hello");
 * for await (const text of decodeStream(tokenizer, [1, 0, 2])) console.log(text);
 */
export async function* decodeStream(
  tokenizer: Tokenizer,
  ids: AsyncIterable<number> | Iterable<number>,
  prompt: Iterable<number> = [],
): AsyncGenerator<string> {
  const decoder = tokenizer.decoder();
  for (const id of prompt) decoder.write(id);
  for await (const id of ids) yield decoder.write(id);
  yield decoder.end();
}

/** Returns the prompt to use by default: a line break, or token 0 if the vocabulary has none. */
export function defaultPrompt(tokenizer: Tokenizer): number[] {
  try {
    const ids = tokenizer.encode("\n");
    return tokenizer.decode(ids) === "\n" ? ids : [0];
  } catch {
    return [0];
  }
}

/** Returns the error that decode() throws for an id outside the vocabulary. */
export function unknownIdError(id: number, vocabSize: number): RangeError {
  return new RangeError(`decode: id ${id} is unknown, expected 0 to ${vocabSize - 1}`);
}
