// Event files for TensorBoard: a run's rows in the form that it reads, written without TensorFlow.
// An event is a message of Protocol Buffers (event.proto, summary.proto), framed as a TFRecord:
// length, masked CRC-32C of the length, message, masked CRC-32C of the message.

import { appendFileSync, existsSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import type { Row } from "./metrics.ts";

/** What each column is called there; what stands before the slash is a group of charts. */
const tags: [keyof Row, string][] = [
  ["loss", "loss/batch"],
  ["trainLoss", "loss/train"],
  ["valLoss", "loss/validation"],
  ["lr", "optimizer/learningRate"],
  ["gradNorm", "optimizer/gradNorm"],
  ["tokensPerSecond", "speed/tokensPerSecond"],
];

/** A new event file in a run's folder, which takes rows from a step on. */
export class EventFile {
  /** events.out.tfevents.SECONDS.HOST.PID */
  readonly path: string;

  /** From a step above 0 on, rows that older files of the folder have of later steps are void. */
  constructor(folder: string, config: object, step: number) {
    const host = hostname().replace(/[^\w.-]/g, "_");
    const pathAt = (seconds: number) =>
      join(folder, `events.out.tfevents.${seconds}.${host}.${process.pid}`);
    let seconds = Math.floor(Date.now() / 1000);
    while (existsSync(pathAt(seconds))) seconds++;
    this.path = pathAt(seconds);
    this.#write(string(3, "brain.Event:2")); // file_version, which comes first
    const started = message(7, integer(1, 1)); // session_log, of status START
    if (step > 0) this.#write(integer(2, step), started);
    this.#write(integer(2, step), message(5, text("options", tableOf(config))));
  }

  /** Adds the numbers of a row, under its step. */
  row(row: Row): void {
    const values = tags.flatMap(([key, tag]) => {
      const value = row[key];
      return typeof value === "number" ? [message(1, string(1, tag), float(2, value))] : [];
    });
    if (values.length > 0) this.#write(integer(2, row.step), message(5, ...values));
  }

  #write(...fields: Buffer[]): void {
    const event = Buffer.concat([double(1, Date.now() / 1000), ...fields]); // wall_time
    appendFileSync(this.path, framed(event));
  }
}

/** Options as a table in Markdown, which TensorBoard shows as one. */
function tableOf(config: object): string {
  const rows = Object.entries(config).filter(([, value]) => value !== undefined);
  const lines = rows.map(
    ([name, value]) => `| ${name} | ${String(value).replaceAll("|", "\\|")} |`,
  );
  return ["| option | value |", "| --- | --- |", ...lines].join("\n");
}

/** Summary.value: a text, which is a tensor of type string for the plugin named text. */
function text(tag: string, content: string): Buffer {
  const metadata = message(9, message(1, string(1, "text")));
  const tensor = message(8, integer(1, 7), message(2), string(8, content)); // DT_STRING, shape []
  return message(1, string(1, tag), metadata, tensor);
}

/** A field whose value is in turn a message. */
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

/** Seven bits a byte, the lowest first; all but the last byte have their highest bit set. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...bytes, rest]);
    bytes.push((rest % 128) + 128);
  }
}

/** A TFRecord. */
function framed(content: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeBigUInt64LE(BigInt(content.length));
  head.writeUInt32LE(maskedCrc(head.subarray(0, 8)), 8);
  const tail = Buffer.alloc(4);
  tail.writeUInt32LE(maskedCrc(content));
  return Buffer.concat([head, content, tail]);
}

/** CRC-32C, turned by 15 bits and shifted, so that it differs from that of data with CRCs in it. */
function maskedCrc(bytes: Buffer): number {
  let crc = ~0;
  for (const byte of bytes) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  crc = ~crc;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

/** The remainders of each byte by Castagnoli's polynomial, bits reversed. */
const table = Int32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0x82f63b78 : 0);
  return rest;
});
