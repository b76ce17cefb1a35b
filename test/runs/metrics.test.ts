// metrics.jsonl: readers pass over damaged lines, resuming keeps good ones in their bytes, and a
// file that cannot be written costs a warning. loss.svg: thinned, whatever the number of rows.

import { execFileSync } from "node:child_process";
import fs, { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { FileError } from "#src/files/file-error.js";
import { toCSV, writeCSV } from "#src/runs/csv.js";
import { LossPlot } from "#src/runs/loss-plot.js";
import {
  dropRowsFrom,
  formatRow,
  iterateRows,
  type MetricsRow,
  parseRow,
  readRows,
} from "#src/runs/metrics.js";
import { MetricsLog } from "#src/runs/metrics-log.js";
import { diskErrors, makeFullDisk, recordSyncs, withPatchedFs } from "../support/faults.js";
import { canTestPipes, isWindows } from "../support/platform.js";

const test = suite("runs/metrics");
let folder: string;
let file: string;
test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), "tinybard-metrics-"));
  file = join(folder, "metrics.jsonl");
});
test.after.each(() => rmSync(folder, { recursive: true }));

const row = (step: number): MetricsRow => ({ step, loss: 3 - step / 100, elapsedSeconds: step });
const readSteps = () => readRows(folder).map(({ step }) => step);

const damagedLines = [
  "",
  "  \t",
  '{"step":4,"lo',
  '"step":4}',
  "null",
  "\0\0\0\0\0\0",
  `${"\0".repeat(300)}{"step":4,"loss":1}`,
  "[4]",
  "4",
  '"step"',
  "{}",
  '{"step":null}',
  '{"step":"4"}',
  '{"step":-1}',
  '{"step":1e999}',
  '{"step":4,"loss":"2.5"}',
  '{"step":4,"valLoss":[2.5]}',
  '{"step":4,"lr":true}',
  '{"step":4,"loss":1e999}',
  '{"step":4,"loss":NaN}',
  '{"step":4,"loss":2.5}{"step":5,"loss":2.5}',
  "[".repeat(60_000),
  "x".repeat(3_000_000),
  "\ufffd\u0001",
];

test("every reader passes over damaged lines", () => {
  for (const line of damagedLines) assert.is(parseRow(line), null, line.slice(0, 40));
  for (const line of damagedLines) {
    writeFileSync(file, `${formatRow(row(0))}${line}\n${formatRow(row(5))}`);
    assert.equal(readSteps(), [0, 5], line.slice(0, 40));
    assert.is(writeCSV(join(folder, "a.csv"), folder).count, 2);
    mkdirSync(join(folder, "last"), { recursive: true });
    for (const name of ["metrics.jsonl", "config.json", "last/model.safetensors", "lock.json"])
      assert.throws(() => writeCSV(join(folder, name), folder), /is a file of the run/);
    assert.is(readFileSync(join(folder, "a.csv"), "utf8").split("\r\n").length, 4);
  }
  rmSync(file);
  assert.equal(readRows(folder), []);
});

test("null, as JSON writes NaN, is a missing value; unknown fields are kept", () => {
  assert.equal(parseRow('{"step":3,"loss":null,"gradNorm":2}'), { step: 3, gradNorm: 2 });
  assert.equal(parseRow('{"step":3,"note":"x"}\r\n'), { step: 3, note: "x" });
  writeFileSync(file, '\ufeff{"step":3}\n');
  assert.equal(readRows(folder), [{ step: 3 }]);
});

test("dropping rows keeps good lines in their bytes, and drops later and damaged ones", () => {
  const kept = ['{ "step": 1, "note": "\u00e9\ud83d\ude00" }\r\n', '{"step":2,"loss":1e0}\n'];
  const damaged = damagedLines.filter((line) => line.trim() !== "");
  const lines = [kept[0], ...damagedLines.map((line) => `${line}\n`), '{"step":7}\n', kept[1]];
  writeFileSync(file, `${lines.join("")}{"step":8,"loss":1}\n{"step":1,`);
  const visited: number[] = [];
  assert.is(
    dropRowsFrom(folder, 7, ({ step }) => visited.push(step)),
    damaged.length + 1,
  );
  assert.equal(visited, [1, 2]);
  assert.is(readFileSync(file, "utf8"), kept.join(""));
  const { ino } = fs.statSync(file);
  assert.is(dropRowsFrom(folder, 7), 0);
  assert.is(fs.statSync(file).ino, ino, "an unchanged file is not replaced");
});

test("a complete last line without a newline is kept, and the next row begins a new line", () => {
  writeFileSync(file, `${formatRow(row(0))}{"step":1}`);
  const log = new MetricsLog(folder, 5, assert.unreachable);
  log.append(row(5));
  assert.equal(readSteps(), [0, 1, 5]);
});

test("a line that could not be completed does not damage the next one", async () => {
  const warnings: string[] = [];
  writeFileSync(file, `${formatRow(row(0))}{"step":1,`);
  // the disk is so full that the torn line cannot be dropped
  const log = await withPatchedFs(
    makeFullDisk(0),
    () => new MetricsLog(folder, 1, (message) => warnings.push(message)),
  );
  log.append(row(1));
  assert.equal(readSteps(), [0, 1]);
  assert.is(warnings.length, 1);
  assert.match(warnings[0], /metrics\.jsonl\.tmp: no space left on the disk \(ENOSPC\)/);
});

test("failing writes: one warning that names the file, and later rows are written", async () => {
  for (const code of diskErrors) {
    rmSync(file, { force: true });
    const warnings: string[] = [];
    const log = new MetricsLog(folder, 0, (message) => warnings.push(message));
    log.append(row(0));
    await withPatchedFs(makeFullDisk(10, code), () => {
      log.append(row(1));
      log.append(row(2));
      log.plot({ isFinal: true });
    });
    log.append(row(3));
    log.sync();
    log.plot({ isFinal: true });
    assert.equal(readSteps(), [0, 3], code);
    assert.is(warnings.length, 2);
    assert.ok(warnings[0].startsWith(`${file}: `) && warnings[0].includes(`(${code})`), code);
    assert.ok(warnings[1].startsWith(join(folder, "loss.svg.tmp: ")), warnings[1]);
    assert.ok(fs.existsSync(join(folder, "loss.svg")));
  }
});

test("a folder, a pipe or a device in place of a file: warnings, and nothing waits", () => {
  const obstacles: [kind: string, create: (path: string) => void][] = [
    ["a folder", (path) => mkdirSync(join(path, "inside"), { recursive: true })],
  ];
  if (canTestPipes("a pipe or a device in place of metrics.jsonl")) {
    obstacles.push(["a pipe", (path) => execFileSync("mkfifo", [path])]);
    obstacles.push(["a device", (path) => fs.symlinkSync("/dev/null", path)]);
  }
  for (const [kind, create] of obstacles) {
    for (const path of [file, join(folder, "loss.svg")])
      rmSync(path, { recursive: true, force: true });
    create(file);
    create(join(folder, "loss.svg"));
    const warnings: string[] = [];
    const log = new MetricsLog(folder, 0, (message) => warnings.push(message));
    log.append(row(0));
    log.sync();
    log.plot({ isFinal: true });
    assert.ok(warnings[0].startsWith(`${file}: ${kind}, expected a file`), warnings[0]);
    assert.is(warnings.length, kind === "a folder" ? 2 : 1, kind); // a rename replaces the others
    assert.throws(
      () => readRows(folder),
      (error: Error) => error instanceof FileError,
    );
  }
});

test("rows are on disk before a checkpoint that counts on them", async () => {
  const log = new MetricsLog(folder, 0, assert.unreachable);
  const { patch, calls } = recordSyncs();
  await withPatchedFs(patch, () => {
    log.sync(); // nothing to do
    log.append(row(0));
    log.sync();
    log.sync();
  });
  assert.equal(calls, ["sync metrics.jsonl"]);
});

test("a million rows are read, dropped, converted and plotted in bounded stack and memory", () => {
  const count = 1_000_000;
  const fd = fs.openSync(file, "w");
  for (let step = 0; step < count; step += 10_000) {
    const lines = Array.from({ length: 10_000 }, (_, i) => formatRow(row(step + i)));
    fs.writeSync(fd, lines.join(""));
  }
  fs.writeSync(fd, '{"step":');
  fs.closeSync(fd);
  let read = 0;
  for (const { step } of iterateRows(folder)) assert.is(step, read++);
  assert.is(read, count);
  const warnings: string[] = [];
  const log = new MetricsLog(folder, count - 1, (message) => warnings.push(message));
  assert.match(warnings.join(), /1 damaged line was dropped$/);
  log.append(row(count));
  log.plot({ isFinal: true });
  const svg = readFileSync(join(folder, "loss.svg"), "utf8");
  assert.ok(svg.length < 200_000, `${svg.length}`);
  assert.is(writeCSV(join(folder, "a.csv"), folder).count, count);
});

/** Returns the points of each curve of a plot. */
function getPoints(svg: string | null): [x: number, y: number][][] {
  const polylines = (svg ?? "").matchAll(/<polyline [^>]*points="([^"]*)"/g);
  return Array.from(polylines, ([, points]) =>
    points
      .split(" ")
      .filter(Boolean)
      .map((point) => point.split(",").map(Number) as [number, number]),
  );
}

test("the plot has every row of a short run", () => {
  const plot = new LossPlot();
  assert.is(plot.draw(), null);
  plot.add({ step: 0, loss: 4, valLoss: 3, elapsedSeconds: 0 });
  plot.add({ step: 5, loss: 3, elapsedSeconds: 1 });
  plot.add({ step: 10, loss: 2, valLoss: 2.5, elapsedSeconds: 2 });
  // x = 48 + 656 step / 10, y = 16 + 348 (4 - loss) / 2
  assert.equal(getPoints(plot.draw()), [
    [
      [48, 16],
      [376, 190],
      [704, 364],
    ],
    [],
    [
      [48, 190],
      [704, 277],
    ],
  ]);
});

test("the plot of a long run keeps its lowest and highest losses", () => {
  const plot = new LossPlot();
  const spikes = new Map([
    [12_345, 9],
    [54_321, 1],
  ]);
  for (let step = 0; step < 100_000; step++)
    plot.add({ step, loss: spikes.get(step) ?? 2 + (step % 2), elapsedSeconds: step });
  const [points] = getPoints(plot.draw());
  assert.ok(points.length > 1000 && points.length <= 2048, `${points.length}`);
  const toX = (step: number) => Number((48 + (656 * step) / 99_999).toFixed(1));
  assert.equal(
    points.filter(([, y]) => y === 16),
    [[toX(12_345), 16]],
  );
  assert.equal(
    points.filter(([, y]) => y === 364),
    [[toX(54_321), 364]],
  );
  assert.equal(
    points.map(([x]) => x),
    points.map(([x]) => x).sort((a, b) => a - b),
  );
});

test("CSV: a column for each metric, empty where it is missing", () => {
  const rows = [{ step: 0, elapsedSeconds: 1.5, loss: 2, valLoss: 3 }];
  assert.is(
    [...toCSV(rows)].join(""),
    "step,elapsedSeconds,loss,lr,gradNorm,tokensPerSecond,trainLoss,valLoss\r\n0,1.5,2,,,,,3\r\n",
  );
  writeFileSync(file, formatRow(row(0)));
  const device = isWindows ? "\\\\.\\NUL" : "/dev/null";
  assert.is(writeCSV(device, folder).count, 1);
  assert.ok(fs.statSync(device).isCharacterDevice(), "a device is not replaced");
});

test.run();
