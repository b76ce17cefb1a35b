// What a tokenizer is: text to token ids and back. It is trained on a text, and travels with the
// model as JSON.

/** Converts text to token ids and back. */
export interface Tokenizer {
  readonly vocabSize: number;
  encode(text: string): number[];
  decode(ids: Iterable<number>): string;
  /** Decodes ids one by one, where a single id need not be whole characters. */
  decoder(): Decoder;
  toJSON(): object;
}

/** Remembers what the ids so far have left open. All it gives, joined, is what decode() gives. */
export interface Decoder {
  /** The text that an id adds. */
  write(id: number): string;
  /** What is left open when no more ids come. */
  end(): string;
}

/** A tokenizer's file or JSON is not what it should be; the message says where. */
export class TokenizerError extends Error {
  override name = "TokenizerError";
}

/**
 * Yields the text of ids as they come, such as those of generate(), which go on from a prompt.
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

/** A prompt for where nobody gives one: a line break, or the first token if that is unknown. */
export function plainPrompt(tokenizer: Tokenizer): number[] {
  try {
    const ids = tokenizer.encode("\n");
    return tokenizer.decode(ids) === "\n" ? ids : [0];
  } catch {
    return [0];
  }
}

/** The error of an id that stands for nothing. */
export function unknownId(id: number, vocabSize: number): RangeError {
  return new RangeError(`decode: id ${id} is unknown, expected 0 to ${vocabSize - 1}`);
}
