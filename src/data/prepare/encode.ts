// Encodes a piece of the input: in a worker thread, or where there is little to do, in this one.

import { isUtf8 } from "node:buffer";
import { quote } from "../../errors.ts";
import { describeInvalidUtf8 } from "../../files/text.ts";
import { BPETokenizer } from "../../tokenizers/bpe/bpe.ts";
import { tokenizerFromJSON } from "../../tokenizers/registry.ts";
import { TokenList } from "../../tokenizers/token-list.ts";
import type { Tokenizer } from "../../tokenizers/tokenizer.ts";
import type { TokenDType } from "../shards/format.ts";
import { InputError } from "./content.ts";
import type { Piece } from "./pieces.ts";

/** The options of a worker. */
export interface EncoderOptions {
  /** The JSON of the tokenizer. */
  readonly tokenizer: object;
  readonly dtype: TokenDType;
  /** The field of JSON lines that has the text. */
  readonly field: string;
  /** The end of a document in JSON lines: a newline, if the tokenizer has no separator. */
  readonly lineEnd: string;
}

/** The parts of a piece that a worker needs. */
export interface EncoderInput {
  readonly format: "text" | "jsonl";
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ranges: number[];
  readonly context: number;
  /** Of the first byte in the content of the file. */
  readonly offset: number;
}

export interface EncodedPiece {
  readonly tokens: Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
  /** The number of tokens of each range. */
  readonly counts: number[];
  /** The bytes of the text of each range. */
  readonly bytes: number[];
}

/** Returns what a worker needs of a piece. */
export function toEncoderInput({ section, position, bytes, ranges }: Piece): EncoderInput {
  const { context } = position;
  const offset = position.offset - context;
  return { format: section.format, bytes, ranges, context, offset };
}

/** The input is not valid: in the range with this index, or at this byte of the piece. */
export class PieceError extends Error {
  readonly range: number | null;

  constructor(message: string, range: number | null) {
    super(message);
    this.range = range;
  }
}

/** Throws the error of a piece, with its file and the line or byte. Throws others unchanged. */
export function throwPieceError({ section, position, ranges }: Piece, error: unknown): never {
  if (!(error instanceof PieceError)) throw error;
  const { message, range } = error;
  const { file, format } = section;
  if (range === null) throw new InputError(`${file}: ${message}`);
  if (format === "jsonl") throw new InputError(`${file}:${position.line + range + 1}: ${message}`);
  const offset = position.offset - position.context + ranges[2 * range];
  const place = `in the text from byte ${offset.toLocaleString("en-US")} on`;
  throw new InputError(`${file}: ${place}: ${message}`);
}

/** Returns a function that encodes pieces. It throws a PieceError. */
export function makeEncoder(options: EncoderOptions): (input: EncoderInput) => EncodedPiece {
  const tokenizer = tokenizerFromJSON(options.tokenizer);
  return (input) => {
    const texts = getTexts(input, options);
    const ids = new TokenList();
    const counts = texts.map((text, i) => {
      const before = ids.length;
      try {
        append(tokenizer, text, i === 0 && input.context > 0, ids);
      } catch (cause) {
        throw new PieceError((cause as Error).message, i);
      }
      return ids.length - before;
    });
    const List = options.dtype === "uint16" ? Uint16Array : Uint32Array;
    const tokens = new List(ids.toInt32Array());
    const bytes = texts.map((text, i) => text.length - (i === 0 ? input.context : 0));
    return { tokens, counts, bytes };
  };
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Appends the tokens of a text, without the first one if the text begins with a context. */
function append(tokenizer: Tokenizer, text: Uint8Array, hasContext: boolean, ids: TokenList): void {
  if (tokenizer instanceof BPETokenizer) {
    tokenizer.appendUtf8(text, ids); // its texts need no context
    return;
  }
  const tokens = text.length > 0 ? tokenizer.encodeToInt32(utf8.decode(text)) : [];
  for (let i = hasContext ? 1 : 0; i < tokens.length; i++) ids.push(tokens[i]);
}

/** Returns the text of each range in UTF-8, the first one with the context before it. */
export function getTexts(
  { format, bytes, ranges, context, offset }: EncoderInput,
  { field, lineEnd }: Pick<EncoderOptions, "field" | "lineEnd">,
): Uint8Array[] {
  if (!isUtf8(bytes)) throw new PieceError(describeInvalidUtf8(bytes, offset), null);
  const texts: Uint8Array[] = [];
  for (let i = 0; i < ranges.length; i += 2) {
    const text = bytes.subarray(i === 0 ? ranges[0] - context : ranges[i], ranges[i + 1]);
    texts.push(format === "text" ? text : parseLine(text, field, lineEnd, i / 2));
  }
  return texts;
}

/** Returns the text in a line of JSON; nothing for a blank line. */
function parseLine(bytes: Uint8Array, field: string, lineEnd: string, range: number): Uint8Array {
  const line = utf8.decode(bytes);
  if (line.trim() === "") return new Uint8Array(0);
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new PieceError(`not valid JSON: ${quote(line.slice(0, 80))}`, range);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new PieceError(`not a JSON object: ${quote(line.slice(0, 80))}`, range);
  const fields = value as Record<string, unknown>;
  if (!Object.hasOwn(fields, field)) {
    const found = Object.keys(fields).slice(0, 10).map(quote).join(", ") || "none";
    throw new PieceError(
      `no field ${quote(field)}; choose one of its fields with --field: ${found}`,
      range,
    );
  }
  const text = fields[field];
  if (typeof text !== "string")
    throw new PieceError(
      `field ${quote(field)} is ${quote(text).slice(0, 80)}, expected a string`,
      range,
    );
  return text === "" ? new Uint8Array(0) : Buffer.from(text + lineEnd);
}
