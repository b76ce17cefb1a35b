// Cuts the input into pieces of about a megabyte, which worker threads encode. The pieces depend on
// the input alone, and reading can begin at any of them.

import { InputError, readContent } from "./content.ts";
import type { CutRule } from "./cuts.ts";

/** The default size of a piece in bytes. */
const PIECE_BYTES = 2 ** 20;

/** The maximum size of a piece: of a line of JSON, or of a text without a place to cut it. */
const MAX_PIECE_BYTES = 2 ** 26;

/** A part of a file in which all documents are cut alike. */
export interface Section {
  readonly file: string;
  readonly format: "text" | "jsonl";
  /** Its beginning and its end in the content of the file, in bytes. */
  readonly begin: number;
  readonly end: number;
}

/** A place in the input at which a piece begins. */
export interface Position {
  /** The index of the section. */
  readonly section: number;
  /** In the content of the file, in bytes. */
  readonly offset: number;
  /** The number of lines before it in a file of JSON lines. */
  readonly line: number;
  /** The document of the piece before continues here. */
  readonly isInDocument: boolean;
  /** The bytes before the offset that the tokenizer needs. */
  readonly context: number;
}

export const start: Position = {
  section: 0,
  offset: 0,
  line: 0,
  isInDocument: false,
  context: 0,
};

/** A piece of the input. */
export interface Piece {
  readonly section: Section;
  /** Of its first byte, after the context. */
  readonly position: Position;
  readonly next: Position;
  /** The context and the text. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The beginning and the end of each document, or part of one, in the bytes. */
  readonly ranges: number[];
  /** The bytes of the file that have been read, for showing the progress. */
  readonly read: number;
}

/** The rules by which documents are separated and cut. */
export interface PieceOptions {
  readonly rule: CutRule;
  /** The text between documents. */
  readonly separator: Uint8Array | null;
  /** True if the text between documents is the end of the one before it. */
  readonly keepsSeparator: boolean;
  /** The size of a piece in bytes, unless a line or a word is longer. */
  readonly size?: number;
}

/** Yields the pieces of sections from a position on. Throws an InputError. */
export async function* readPieces(
  sections: readonly Section[],
  from: Position,
  options: PieceOptions,
): AsyncGenerator<Piece> {
  let position = from;
  while (position.section < sections.length) {
    for await (const piece of readSection(sections[position.section], position, options)) {
      yield piece;
      position = piece.next;
    }
    position = { ...start, section: position.section + 1 };
    if (position.section < sections.length)
      position = { ...position, offset: sections[position.section].begin };
  }
}

async function* readSection(
  section: Section,
  from: Position,
  options: PieceOptions,
): AsyncGenerator<Piece> {
  const input = new Window(section, from.offset - from.context);
  let position = from;
  const { size: pieceBytes = PIECE_BYTES } = options;
  let size = pieceBytes;
  try {
    for (;;) {
      await input.fill(size + (options.separator?.length ?? 0));
      if (position.offset === 0 && input.offset > 0)
        position = { ...position, offset: input.offset };
      const isLast = input.isEnd && input.bytes.length <= size;
      if (isLast && input.bytes.length === position.context) return;
      const cut = (section.format === "jsonl" ? cutLines : cutText)(
        input.bytes,
        { size, isLast, position },
        options,
      );
      if (!cut) {
        if (size >= MAX_PIECE_BYTES) throw tooLong(section, position);
        size *= 2;
        continue;
      }
      size = pieceBytes;
      const context = cut.isInDocument ? options.rule.contextBytes(input.bytes, cut.end) : 0;
      const next: Position = {
        section: position.section,
        offset: input.offset + cut.end,
        line: position.line + cut.lines,
        isInDocument: cut.isInDocument,
        context,
      };
      const bytes = new Uint8Array(input.bytes.subarray(0, cut.end)); // a copy
      const { read } = input;
      yield { section, position, next, bytes, ranges: cut.ranges, read };
      position = next;
      input.skip(cut.end - context);
    }
  } finally {
    await input.close();
  }
}

function tooLong({ file, format }: Section, { offset, line }: Position): InputError {
  const limit = `more than ${MAX_PIECE_BYTES.toLocaleString("en-US")} bytes`;
  if (format === "jsonl") return new InputError(`${file}:${line + 1}: the line has ${limit}`);
  const place = `the text at byte ${offset.toLocaleString("en-US")}`;
  return new InputError(`${file}: ${place} has ${limit} without the end of a word`);
}

/** The content of a section from a moving offset on. */
class Window {
  bytes: Buffer = Buffer.alloc(0);
  offset: number;
  read = 0;
  isEnd = false;
  readonly #end: number;
  readonly #chunks: ReturnType<typeof readContent>;

  constructor({ file, end }: Section, offset: number) {
    this.offset = offset;
    this.#end = end;
    this.#chunks = readContent(file, offset);
  }

  /** Reads until the window has at least `size` bytes, or all that are left. */
  async fill(size: number): Promise<void> {
    while (!this.isEnd && this.bytes.length < size) {
      const { value: chunk, done } = await this.#chunks.next();
      if (done) {
        this.isEnd = true;
        return;
      }
      if (this.bytes.length === 0) this.offset = chunk.offset; // after a byte order mark
      const rest = this.#end - chunk.offset;
      this.isEnd = chunk.bytes.length >= rest;
      const bytes = chunk.bytes.subarray(0, Math.max(0, rest));
      this.bytes = this.bytes.length === 0 ? bytes : Buffer.concat([this.bytes, bytes]);
      this.read = chunk.read;
    }
  }

  skip(count: number): void {
    this.bytes = this.bytes.subarray(count);
    this.offset += count;
  }

  async close(): Promise<void> {
    await this.#chunks.return(undefined);
  }
}

/** The end of a piece in the window, and the documents in it. */
interface Cut {
  readonly end: number;
  readonly ranges: number[];
  readonly lines: number;
  readonly isInDocument: boolean;
}

interface CutRequest {
  readonly size: number;
  /** The bytes are all that are left. */
  readonly isLast: boolean;
  readonly position: Position;
}

/** Takes all whole lines. Returns null if there is none. */
function cutLines(bytes: Buffer, { size, isLast }: CutRequest): Cut | null {
  const ranges: number[] = [];
  let begin = 0;
  while (begin < bytes.length) {
    const newline = bytes.indexOf(10, begin);
    const end = newline === -1 ? bytes.length : newline;
    if (end >= size && !isLast) break;
    ranges.push(begin, end);
    begin = newline === -1 ? end : end + 1;
  }
  if (begin === 0) return null;
  return { end: begin, ranges, lines: ranges.length / 2, isInDocument: false };
}

/** Takes whole documents, and the beginning of the one after them. Returns null if neither fits. */
function cutText(
  bytes: Buffer,
  { size, isLast, position }: CutRequest,
  { rule, separator, keepsSeparator }: PieceOptions,
): Cut | null {
  const ranges: number[] = [];
  let begin = position.context;
  while (separator) {
    const index = bytes.indexOf(separator, begin);
    if (index === -1 || index >= size) break;
    const next = index + separator.length;
    ranges.push(begin, keepsSeparator ? next : index);
    begin = next;
  }
  const end = bytes.length;
  if (isLast) return { end, ranges: [...ranges, begin, end], lines: 0, isInDocument: false };
  // with the rest of the character at the end
  const room = Math.max(0, size - begin);
  const cut = begin + (room && rule.find(bytes.subarray(begin, size + 4), room));
  if (cut > begin)
    return { end: cut, ranges: [...ranges, begin, cut], lines: 0, isInDocument: true };
  return begin > position.context ? { end: begin, ranges, lines: 0, isInDocument: false } : null;
}
