// Writes the shards of one split. A shard that is not full has another name, so that no program
// takes it for a whole one; after a crash, writing continues at the last recorded length.

import * as fs from "node:fs";
import { join } from "node:path";
import { renameFile, writeAll } from "../../files/durable.ts";
import { FileError, toFileError } from "../../files/file-error.ts";
import { sha256OfFiles } from "../../files/sha256.ts";
import { encodeHeader, HEADER_BYTES, type TokenDType, tokenBytes } from "../shards/format.ts";
import type { ShardEntry, Split } from "../shards/manifest.ts";

/** The length of a shard that is being written. */
interface OpenShard {
  tokens: number;
  bytes: number;
  documents: number;
}

/** The shards of a split that have been written. */
export interface SplitState {
  readonly shards: readonly ShardEntry[];
  /** The shard after these; null if it has not been begun. */
  readonly open: Readonly<OpenShard> | null;
}

export const emptyState: SplitState = { shards: [], open: null };

/** Tokens of one document. */
export type Tokens = Uint16Array | Uint32Array;

export interface ShardOptions {
  readonly folder: string;
  readonly split: Split;
  readonly dtype: TokenDType;
  /** The number of tokens of each shard but the last. */
  readonly shardTokens: number;
  /** Returns the number of bytes of the text of tokens. */
  countBytes(tokens: Tokens): number;
}

const BUFFER_BYTES = 2 ** 20;

export class ShardWriter {
  readonly #options: ShardOptions;
  readonly #shards: ShardEntry[];
  #open: OpenShard | null;
  #fd: number | null = null;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #buffered = 0;
  #written = 0; // bytes of the file before the buffer

  /** Continues after what the state describes. Throws a FileError if the files do not match it. */
  constructor(options: ShardOptions, state: SplitState) {
    this.#options = options;
    this.#shards = [...state.shards];
    this.#open = state.open && { ...state.open };
    for (const { file, tokens } of state.shards)
      checkSize(join(options.folder, file), this.#fileSize(tokens));
    if (state.open) this.#reopen(state.open.tokens);
  }

  /** True if nothing has been written. */
  get isEmpty(): boolean {
    return this.#shards.length === 0 && this.#open === null;
  }

  /** Appends tokens: the beginning of a document, or more of the current one. */
  append(tokens: Tokens, bytes: number, beginsDocument: boolean): void {
    let begin = 0;
    let bytesLeft = bytes;
    let documents = beginsDocument ? 1 : 0;
    while (begin < tokens.length) {
      this.#open ??= this.#create();
      const open = this.#open;
      const room = this.#options.shardTokens - open.tokens;
      const part = tokens.subarray(begin, begin + room);
      begin += part.length;
      const isRest = begin === tokens.length;
      const partBytes = isRest ? bytesLeft : Math.min(bytesLeft, this.#options.countBytes(part));
      this.#write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
      open.tokens += part.length;
      open.bytes += partBytes;
      open.documents += documents;
      bytesLeft -= partBytes;
      documents = 0;
      if (open.tokens === this.#options.shardTokens) this.#complete();
    }
  }

  /** Waits until all that was appended is on disk, and returns the state to continue from. */
  sync(): SplitState {
    this.#flush();
    this.#withFile((fd) => fs.fsyncSync(fd));
    return { shards: [...this.#shards], open: this.#open && { ...this.#open } };
  }

  /** Closes the last shard, and returns all of them. */
  finish(): readonly ShardEntry[] {
    if (this.#open) this.#complete();
    return this.#shards;
  }

  /** Closes the file without completing the shard. */
  close(): void {
    if (this.#fd !== null) fs.closeSync(this.#fd);
    this.#fd = null;
  }

  get #name(): string {
    return `${this.#options.split}_${String(this.#shards.length).padStart(6, "0")}.bin`;
  }

  get #file(): string {
    return join(this.#options.folder, this.#name);
  }

  get #partial(): string {
    return `${this.#file}.partial`;
  }

  #fileSize(tokens: number): number {
    return HEADER_BYTES + tokens * tokenBytes[this.#options.dtype];
  }

  #create(): OpenShard {
    try {
      this.#fd = fs.openSync(this.#partial, "w");
      this.#written = 0;
    } catch (error) {
      throw toFileError(this.#partial, error);
    }
    this.#write(encodeHeader(this.#options.dtype, 0)); // the number is written at the end
    return { tokens: 0, bytes: 0, documents: 0 };
  }

  #reopen(tokens: number): void {
    try {
      // it was completed after the state was recorded
      if (fs.existsSync(this.#file) && !fs.existsSync(this.#partial))
        renameFile(this.#file, this.#partial);
      const size = this.#fileSize(tokens);
      checkSize(this.#partial, size, { isMinimum: true });
      fs.truncateSync(this.#partial, size);
      this.#fd = fs.openSync(this.#partial, "r+");
      this.#written = size;
    } catch (error) {
      throw toFileError(this.#partial, error);
    }
  }

  #write(bytes: Uint8Array): void {
    for (let begin = 0; begin < bytes.length; ) {
      const part = bytes.subarray(begin, begin + BUFFER_BYTES - this.#buffered);
      this.#buffer.set(part, this.#buffered);
      this.#buffered += part.length;
      begin += part.length;
      if (this.#buffered === BUFFER_BYTES) this.#flush();
    }
  }

  #flush(): void {
    const bytes = this.#buffer.subarray(0, this.#buffered);
    this.#withFile((fd) => writeAll(fd, bytes, this.#written));
    this.#written += bytes.length;
    this.#buffered = 0;
  }

  #complete(): void {
    const { tokens, bytes, documents } = this.#open as OpenShard;
    this.#flush();
    this.#withFile((fd) => {
      writeAll(fd, encodeHeader(this.#options.dtype, tokens), 0);
      fs.fsyncSync(fd);
    });
    this.close();
    const file = this.#file;
    try {
      renameFile(this.#partial, file);
    } catch (error) {
      throw toFileError(file, error);
    }
    const { split } = this.#options;
    const sha256 = sha256OfFiles([file]);
    this.#shards.push({ file: this.#name, split, tokens, bytes, documents, sha256 });
    this.#open = null;
  }

  #withFile(use: (fd: number) => void): void {
    if (this.#fd === null) return;
    try {
      use(this.#fd);
    } catch (error) {
      throw toFileError(this.#partial, error);
    }
  }
}

/** Throws a FileError unless a file has the size that was recorded, or at least that. */
function checkSize(file: string, size: number, { isMinimum = false } = {}): void {
  const found = fs.statSync(file, { throwIfNoEntry: false })?.size;
  if (found === size || (isMinimum && found !== undefined && found >= size)) return;
  const state = found === undefined ? "is missing" : `has ${found} bytes, expected ${size}`;
  throw new FileError(`${file}: ${state}; delete the folder to begin again`);
}
