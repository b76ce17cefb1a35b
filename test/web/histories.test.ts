// What the dashboard's server keeps, and what it reads: metrics of any content and length, many
// runs, snapshots and pages, and pages that do not read.

import { execFileSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EventBroadcaster } from "#src/web/events.js";
import { MAX_CHUNK_BYTES, readRowsFrom, START } from "#src/web/metrics-reader.js";
import type { Events, ReadPosition, RunInfo } from "#src/web/protocol.js";
import { RunIndex } from "#src/web/run-index.js";
import { createRunRoutes } from "#src/web/run-routes.js";
import { serve } from "#src/web/server.js";
import { SnapshotHistory } from "#src/web/snapshot-history.js";
import { receiveEvents, send } from "../support/http.js";
import { canTest, canTestPipes, isWine } from "../support/platform.js";

const test = suite("web/histories");
const folder = mkdtempSync(join(tmpdir(), "tinybard-histories-"));
test.after(() => rmSync(folder, { recursive: true }));

function createRun(name: string, metrics: string): string {
  const run = join(folder, name);
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "config.json"), "{}");
  writeFileSync(join(run, "metrics.jsonl"), metrics);
  return run;
}

const formatRow = (step: number) => `${JSON.stringify({ step, loss: 2, elapsedSeconds: step })}\n`;
const formatRows = (count: number) =>
  Array.from({ length: count }, (_, i) => formatRow(i)).join("");

/** Reads a file chunk by chunk. Returns its steps, "replaced" between them, and the position. */
function readAll(file: string, from: ReadPosition = START) {
  const steps: (number | string)[] = [];
  let position = from;
  for (;;) {
    const chunk = readRowsFrom(file, position);
    if (chunk === "replaced") {
      steps.push(chunk);
      position = START;
      continue;
    }
    steps.push(...chunk.rows.map(({ step }) => step));
    if (chunk.next === position.next) return { steps, position };
    position = { next: chunk.next, mark: chunk.mark };
  }
}

/** A server for the runs in a folder. */
async function startServer(parent: string) {
  const runs = new RunIndex(join(parent, "any"), null, { device: "ts", peak: 1 });
  const events = new EventBroadcaster(runs, () => {});
  const { server, url } = await serve(
    createRunRoutes(runs, events, () => false),
    18_300,
  );
  return { url, events, close: () => closeServer(server, events) };
}

function closeServer(server: Server, events: EventBroadcaster): void {
  events.close();
  server.closeAllConnections();
  server.close();
}

test("lines that are not rows are passed over, and the rows around them arrive once", () => {
  const damaged = [
    "",
    "null",
    "[1]",
    '"text"',
    "7",
    "{}",
    "{",
    '{"step":null}',
    '{"step":"3"}',
    '{"step":1e999}',
    '{"loss":1}',
    '{"step":{"step":3}}',
    '{"__proto__":{"step":3}}',
    "\0\0\0",
    "\ufffd\ufffd",
    `{"step":3,"x":${"[".repeat(1e4)}`,
    `{"step":3,"text":"${"x".repeat(10_000_000)}"}`,
    `{"step":3,"text":"${"\\n".repeat(MAX_CHUNK_BYTES)}"}`,
    `${"x".repeat(MAX_CHUNK_BYTES)}${formatRow(3).trim()}`, // its second chunk looks like a row
    " ".repeat(MAX_CHUNK_BYTES - 1),
    " ".repeat(MAX_CHUNK_BYTES),
    " ".repeat(2 * MAX_CHUNK_BYTES),
  ];
  const text = damaged.map((line, i) => `${formatRow(i)}${line}\n`).join("");
  const run = createRun("damaged", text + formatRow(99));
  const expected = [...damaged.keys(), 99];
  const { steps, position } = readAll(join(run, "metrics.jsonl"));
  assert.equal(steps, expected);
  assert.is(position.next, Buffer.byteLength(text + formatRow(99)));
});

test("an incomplete line is read once it is complete, however long it is", () => {
  const run = createRun("growing", formatRow(1));
  const file = join(run, "metrics.jsonl");
  let { steps, position } = readAll(file);
  const append = (text: string) => {
    appendFileSync(file, text);
    ({ steps, position } = readAll(file, position));
    return steps;
  };
  assert.equal(append('{"step":2,"elapsed'), []);
  assert.equal(append('Seconds":2}'), []);
  assert.equal(append("\n"), [2]);
  assert.equal(append("x".repeat(3 * MAX_CHUNK_BYTES + 7)), []);
  assert.equal(append(formatRow(3)), []); // the end of that line
  assert.equal(append(formatRow(4)), [4]);
});

test("a file that was replaced, removed or is a pipe is read from the beginning", () => {
  const run = createRun("replaced", formatRows(10));
  const file = join(run, "metrics.jsonl");
  const { position } = readAll(file);
  writeFileSync(file, formatRow(7));
  assert.equal(readAll(file, position).steps, ["replaced", 7]);
  rmSync(file);
  assert.equal(readAll(file, position).steps, ["replaced"]);
  assert.equal(readAll(file).steps, []);
  mkdirSync(file);
  assert.equal(readAll(file, position).steps, ["replaced"]);
  rmSync(file, { recursive: true });
  if (!canTestPipes("a pipe in place of metrics.jsonl")) return;
  execFileSync("mkfifo", [file]);
  assert.equal(readAll(file, position).steps, ["replaced"]);
});

test("a page learns that a run was replaced by a new one of the same name, or removed", async () => {
  const parent = join(folder, "names");
  createRun("names/a", formatRows(5));
  createRun("names/b", formatRows(2));
  const { url, close } = await startServer(parent);
  const stream = receiveEvents(`${url}events?after=a`, (events) =>
    events.some(
      ({ name, data }) => name === "rows" && (data as Events["rows"]).rows[0]?.step === 42,
    ),
  );
  await sleep(400);
  renameSync(join(parent, "a"), join(folder, "names-old"));
  renameSync(join(parent, "b"), join(parent, "a"));
  writeFileSync(join(parent, "a", "metrics.jsonl"), formatRow(42));
  const names = (await stream).map(({ name }) => name);
  assert.ok(names.includes("restart"), String(names));
  assert.equal(names.filter((name) => name === "rows").length, 2);
  rmSync(join(parent, "a"), { recursive: true });
  await sleep(600);
  assert.is((await send(`${url}events?after=a`)).status, 404);
  assert.equal(JSON.parse((await send(`${url}runs`)).body), []);
  rmSync(parent, { recursive: true }); // the folder of all runs disappears as well
  await sleep(600);
  assert.equal(JSON.parse((await send(`${url}runs`)).body), []);
  close();
});

test("pipes and folders in a run, and configs that are not runs, do not hang the server", async () => {
  const parent = join(folder, "odd");
  createRun("odd/good", formatRow(1));
  mkdirSync(join(parent, "folder", "config.json"), { recursive: true });
  createRun("odd/list", formatRow(1));
  writeFileSync(join(parent, "list", "config.json"), "[]");
  createRun("odd/huge", formatRow(1));
  writeFileSync(join(parent, "huge", "config.json"), `{"nEmbd":1e15,"nLayer":1e15,"nHead":1}`);
  mkdirSync(join(parent, "weights", "best"), { recursive: true });
  writeFileSync(join(parent, "weights", "config.json"), "{}");
  if (canTestPipes("pipes in a run of the dashboard")) {
    mkdirSync(join(parent, "pipe"));
    execFileSync("mkfifo", [join(parent, "pipe", "config.json")]);
    for (const name of ["best/model.safetensors", "best/state.json", "metrics.jsonl"])
      execFileSync("mkfifo", [join(parent, "weights", name)]);
  }
  const { url, close } = await startServer(parent);
  const infos: RunInfo[] = JSON.parse((await send(`${url}runs`)).body);
  const names = infos.map(({ name }) => name);
  assert.ok(names.includes("good"));
  assert.not(names.includes("folder") || names.includes("list") || names.includes("pipe"));
  assert.is((await send(`${url}runs/pipe/metrics.csv`)).status, 404);
  const events = await receiveEvents(`${url}events?after=good,weights`, ({ length }) => length > 0);
  assert.is((events[0].data as Events["rows"]).run, "good");
  close();
});

test("snapshots are thinned: at most 64 of a run, the first and the last, and 32 MB of all", () => {
  const history = new SnapshotHistory();
  const add = (run: string, step: number, sample = "") =>
    history.add({ run, step, sample, histograms: [] });
  const getSteps = (run: string) => {
    const steps: number[] = [];
    for (let id = 0; ; ) {
      const entry = history.findAfter(id, (name) => name === run);
      if (!entry) return steps;
      steps.push(entry.step);
      id = entry.id;
    }
  };
  for (let step = 0; step < 10_000; step++) add("a", step);
  const steps = getSteps("a");
  assert.ok(steps.length > 30 && steps.length <= 64, String(steps.length));
  assert.equal([steps[0], steps.at(-1)], [0, 9999]);
  assert.equal(
    steps,
    [...steps].sort((x, y) => x - y),
  );
  add("b", 1);
  add("a", 5000); // resumed from an earlier checkpoint
  assert.is(getSteps("a").at(-1), 5000);
  assert.ok(getSteps("a").every((step) => step <= 5000));
  assert.equal(getSteps("b"), [1]);
  for (let step = 0; step < 60; step++) add("large", step, "x".repeat(2 ** 20));
  const largeSteps = getSteps("large");
  assert.is(largeSteps.length, 31);
  assert.is(largeSteps.at(-1), 59);
  add("larger", 1, "x".repeat(2 ** 26));
  assert.equal(getSteps("larger"), []);
});

test("pages that read nothing cost no memory, and receive all that matters when they read", async () => {
  const parent = join(folder, "stalled");
  const padding = "x".repeat(1000);
  const rows = Array.from({ length: 20_000 }, (_, step) =>
    JSON.stringify({ step, loss: 1, padding }),
  );
  createRun("stalled/a", `${rows.join("\n")}\n`); // 20 MB
  const { url, events, close } = await startServer(parent);
  const { port, host } = new URL(url);
  const before = process.memoryUsage().rss;
  const sockets: Socket[] = [];
  for (let i = 0; i < 30; i++) {
    const socket = connect(Number(port), "127.0.0.1");
    socket.pause().on("error", () => {});
    socket.write(`GET /events?after=a HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    sockets.push(socket);
  }
  let steady = 0;
  for (let i = 0; i < 200 && steady < 10; i++) {
    const { rss } = process.memoryUsage();
    await sleep(50);
    steady = Math.abs(process.memoryUsage().rss - rss) < 1e6 ? steady + 1 : 0;
  }
  const run = `a${"x".repeat(10_000)}`;
  for (let step = 0; step < 2000; step++)
    events.sendStatus({ run, state: "training", step, maxIters: 1e6, saved: null });
  for (let step = 0; step < 100; step++)
    events.sendSnapshot({ run: "a", step, sample: "x".repeat(1e5), histograms: [] });
  const megabytes = (process.memoryUsage().rss - before) / 1e6;
  // rows of 600 MB, statuses of 600 MB, and snapshots of 200 MB
  assert.ok(megabytes < 200, `${megabytes} MB`);
  for (const socket of sockets.splice(1)) socket.destroy();
  let text = "";
  sockets[0].setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  sockets[0].resume();
  for (let i = 0; i < 400 && !text.includes('"step":99,"sample"'); i++) await sleep(50);
  const received = [...text.matchAll(/"step":(\d+),"loss"/g)].map(([, step]) => Number(step));
  assert.is(received.length, 20_000);
  assert.ok(received.every((step, i) => step === i));
  assert.match(text, /"state":"training","step":1999,/);
  assert.ok([...text.matchAll(/event: status/g)].length < 100);
  sockets[0].destroy();
  close();
});

test("2000 runs are listed, and other requests are answered in the meantime", async () => {
  const parent = join(folder, "many");
  for (let i = 0; i < 2000; i++) {
    mkdirSync(join(parent, `run ${i}`), { recursive: true });
    writeFileSync(join(parent, `run ${i}`, "config.json"), "{}");
  }
  const { url, close } = await startServer(parent);
  const listing = send(`${url}runs`);
  await sleep(10);
  const start = performance.now();
  assert.is((await send(`${url}none`)).status, 404);
  const milliseconds = performance.now() - start;
  const what = "the time of a request while runs are listed";
  if (canTest(!isWine, what, "Wine takes milliseconds to open a file"))
    assert.ok(milliseconds < 1000, `${milliseconds} ms`);
  assert.is(JSON.parse((await listing).body).length, 2000);
  close();
});

test("a long file of metrics is exported as CSV without reading them at once", async () => {
  const parent = join(folder, "exported");
  createRun("exported/a", formatRows(2e5));
  const { url, close } = await startServer(parent);
  const { status, body } = await send(`${url}runs/a/metrics.csv`);
  assert.is(status, 200);
  const lines = body.split("\r\n");
  assert.is(lines.length, 2e5 + 2);
  assert.is(lines[2e5], "199999,199999,2,,,,,");
  close();
});

test.run();
