// Event files: read back by a reader written from the formats' descriptions alone, and by
// TensorBoard's own where it is installed.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type MetricsRow, readRows } from "#src/runs/metrics.js";
import { EventFile } from "#src/runs/tensorboard.js";

const test = suite("tensorboard");
const folder = mkdtempSync(join(tmpdir(), "tinybard-events-"));
test.after(() => rmSync(folder, { recursive: true }));
let folders = 0;
const newFolder = () => mkdtempSync(join(folder, `${folders++}-`));

const names: Record<string, keyof MetricsRow> = {
  "loss/batch": "loss",
  "loss/train": "trainLoss",
  "loss/validation": "valLoss",
  "optimizer/learningRate": "lr",
  "optimizer/gradNorm": "gradNorm",
  "speed/tokensPerSecond": "tokensPerSecond",
};

/** CRC-32C bit by bit, as RFC 3720 defines it: its check value is that of "123456789". */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n;
  }
  return Number(crc ^ 0xffffffffn);
}

function unmasked(masked: number): number {
  const turned = (masked - 0xa282ead8) >>> 0;
  return ((turned >>> 17) | (turned << 15)) >>> 0;
}

/** The records of a file; throws where a checksum is wrong. */
function recordsOf(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const content = bytes.subarray(at + 12, at + 12 + length);
    const isHeadRight = unmasked(bytes.readUInt32LE(at + 8)) === crc32c(bytes.subarray(at, at + 8));
    const isRight = unmasked(bytes.readUInt32LE(at + 12 + length)) === crc32c(content);
    if (!isHeadRight || !isRight) throw new Error(`the record at ${at} is damaged`);
    records.push(content);
    at += length + 16;
  }
  return records;
}

type Field = { number: number; value: number | Buffer };

/** The fields of a message of Protocol Buffers. */
function fieldsOf(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, kind] = [tag >> 3, tag & 7];
    if (kind === 0) fields.push({ number, value: varint() });
    else if (kind === 1) fields.push({ number, value: bytes.readDoubleLE(at) });
    else if (kind === 5) fields.push({ number, value: bytes.readFloatLE(at) });
    else assert.is(kind, 2);
    if (kind === 2) {
      const length = varint();
      fields.push({ number, value: bytes.subarray(at, at + length) });
      at += length;
    }
    if (kind === 1) at += 8;
    if (kind === 5) at += 4;
    assert.ok(at <= bytes.length);
  }
  return fields;
}

function field(bytes: Buffer, number: number): number | Buffer | undefined {
  return fieldsOf(bytes).find((each) => each.number === number)?.value;
}

interface Event {
  time: number;
  step: number;
  version?: string;
  session?: number;
  scalars: Record<string, number>;
  texts: Record<string, string>;
}

function eventOf(record: Buffer): Event {
  const [time, step = 0, version] = [1, 2, 3].map((number) => field(record, number));
  const [summary, session] = [5, 7].map((number) => field(record, number) as Buffer | undefined);
  const event: Event = { time: time as number, step: step as number, scalars: {}, texts: {} };
  if (version) event.version = String(version);
  if (session) event.session = field(session, 1) as number;
  for (const { value } of summary ? fieldsOf(summary) : []) {
    const tag = String(field(value as Buffer, 1));
    const [simple, tensor] = [2, 8].map((number) => field(value as Buffer, number));
    if (simple !== undefined) event.scalars[tag] = simple as number;
    if (tensor) event.texts[tag] = String(field(tensor as Buffer, 8));
  }
  return event;
}

function eventsIn(file: string): Event[] {
  return recordsOf(readFileSync(file)).map(eventOf);
}

const rows: MetricsRow[] = [
  { step: 0, loss: 4.25, lr: 1e-3, gradNorm: 1.5, tokensPerSecond: 12345, elapsedSeconds: 1 },
  { step: 300, elapsedSeconds: 2, trainLoss: 2.5, valLoss: 2.625 },
  { step: 2 ** 40, loss: 0.1, elapsedSeconds: 3 },
];

test("the reader's own checksum is CRC-32C", () => {
  assert.is(crc32c(Buffer.from("123456789")), 0xe3069283);
});

test("a new file: the version, the options, then each row under its step", () => {
  const events = new EventFile(newFolder(), { seed: 3, note: "a|b" }, 0);
  for (const row of rows) events.append(row);
  events.append({ step: 7, elapsedSeconds: 4 });
  const [version, options, ...told] = eventsIn(events.path);
  assert.is(version.version, "brain.Event:2");
  const table = "| option | value |\n| --- | --- |\n| seed | 3 |\n| note | a\\|b |";
  assert.equal(options.texts, { options: table });
  assert.equal(
    told.map(({ step }) => step),
    [0, 300, 2 ** 40],
  );
  for (const [i, { scalars, time }] of told.entries()) {
    const expected = Object.entries(names).flatMap(([tag, key]) => {
      const value = rows[i][key];
      return value === undefined ? [] : [[tag, Math.fround(value)]];
    });
    assert.equal(scalars, Object.fromEntries(expected));
    assert.ok(Math.abs(time - Date.now() / 1000) < 60);
  }
});

test("files of one second have names of their own; a damaged byte is found", () => {
  const where = newFolder();
  const [first, second] = [new EventFile(where, {}, 0), new EventFile(where, {}, 0)];
  assert.is.not(first.path, second.path);
  assert.match(
    first.path,
    new RegExp(`events\\.out\\.tfevents\\.\\d{10}\\.[\\w.-]+\\.${process.pid}$`),
  );
  const bytes = readFileSync(first.path);
  bytes[20] ^= 1;
  assert.throws(() => recordsOf(bytes), /^the record at 0 is damaged$/);
});

const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(60));

function run(...words: string[]): string {
  const done = spawnSync(process.execPath, [program, ...words], { encoding: "utf8" });
  assert.is(done.status, 0, done.stderr);
  return done.stdout;
}

function trained(steps: number, out = join(newFolder(), "run")): string {
  const small = ["--n-layer", "1", "--n-embd", "8", "--n-head", "2", "--block-size", "8"];
  const often = ["--eval-iters", "1", "--eval-interval", "4", "--log-interval", "1"];
  const options = ["--data", text, "--device", "ts", ...small, ...often];
  run("train", ...options, "--max-iters", String(steps), "--out", out, "--tensorboard");
  return out;
}

function eventFiles(out: string): string[] {
  const all = readdirSync(out).filter((name) => name.startsWith("events.out.tfevents."));
  return all.sort().map((name) => join(out, name));
}

/** The numbers of rows by tag, as f32. */
function scalarsOf(all: readonly MetricsRow[]): Record<string, [step: number, value: number][]> {
  const entries = Object.entries(names).map(([tag, key]) => {
    const points = all.flatMap((row) => {
      const value = row[key];
      return value === undefined ? [] : [[row.step, Math.fround(value)] as [number, number]];
    });
    return [tag, points] as const;
  });
  return Object.fromEntries(entries);
}

test("train --tensorboard writes the rows of metrics.jsonl; resumed, a file with the rest", () => {
  const out = trained(6);
  const before = readRows(out);
  const [first] = eventFiles(out);
  const told = (file: string) => eventsIn(file).filter(({ scalars }) => "loss/batch" in scalars);
  const losses = (file: string) =>
    told(file).map(({ step, scalars }) => [step, scalars["loss/batch"]]);
  assert.equal(losses(first), scalarsOf(before)["loss/batch"]);
  run("train", "--resume", out, "--max-iters", "9", "--tensorboard");
  const [, second, ...others] = eventFiles(out);
  assert.is(others.length, 0);
  const after = readRows(out).filter(({ step }) => step >= 6);
  assert.equal(losses(second), scalarsOf(after)["loss/batch"]);
  assert.equal(eventsIn(second).find(({ session }) => session)?.step, 6);
  assert.is(eventsIn(first).find(({ session }) => session), undefined); // biome-ignore format: short
});

const reader = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1])
events.Reload()
points = {tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
text = events.Tensors("options")[0].tensor_proto.string_val[0].decode()
print(json.dumps({"points": points, "text": text}))
`;
const python = spawnSync("python3", ["-c", "import tensorboard"], { encoding: "utf8" });
if (python.status === 0) {
  test("TensorBoard reads the same: of a resumed run each step once", () => {
    const out = trained(6);
    run("train", "--resume", out, "--max-iters", "9", "--tensorboard");
    const done = spawnSync("python3", ["-c", reader, out], { encoding: "utf8" });
    assert.is(done.status, 0, done.stderr);
    const { points, text } = JSON.parse(done.stdout);
    assert.equal(points, scalarsOf(readRows(out)));
    assert.match(text, /^\| option \| value \|\n/);
    assert.match(text, /^\| nEmbd \| 8 \|$/m);
  });
} else console.log("skipped: TensorBoard reads the same (python3 has no tensorboard here)");

test("export --csv writes the table of the rows, and says how many there are", () => {
  const out = trained(5);
  const file = join(out, "rows.csv");
  assert.is(run("export", "--run", out, "--csv", file), `${file}: 6 rows\n`);
  const [head, ...lines] = readFileSync(file, "utf8").split("\r\n");
  const columns = head.split(",") as (keyof MetricsRow)[];
  assert.is(lines.pop(), "");
  const read = lines.map((line) =>
    Object.fromEntries(
      line.split(",").flatMap((cell, i) => (cell === "" ? [] : [[columns[i], Number(cell)]])),
    ),
  );
  assert.equal(read, readRows(out));
  const refused = (...words: string[]) =>
    spawnSync(process.execPath, [program, "export", ...words], { encoding: "utf8" });
  const nothing = refused("--run", out);
  assert.is(nothing.status, 2);
  assert.match(nothing.stderr, /export: --out DIR or --csv FILE is missing: what to write/);
  const none = refused("--run", folder, "--csv", file);
  assert.is(none.status, 2);
  assert.match(none.stderr, /has no metrics\.jsonl/);
});

test.run();
