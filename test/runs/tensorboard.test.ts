// TensorBoard event files: read by a parser written from the specifications of the formats, and by
// TensorBoard itself if it is installed.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type MetricsRow, readRows } from "#src/runs/metrics.js";
import { EventFile } from "#src/runs/tensorboard.js";
import { makeFullDisk, withPatchedFs } from "../support/faults.js";

const test = suite("tensorboard");
const folder = mkdtempSync(join(tmpdir(), "tinybard-events-"));
test.after(() => rmSync(folder, { recursive: true }));
let folders = 0;
const newFolder = () => mkdtempSync(join(folder, `${folders++}-`));

const metricNames: Record<string, keyof MetricsRow> = {
  "loss/batch": "loss",
  "loss/train": "trainLoss",
  "loss/validation": "valLoss",
  "optimizer/learningRate": "lr",
  "optimizer/gradNorm": "gradNorm",
  "speed/tokensPerSecond": "tokensPerSecond",
};

/** CRC-32C bit by bit, as RFC 3720 defines it. */
function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffffn;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x82f63b78n : crc >> 1n;
  }
  return Number(crc ^ 0xffffffffn);
}

function unmask(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0;
  return ((rotated >>> 17) | (rotated << 15)) >>> 0;
}

/** Parses the TFRecords of a file; throws if a checksum is wrong. */
function parseRecords(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    const content = bytes.subarray(at + 12, at + 12 + length);
    const isHeaderValid = unmask(bytes.readUInt32LE(at + 8)) === crc32c(bytes.subarray(at, at + 8));
    const isContentValid = unmask(bytes.readUInt32LE(at + 12 + length)) === crc32c(content);
    if (!isHeaderValid || !isContentValid) throw new Error(`the record at ${at} is corrupt`);
    records.push(content);
    at += length + 16;
  }
  return records;
}

type Field = { number: number; value: number | Buffer };

/** Parses the fields of a Protocol Buffers message. */
function parseFields(bytes: Buffer): Field[] {
  const fields: Field[] = [];
  let at = 0;
  const readVarint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(value);
    }
  };
  while (at < bytes.length) {
    const tag = readVarint();
    const number = tag >> 3;
    const kind = tag & 7;
    if (kind === 0) fields.push({ number, value: readVarint() });
    else if (kind === 1) fields.push({ number, value: bytes.readDoubleLE(at) });
    else if (kind === 5) fields.push({ number, value: bytes.readFloatLE(at) });
    else assert.is(kind, 2);
    if (kind === 2) {
      const length = readVarint();
      fields.push({ number, value: bytes.subarray(at, at + length) });
      at += length;
    }
    if (kind === 1) at += 8;
    if (kind === 5) at += 4;
    assert.ok(at <= bytes.length);
  }
  return fields;
}

function getField(bytes: Buffer, number: number): number | Buffer | undefined {
  return parseFields(bytes).find((field) => field.number === number)?.value;
}

interface Event {
  time: number;
  step: number;
  version?: string;
  session?: number;
  scalars: Record<string, number>;
  texts: Record<string, string>;
}

function parseEvent(record: Buffer): Event {
  const time = getField(record, 1);
  const step = getField(record, 2) ?? 0;
  const version = getField(record, 3);
  const summary = getField(record, 5) as Buffer | undefined;
  const session = getField(record, 7) as Buffer | undefined;
  const event: Event = { time: time as number, step: step as number, scalars: {}, texts: {} };
  if (version) event.version = String(version);
  if (session) event.session = getField(session, 1) as number;
  for (const { value } of summary ? parseFields(summary) : []) {
    const tag = String(getField(value as Buffer, 1));
    const simple = getField(value as Buffer, 2);
    const tensor = getField(value as Buffer, 8);
    if (simple !== undefined) event.scalars[tag] = simple as number;
    if (tensor) event.texts[tag] = String(getField(tensor as Buffer, 8));
  }
  return event;
}

function readEvents(file: string): Event[] {
  return parseRecords(readFileSync(file)).map(parseEvent);
}

const rows: MetricsRow[] = [
  { step: 0, loss: 4.25, lr: 1e-3, gradNorm: 1.5, tokensPerSecond: 12345, elapsedSeconds: 1 },
  { step: 300, elapsedSeconds: 2, trainLoss: 2.5, valLoss: 2.625 },
  { step: 2 ** 40, loss: 0.1, elapsedSeconds: 3 },
];

test("the parser's checksum is CRC-32C", () => {
  assert.is(crc32c(Buffer.from("123456789")), 0xe3069283);
});

test("a new file has the version, the options, and the metrics of each row", () => {
  const events = new EventFile(newFolder(), { seed: 3, note: "a|b" }, 0, assert.unreachable);
  for (const row of rows) events.append(row);
  events.append({ step: 7, elapsedSeconds: 4 });
  const [version, options, ...metrics] = readEvents(events.path);
  assert.is(version.version, "brain.Event:2");
  const table = "| option | value |\n| --- | --- |\n| seed | 3 |\n| note | a\\|b |";
  assert.equal(options.texts, { options: table });
  assert.equal(
    metrics.map(({ step }) => step),
    [0, 300, 2 ** 40],
  );
  for (const [i, { scalars, time }] of metrics.entries()) {
    const expected = Object.entries(metricNames).flatMap(([tag, key]) => {
      const value = rows[i][key];
      return value === undefined ? [] : [[tag, Math.fround(value)]];
    });
    assert.equal(scalars, Object.fromEntries(expected));
    assert.ok(Math.abs(time - Date.now() / 1000) < 60);
  }
});

test("files of the same second have different names; a corrupt byte is detected", () => {
  const target = newFolder();
  const first = new EventFile(target, {}, 0, assert.unreachable);
  const second = new EventFile(target, {}, 0, assert.unreachable);
  assert.is.not(first.path, second.path);
  assert.match(
    first.path,
    new RegExp(`events\\.out\\.tfevents\\.\\d{10}\\.[\\w.-]+\\.${process.pid}$`),
  );
  const bytes = readFileSync(first.path);
  bytes[20] ^= 1;
  assert.throws(() => parseRecords(bytes), /^the record at 0 is corrupt$/);
});

const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(60));

function run(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
  });
  assert.is(status, 0, stderr);
  return stdout;
}

function trainRun(steps: number, out = join(newFolder(), "run")): string {
  const sizes = ["--n-layer", "1", "--n-embd", "8", "--n-head", "2", "--block-size", "8"];
  const intervals = ["--eval-iters", "1", "--eval-interval", "4", "--log-interval", "1"];
  const options = ["--data", text, "--device", "ts", ...sizes, ...intervals];
  run("train", ...options, "--max-iters", String(steps), "--out", out, "--tensorboard");
  return out;
}

function findEventFiles(out: string): string[] {
  const all = readdirSync(out).filter((name) => name.startsWith("events.out.tfevents."));
  return all.sort().map((name) => join(out, name));
}

/** Returns the values of rows by tag, rounded to f32. */
function getScalars(all: readonly MetricsRow[]): Record<string, [step: number, value: number][]> {
  const entries = Object.entries(metricNames).map(([tag, key]) => {
    const points = all.flatMap((row) => {
      const value = row[key];
      return value === undefined ? [] : [[row.step, Math.fround(value)] as [number, number]];
    });
    return [tag, points] as const;
  });
  return Object.fromEntries(entries);
}

test("train --tensorboard writes metrics; a resumed run writes a file with the rest", () => {
  const out = trainRun(6);
  const before = readRows(out);
  const [first] = findEventFiles(out);
  const losses = (file: string) =>
    readEvents(file)
      .filter(({ scalars }) => "loss/batch" in scalars)
      .map(({ step, scalars }) => [step, scalars["loss/batch"]]);
  assert.equal(losses(first), getScalars(before)["loss/batch"]);
  run("train", "--resume", out, "--max-iters", "9", "--tensorboard");
  const [, second, ...others] = findEventFiles(out);
  assert.is(others.length, 0);
  const after = readRows(out).filter(({ step }) => step >= 6);
  assert.equal(losses(second), getScalars(after)["loss/batch"]);
  assert.equal(readEvents(second).find(({ session }) => session)?.step, 6);
  assert.is(
    readEvents(first).find(({ session }) => session),
    undefined,
  );
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
  test("TensorBoard reads the same values; each step of a resumed run appears once", () => {
    const out = trainRun(6);
    run("train", "--resume", out, "--max-iters", "9", "--tensorboard");
    const { status, stdout, stderr } = spawnSync("python3", ["-c", reader, out], {
      encoding: "utf8",
    });
    assert.is(status, 0, stderr);
    const { points, text } = JSON.parse(stdout);
    assert.equal(points, getScalars(readRows(out)));
    assert.match(text, /^\| option \| value \|\n/);
    assert.match(text, /^\| nEmbd \| 8 \|$/m);
  });
} else
  console.log("skipped: TensorBoard reads the same values (python3 has no module tensorboard)");

test("export --csv writes the metrics, and prints the number of rows", () => {
  const out = trainRun(5);
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
  const runExport = (...args: string[]) =>
    spawnSync(process.execPath, [program, "export", ...args], { encoding: "utf8" });
  const withoutTarget = runExport("--run", out);
  assert.is(withoutTarget.status, 2);
  assert.match(withoutTarget.stderr, /export: --out DIR or --csv FILE is required/);
  const withoutMetrics = runExport("--run", folder, "--csv", file);
  assert.is(withoutMetrics.status, 2);
  assert.match(withoutMetrics.stderr, /has no metrics\.jsonl/);
});

test("an event that cannot be written: one warning, and the file stays readable", async () => {
  const warnings: string[] = [];
  const events = new EventFile(newFolder(), {}, 0, (message) => warnings.push(message));
  const start = readFileSync(events.path);
  await withPatchedFs(makeFullDisk(20), () => {
    events.append({ step: 1, loss: 2, elapsedSeconds: 1 });
    events.append({ step: 2, loss: 2, elapsedSeconds: 1 });
  });
  assert.equal(readFileSync(events.path), start, "a part of a record would hide those after it");
  assert.is(warnings.length, 1);
  assert.match(
    warnings[0],
    /events\.out\.tfevents\.\S+: no space left on the disk \(ENOSPC\); training/,
  );
  events.append({ step: 3, loss: 2, elapsedSeconds: 1 });
  assert.ok(readFileSync(events.path).length > start.length);
});

test.run();
