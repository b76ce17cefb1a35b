// TensorBoard event files: the metrics of a run, written without TensorFlow. An event is a Protocol
// Buffers message (event.proto, summary.proto) in a TFRecord: length, masked CRC-32C of the length,
// message, masked CRC-32C of the message.

import { existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { appendBytes } from "../files/durable.ts";
import type { MetricsRow } from "./metrics.ts";
import { OptionalFile, type Warn } from "./optional-file.ts";

/** TensorBoard's tag for each metric; the part before the slash is a group of charts. */
const tags: [keyof MetricsRow, string][] = [
  ["loss", "loss/batch"],
  ["trainLoss", "loss/train"],
  ["valLoss", "loss/validation"],
  ["lr", "optimizer/learningRate"],
  ["gradNorm", "optimizer/gradNorm"],
  ["tokensPerSecond", "speed/tokensPerSecond"],
];

/** An event file in the folder of a run. If it cannot be written, training goes on. */
export class EventFile {
  /** events.out.tfevents.SECONDS.HOST.PID */
  readonly path: string;
  readonly #file: OptionalFile;

  /** A step above 0 makes TensorBoard ignore the events of later steps in older files. */
  constructor(folder: string, config: object, step: number, warn: Warn) {
    this.#file = new OptionalFile(warn);
    const host = hostname().replace(/[^\w.-]/g, "_");
    const pathAt = (seconds: number) =>
      join(folder, `events.out.tfevents.${seconds}.${host}.${process.pid}`);
    let seconds = Math.floor(Date.now() / 1000);
    while (existsSync(pathAt(seconds))) seconds++;
    this.path = pathAt(seconds);
    this.#write(string(3, "brain.Event:2")); // file_version, always the first event
    const sessionStart = message(7, integer(1, 1)); // session_log with status START
    if (step > 0) this.#write(integer(2, step), sessionStart);
    this.#write(integer(2, step), message(5, textSummary("options", toMarkdown(config))));
  }

  /** Appends the metrics of a row as one event. */
  append(row: MetricsRow): void {
    const values = tags.flatMap(([key, tag]) => {
      const value = row[key];
      return typeof value === "number" ? [message(1, string(1, tag), float(2, value))] : [];
    });
    if (values.length > 0) this.#write(integer(2, row.step), message(5, ...values));
  }

  #write(...fields: Buffer[]): void {
    const event = Buffer.concat([double(1, Date.now() / 1000), ...fields]); // wall_time
    const record = toRecord(event);
    this.#file.attempt(() => appendBytes(this.path, record)); // all of a record, or nothing
  }
}

/** Formats options as a Markdown table, which TensorBoard renders. */
function toMarkdown(config: object): string {
  const rows = Object.entries(config).filter(([, value]) => value !== undefined);
  const lines = rows.map(
    ([name, value]) => `| ${name} | ${String(value).replaceAll("|", "\\|")} |`,
  );
  return ["| option | value |", "| --- | --- |", ...lines].join("\n");
}

/** Encodes a text as a Summary.value: a string tensor for the plugin "text". */
function textSummary(tag: string, content: string): Buffer {
  const metadata = message(9, message(1, string(1, "text")));
  const tensor = message(8, integer(1, 7), message(2), string(8, content)); // DT_STRING, shape []
  return message(1, string(1, tag), metadata, tensor);
}

/** Encodes a field that holds a message. */
function message(field: number, ...fields: Buffer[]): Buffer {
  const content = Buffer.concat(fields);
  return Buffer.concat([varint(8 * field + 2), varint(content.length), content]);
}

function string(field: number, value: string): Buffer {
  return message(field, Buffer.from(value));
}

function integer(field: number, value: number): Buffer {
  return Buffer.concat([varint(8 * field), varint(value)]);
}

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return Buffer.concat([varint(8 * field + 1), bytes]);
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([varint(8 * field + 5), bytes]);
}

/** Encodes 7 bits per byte, lowest first; the highest bit is set if another byte follows. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

/** Wraps an event in a TFRecord. */
function toRecord(content: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(content.length));
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc(content));
  return Buffer.concat([head, content, tail]);
}

/** Returns the masked CRC-32C of TFRecord: the checksum rotated by 15 bits, plus a constant. */
function maskedCrc(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255] ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** The remainder of each byte modulo Castagnoli's polynomial, with bits reversed. */
const crcTable = Int32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++)
    remainder = (remainder >>> 1) ^ (remainder & 1 ? 0x82f63b78 : 0);
  return remainder;
});
