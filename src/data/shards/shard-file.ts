// A token shard on disk, of which parts are read. Files stay open while they are in use, but not
// too many: sets of thousands of shards exist.

import * as fs from "node:fs";
import { basename } from "node:path";
import { FileError } from "../../files/file-error.ts";
import { openRegularFile, withRegularFile } from "../../files/text.ts";
import { HEAD_BYTES, parseFormat, type ShardFormat, tokenBytes } from "./format.ts";

/** The most shards that are open at the same time. */
const MAX_OPEN = 64;

/** The time in milliseconds after which the size and the date of a file are compared again. */
const CHECK_INTERVAL = 500;

/** The open shards and their descriptors; the first one is closed first. */
const open = new Map<ShardFile, number>();

/** A shard of a known format. */
export class ShardFile {
  readonly file: string;
  readonly format: ShardFormat;
  readonly size: number;
  readonly #modified: number;
  #checked = 0; // the time

  /** Reads the header. Throws a FileError if the file is not a shard, or is damaged. */
  constructor(file: string) {
    this.file = file;
    const { head, stat } = withRegularFile(file, (fd) => ({
      head: readHead(fd),
      stat: fs.fstatSync(fd),
    }));
    this.size = stat.size;
    this.#modified = stat.mtimeMs;
    const allowsRaw = ["train.bin", "val.bin"].includes(basename(file));
    this.format = parseFormat(file, head, stat.size, { allowsRaw });
  }

  /** The number of tokens. */
  get tokens(): number {
    return this.format.tokens;
  }

  /**
   * Copies `count` tokens from position `start` to `target`, from its index `offset`. Throws a
   * FileError if the file has changed, or if a token is not below vocabSize.
   */
  read(start: number, count: number, target: Int32Array, offset: number, vocabSize: number): void {
    const { dtype } = this.format;
    const width = tokenBytes[dtype];
    const bytes = getBuffer(count * width);
    const position = this.format.offset + start * width;
    this.#readBytes(bytes, position);
    const tokens =
      dtype === "uint16"
        ? new Uint16Array(bytes.buffer, 0, count)
        : new Uint32Array(bytes.buffer, 0, count);
    for (let i = 0; i < count; i++) {
      const id = tokens[i];
      if (id >= vocabSize)
        throw new FileError(
          `${this.file}: the token at offset ${position + i * width} is ${id}, ` +
            `expected 0 to ${vocabSize - 1}, the vocabulary of the tokenizer`,
        );
      target[offset + i] = id;
    }
  }

  /**
   * Makes the system read tokens into its memory in the background. An error is left to read(),
   * which then meets it.
   */
  prefetch(start: number, count: number): void {
    const width = tokenBytes[this.format.dtype];
    const bytes = new Uint8Array(count * width);
    try {
      fs.read(this.#open(), bytes, 0, bytes.length, this.format.offset + start * width, () => {});
    } catch {}
  }

  /** Reads all tokens. Throws a FileError if one is not below vocabSize. */
  checkTokens(vocabSize: number): void {
    const target = new Int32Array(Math.min(this.tokens, 2 ** 18));
    try {
      for (let start = 0; start < this.tokens; start += target.length)
        this.read(start, Math.min(target.length, this.tokens - start), target, 0, vocabSize);
    } finally {
      this.close();
    }
  }

  /** Fills `bytes` from a position in the file. Throws a FileError if they are not there. */
  #readBytes(bytes: Uint8Array, position: number): void {
    try {
      const fd = this.#open();
      let done = 0;
      while (done < bytes.length) {
        const count = fs.readSync(fd, bytes, done, bytes.length - done, position + done);
        if (count === 0)
          throw new FileError(
            `${this.file}: ends at offset ${fs.fstatSync(fd).size}, expected ${this.size} bytes: ` +
              "it was cut off while it was in use",
          );
        done += count;
      }
    } catch (cause) {
      if (cause instanceof FileError) throw cause;
      const { message } = cause as Error;
      throw new FileError(`${this.file}: cannot read at offset ${position}: ${message}`, { cause });
    }
  }

  /** Returns the file's descriptor. Throws a FileError if the file has changed. */
  #open(): number {
    let fd = open.get(this);
    const now = performance.now();
    if (fd !== undefined && now - this.#checked < CHECK_INTERVAL) return fd;
    if (fd === undefined) {
      if (open.size >= MAX_OPEN) for (const shard of open.keys()) if (shard.close()) break;
      fd = openRegularFile(this.file);
      open.set(this, fd);
    }
    const { size, mtimeMs } = fs.fstatSync(fd);
    if (size !== this.size || mtimeMs !== this.#modified) {
      const change = size === this.size ? "other content" : `${size} bytes, expected ${this.size}`;
      throw new FileError(`${this.file}: has ${change}: it was changed while it was in use`);
    }
    this.#checked = now;
    return fd;
  }

  /** Closes the file; returns true if it was open. */
  close(): boolean {
    const fd = open.get(this);
    if (fd === undefined) return false;
    open.delete(this);
    fs.closeSync(fd);
    return true;
  }
}

/** Returns the beginning of a file. */
export function readHead(fd: number): Uint8Array {
  const head = new Uint8Array(HEAD_BYTES);
  return head.subarray(0, fs.readSync(fd, head, 0, head.length, 0));
}

let buffer = new ArrayBuffer(0);

/** Returns `length` bytes of a buffer that all reads share, which begin at its start. */
function getBuffer(length: number): Uint8Array {
  if (buffer.byteLength < length) buffer = new ArrayBuffer(2 * length);
  return new Uint8Array(buffer, 0, length);
}
