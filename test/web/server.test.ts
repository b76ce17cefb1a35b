// The dashboard's server over HTTP: information about runs, rejected requests, and control of the
// training that runs in the same process.

import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { devices, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Dashboard, openDashboard } from "#src/web/dashboard.js";
import type { Events, RunInfo, Status } from "#src/web/protocol.js";
import { computeHistogram } from "#src/web/snapshot.js";
import {
  jsonHeaders,
  type ReceivedEvent,
  receiveEvents,
  send,
  sendBytes,
} from "../support/http.js";
import { canTest, isWine } from "../support/platform.js";

const test = suite("web/server");
const folder = mkdtempSync(join(tmpdir(), "tinybard-web-"));
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(200));
const hasCpu = devices().some(({ name, available }) => name === "cpu" && available);
const tiny = {
  data: text,
  device: hasCpu ? ("cpu" as const) : ("ts" as const), // the device of the dashboard
  nLayer: 1,
  nHead: 2,
  nEmbd: 8,
  blockSize: 8,
  batchSize: 2,
  evalIters: 1,
};
const openDashboards: Dashboard[] = [];
test.after(async () => {
  for (const dashboard of openDashboards) await dashboard.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens a dashboard that shows the runs of this test, on the first free port from 17860 on. */
async function startDashboard({ isLive = false } = {}): Promise<Dashboard> {
  const live = isLive ? { parameters: 100, device: "cpu", peak: 1e9 } : null;
  const run = await finishedRun;
  const dashboard = await openDashboard({ port: 17860, token: false });
  openDashboards.push(dashboard);
  await dashboard.show({ run, live, maxIters: 10 });
  return dashboard;
}

const finishedRun = train({
  ...tiny,
  maxIters: 20,
  evalInterval: 10,
  out: join(folder, "runs", "a"),
}).then(({ out }) => out);

test("serves the page and its assets, and the page loads nothing from other hosts", async () => {
  const { url } = await startDashboard();
  const page = await send(url);
  assert.is(page.status, 200);
  assert.match(String(page.headers["content-security-policy"]), /default-src 'none'/);
  const paths = [...page.body.matchAll(/(?:href|src)="(\/[^"]*)"/g)].map(([, path]) => path);
  assert.ok(paths.length >= 3);
  assert.not.match(page.body, /https?:\/\//);
  for (const path of [...paths, "/uplot.js"])
    assert.is((await send(new URL(path, url).href)).status, 200, path);
});

test("lists runs, sends their rows as events, and exports them as CSV", async () => {
  const { url } = await startDashboard();
  const runs: RunInfo[] = JSON.parse((await send(`${url}runs`)).body);
  assert.equal(
    runs.map(({ name, isLive, hasCheckpoint }) => [name, isLive, hasCheckpoint]),
    [["a", false, true]],
  );
  assert.is(runs[0].config.nEmbd, 8);
  assert.ok((runs[0].peak ?? 0) > 1e6, "the matmul rate of the training device is measured");
  const { model } = await train({ ...tiny, maxIters: 0, out: join(folder, "counted") });
  assert.is(
    runs[0].parameters,
    [...model.parameters()].reduce((sum, w) => sum + w.size, 0),
  );

  const file = readFileSync(join(folder, "runs", "a", "metrics.jsonl"), "utf8");
  const rows = file
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const [first] = await receiveEvents(`${url}events?after=a:0`, ({ length }) => length > 0);
  const received = first.data as Events["rows"];
  assert.equal(received.rows, rows);
  assert.is(received.next, Buffer.byteLength(file));
  assert.is(first.id, `a:${received.next}:${received.mark}`);

  const csv = await send(`${url}runs/a/metrics.csv`);
  const [head, ...lines] = csv.body.trimEnd().split("\r\n");
  assert.match(head, /^step,elapsedSeconds,loss,/);
  assert.is(lines.length, rows.length);
  assert.is(lines[0].split(",")[2], String(rows[0].loss));
});

test("events continue at the read position, and restart after a file was truncated", async () => {
  const { url } = await startDashboard();
  const file = join(folder, "runs", "growing", "metrics.jsonl");
  mkdirSync(join(folder, "runs", "growing"), { recursive: true });
  writeFileSync(
    join(folder, "runs", "growing", "config.json"),
    readFileSync(join(await finishedRun, "config.json")),
  );
  const line = (step: number) => `${JSON.stringify({ step, elapsedSeconds: step })}\n`;
  writeFileSync(file, line(1) + line(2));
  const getSteps = (events: ReceivedEvent[]) =>
    events.flatMap<number | string>(({ name, data }) =>
      name === "rows" ? (data as Events["rows"]).rows.map(({ step }) => step) : [name],
    );
  const receiveUntilStep = (step: number, after: string, headers = {}) =>
    receiveEvents(
      `${url}events?after=${after}`,
      (events) => getSteps(events).includes(step),
      headers,
    );
  const receiving = receiveUntilStep(9, "growing:0");
  await sleep(300);
  appendFileSync(file, `${line(3)}{"step":4,"elapsed`); // a partially written line
  await sleep(600);
  appendFileSync(file, 'Seconds":4}\n');
  await sleep(600);
  writeFileSync(file, line(1) + line(9)); // resumed from an earlier step
  const ignored = ["snapshot", "runs"];
  const events = (await receiving).filter(({ name }) => !ignored.includes(name));
  assert.equal(getSteps(events), [1, 2, 3, 4, "restart", 1, 9]);

  appendFileSync(file, line(10));
  // when a browser reconnects, its last-event-id overrides the query
  const { id } = events[events.length - 1];
  const reconnected = await receiveUntilStep(10, "growing:0", { "last-event-id": id });
  assert.equal(getSteps(reconnected.filter(({ name }) => name === "rows")), [10]);

  // resumed from an earlier step while the page was disconnected, and already longer than before
  const lastId = reconnected[reconnected.length - 1].id;
  writeFileSync(file, line(1) + line(5) + line(6) + line(7) + line(11));
  const replaced = await receiveUntilStep(11, lastId);
  const relevant = replaced.filter(({ name }) => name === "rows" || name === "restart");
  assert.equal(getSteps(relevant), ["restart", 1, 5, 6, 7, 11]);
  rmSync(join(folder, "runs", "growing"), { recursive: true });
});

test("a snapshot of a checkpoint has a sample and histograms of all parameters", async () => {
  const { url } = await startDashboard();
  const isSnapshot = ({ name }: ReceivedEvent) => name === "snapshot";
  const events = await receiveEvents(`${url}events?after=a:0`, (all) => all.some(isSnapshot));
  const snapshot = events.find(isSnapshot)?.data as Events["snapshot"];
  assert.is(snapshot.step, 20);
  assert.is(snapshot.sample.length, 200);
  const wte = snapshot.histograms.find(({ name }) => name === "wte.weight");
  assert.is(
    wte?.weight.counts.reduce((sum, n) => sum + n),
    8 * new Set(readFileSync(text, "utf8")).size,
  );
  assert.ok((wte?.gradient?.high ?? 0) > 0);
});

test("computeHistogram counts finite values in 40 bins", () => {
  const { low, high, counts } = computeHistogram([0, 1, 1, 4, Number.NaN, Infinity, -Infinity]);
  assert.equal([low, high], [0, 4]);
  assert.equal([counts[0], counts[10], counts[39], counts.length], [1, 2, 1, 40]);
  assert.is(computeHistogram([3, 3]).counts[0], 2);
  assert.is(
    computeHistogram([Number.NaN]).counts.reduce((sum, n) => sum + n),
    0,
  );
});

test("requests that do not come from its own page are rejected", async () => {
  const { url } = await startDashboard({ isLive: true });
  const { port } = new URL(url);
  const getStatus = async (path: string, options = {}) =>
    (await send(`${url}${path}`, options)).status;
  assert.is(await getStatus("runs", { headers: { host: `evil.example:${port}` } }), 421);
  assert.is(await getStatus("runs", { headers: { host: "127.0.0.1" } }), 421);
  assert.is(await getStatus("runs", { headers: { host: `localhost:${port}` } }), 200);
  assert.is(await getStatus("runs", { headers: { origin: "http://evil.example" } }), 403);
  assert.is(await getStatus("runs", { headers: { origin: "null" } }), 403);
  assert.is(await getStatus("runs", { headers: { "sec-fetch-site": "cross-site" } }), 403);
  const pause = { method: "POST", headers: jsonHeaders, body: '{"action":"pause"}' };
  assert.is(await getStatus("control", pause), 202);
  // a content type that an HTML form can send
  const form = { ...pause, headers: { "content-type": "text/plain" } };
  assert.is(await getStatus("control", form), 415);
  assert.is(
    await getStatus("control", {
      ...pause,
      headers: { ...jsonHeaders, origin: "http://evil.example" },
    }),
    403,
  );
});

test("invalid requests are rejected with a message, and the server keeps running", async () => {
  const { url } = await startDashboard();
  const post = (body: string) =>
    send(`${url}control`, { method: "POST", headers: jsonHeaders, body });
  for (const [body, status, message] of [
    ['{"action":"pause"}', 409, /no run is being trained/],
    ['{"action":"erase"}', 400, /unknown action, expected one of pause/],
    ['{"action":7}', 400, /action is number/],
    ["{}", 400, /action is undefined/],
    ['{"action":"save","x":1}', 400, /unknown field x/],
    ['{"__proto__":{"action":"save"}}', 400, /unknown field __proto__/],
    ["[]", 400, /not a JSON object/],
    ["null", 400, /not a JSON object/],
    ["{", 400, /not JSON/],
    [`{"action":"${"x".repeat(70_000)}"}`, 413, /more than 65536 bytes/],
  ] as const) {
    const response = await post(body);
    assert.is(response.status, status, body.slice(0, 60));
    assert.match(JSON.parse(response.body).error, message);
  }
  for (const [path, method, status] of [
    ["nothing", "GET", 404],
    ["runs", "DELETE", 405],
    ["", "POST", 405],
    ["runs/none/metrics.csv", "GET", 404],
    ["runs/..%2f..%2fetc/metrics.csv", "GET", 404],
    ["runs/..%5c../metrics.csv", "GET", 404],
    ["runs/%2e%2e/metrics.csv", "GET", 404],
    ["runs/%00/metrics.csv", "GET", 404],
    ["runs/%/metrics.csv", "GET", 400],
    ["page/../../package.json", "GET", 404],
    ["events?after=none:0", "GET", 404],
    [`runs?${"x".repeat(9000)}`, "GET", 414],
  ] as const)
    assert.is(
      (await send(`${url}${path}`, { method, headers: jsonHeaders, body: "" })).status,
      status,
      path,
    );
  for (const wire of [
    "\r\n\r\n",
    "GET\r\n\r\n",
    "GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
    `GET / HTTP/1.1\r\nX: ${"y".repeat(50_000)}\r\n\r\n`,
  ]) {
    const response = await sendBytes(Number(new URL(url).port), wire);
    assert.match(response, /^(HTTP\/1\.1 4\d\d |$)/, wire.slice(0, 20));
  }
  assert.is((await send(`${url}runs`)).status, 200);
});

test("it only listens on the loopback address, and at the next port if one is in use", async () => {
  const first = await startDashboard();
  const second = await startDashboard();
  const ports = [first, second].map(({ url }) => Number(new URL(url).port));
  assert.ok(ports[1] > ports[0]);
  for (const { url } of [first, second]) assert.is(new URL(url).hostname, "127.0.0.1");
  const result = await fetch(`http://[::1]:${ports[0]}/`).then(
    () => "accepted",
    () => "rejected",
  );
  assert.is(result, "rejected");
});

test("pause, resume, save and stop reach the training loop, and are confirmed", async () => {
  const out = join(folder, "runs", "live");
  let dashboard: Dashboard | undefined;
  const hooks = () => (dashboard as Dashboard).hooks;
  const training = train(
    { ...tiny, maxIters: 1e6, evalInterval: 1e6, out },
    {
      async start({ config }) {
        const live = { parameters: 1, device: "ts", peak: 1 };
        const { maxIters } = config;
        const opened = await openDashboard({ port: 17860, token: false });
        openDashboards.push(opened);
        await opened.show({ run: out, live, maxIters });
        dashboard = opened;
      },
      step: (row) => hooks().step(row),
      stop: () => hooks().stop(),
      save: () => hooks().save(),
      saved: (step) => hooks().saved(step),
      paused: () => hooks().paused(),
    },
  );
  while (!dashboard) await sleep(10);
  const { url } = dashboard;
  const control = (action: string) =>
    send(`${url}control`, {
      method: "POST",
      headers: jsonHeaders,
      body: JSON.stringify({ action }),
    });
  const waitForStatus = async (isExpected: (status: Status) => boolean) => {
    const getStatuses = (events: ReceivedEvent[]) =>
      events.filter(({ name }) => name === "status").map(({ data }) => data as Status);
    const events = await receiveEvents(`${url}events?after=`, (received) =>
      getStatuses(received).some(isExpected),
    );
    return getStatuses(events).find(isExpected) as Status;
  };
  assert.ok((await waitForStatus(({ step }) => step > 5)).step > 5);
  await control("pause");
  const { step } = await waitForStatus(({ state }) => state === "paused");
  await sleep(400);
  assert.ok((await waitForStatus(() => true)).step <= step + 1, "a paused run continues");
  await control("save");
  const { saved } = await waitForStatus(({ saved }) => saved !== null);
  const onDisk = JSON.parse(readFileSync(join(out, "last", "state.json"), "utf8"));
  assert.is(onDisk.step, saved);
  await control("resume");
  const isResumed = ({ state, step }: Status) =>
    state === "training" && step > (saved as number) + 5;
  await waitForStatus(isResumed);
  await control("pause");
  await waitForStatus(({ state }) => state === "paused");
  await control("stop"); // also stops a paused run
  const { stopped, state } = await training;
  assert.ok(stopped);
  assert.ok(state.step > (saved as number));
});

test("a client that reads nothing does not slow the server down", async () => {
  const run = join(folder, "runs", "long");
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "config.json"), readFileSync(join(await finishedRun, "config.json")));
  const line = (step: number) =>
    `${JSON.stringify({ step, loss: 1 / step, elapsedSeconds: step })}\n`;
  writeFileSync(
    join(run, "metrics.jsonl"),
    Array.from({ length: 1e5 }, (_, i) => line(i + 1)).join(""),
  );
  const { url } = await startDashboard();
  const { port } = new URL(url);
  const idleClient = connect(Number(port), "127.0.0.1");
  idleClient.pause();
  idleClient.write(`GET /events?after=long:0 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await sleep(500);
  const countRows = (events: ReceivedEvent[]) =>
    events
      .filter(({ name }) => name === "rows")
      .reduce((sum, { data }) => sum + (data as Events["rows"]).rows.length, 0);
  const start = performance.now();
  const events = await receiveEvents(
    `${url}events?after=long:0`,
    (received) => countRows(received) >= 1e5,
  );
  assert.is(countRows(events), 1e5);
  const seconds = (performance.now() - start) / 1000;
  if (canTest(!isWine, "the time in which 100,000 rows arrive", "Wine slows down sockets"))
    assert.ok(seconds < 10, `${seconds} s`);
  idleClient.destroy();
  rmSync(run, { recursive: true });
});

test.run();
