// The dashboard's server as a client meets it: what it tells of runs, what it refuses, and that
// neither hurts the training beside it.

import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
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

const test = suite("web/server");
const folder = mkdtempSync(join(tmpdir(), "tinybard-web-"));
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be, that is the question:\n".repeat(200));
const hasCpu = devices().some(({ name, available }) => name === "cpu" && available);
const tiny = {
  data: text,
  device: hasCpu ? ("cpu" as const) : ("ts" as const), // as the dashboard computes
  nLayer: 1,
  nHead: 2,
  nEmbd: 8,
  blockSize: 8,
  batchSize: 2,
  evalIters: 1,
};
const open: Dashboard[] = [];
test.after(async () => {
  for (const each of open) await each.close();
  rmSync(folder, { recursive: true, force: true });
});

/** A dashboard over the runs of this test, on any free port from 17860 on. */
async function dashboard(live = false): Promise<Dashboard> {
  const known = { parameters: 100, device: "cpu", peak: 1e9 };
  const start = { run: await finished, port: 17860, live: live ? known : null };
  const opened = await openDashboard({ ...start, maxIters: 10 });
  open.push(opened);
  return opened;
}

const finished = train({
  ...tiny,
  maxIters: 20,
  evalInterval: 10,
  out: join(folder, "runs", "a"),
}).then(({ out }) => out);

/** A request as it goes over the wire: status, headers, and the body as text. */
function ask(
  url: string,
  {
    method = "GET",
    headers = {},
    body = "",
  }: { method?: string; headers?: Record<string, string>; body?: string } = {},
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { method, headers }, (response) => {
      let all = "";
      response.setEncoding("utf8").on("data", (chunk) => {
        all += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode as number, headers: response.headers, body: all }),
      );
    });
    asked.on("error", reject).end(body);
  });
}

const json = { "content-type": "application/json" };

/** Listens to events until `enough` says so. */
async function events(
  url: string,
  enough: (all: { name: string; id: string; data: unknown }[]) => boolean,
  headers: Record<string, string> = {},
): Promise<{ name: string; id: string; data: never }[]> {
  const all: { name: string; id: string; data: never }[] = [];
  const abort = new AbortController();
  const response = await fetch(url, { headers, signal: abort.signal });
  assert.is(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  let rest = "";
  const deadline = Date.now() + 20_000;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    rest += Buffer.from(chunk).toString("utf8");
    const parts = rest.split("\n\n");
    rest = parts.pop() as string;
    for (const part of parts) {
      const [, name, id, data] = /^event: (\w+)\nid: (.*)\ndata: (.*)$/.exec(part) ?? [];
      if (name) all.push({ name, id, data: JSON.parse(data) as never });
    }
    if (enough(all)) break;
    assert.ok(Date.now() < deadline, `only ${all.map(({ name }) => name)}`);
  }
  abort.abort();
  return all;
}

test("the page and all that it loads, and nothing from elsewhere", async () => {
  const { url } = await dashboard();
  const page = await ask(url);
  assert.is(page.status, 200);
  assert.match(String(page.headers["content-security-policy"]), /default-src 'none'/);
  const paths = [...page.body.matchAll(/(?:href|src)="(\/[^"]*)"/g)].map(([, path]) => path);
  assert.ok(paths.length >= 3);
  assert.not.match(page.body, /https?:\/\//);
  for (const path of [...paths, "/uplot.js"])
    assert.is((await ask(new URL(path, url).href)).status, 200, path);
});

test("runs, with what is known of them; their rows, and as a table", async () => {
  const { url } = await dashboard();
  const runs: RunInfo[] = JSON.parse((await ask(`${url}runs`)).body);
  assert.equal(
    runs.map(({ name, isLive, hasCheckpoint }) => [name, isLive, hasCheckpoint]),
    [["a", false, true]],
  );
  assert.is(runs[0].config.nEmbd, 8);
  assert.ok(
    (runs[0].peak ?? 0) > 1e6,
    "the speed of the device that it was trained on is measured",
  );
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
  const [first] = await events(`${url}events?after=a:0`, (all) => all.length > 0);
  const told = first.data as Events["rows"];
  assert.equal(told.rows, rows);
  assert.is(told.next, Buffer.byteLength(file));
  assert.is(first.id, `a:${told.next}:${told.mark}`);

  const csv = await ask(`${url}runs/a/metrics.csv`);
  const [head, ...lines] = csv.body.trimEnd().split("\r\n");
  assert.match(head, /^step,elapsedSeconds,loss,/);
  assert.is(lines.length, rows.length);
  assert.is(lines[0].split(",")[2], String(rows[0].loss));
});

test("events go on where a page has been, and begin anew where a file was cut", async () => {
  const { url } = await dashboard();
  const file = join(folder, "runs", "growing", "metrics.jsonl");
  mkdirSync(join(folder, "runs", "growing"), { recursive: true });
  writeFileSync(
    join(folder, "runs", "growing", "config.json"),
    readFileSync(join(await finished, "config.json")),
  );
  const line = (step: number) => `${JSON.stringify({ step, elapsedSeconds: step })}\n`;
  writeFileSync(file, line(1) + line(2));
  const stepsOf = (all: { name: string; data: unknown }[]) =>
    all.flatMap<number | string>(({ name, data }) =>
      name === "rows" ? (data as Events["rows"]).rows.map(({ step }) => step) : [name],
    );
  const listening = events(`${url}events?after=growing:0`, (all) => stepsOf(all).includes(9));
  await sleep(300);
  appendFileSync(file, `${line(3)}{"step":4,"elapsed`); // torn: the writer is not done
  await sleep(600);
  appendFileSync(file, 'Seconds":4}\n');
  await sleep(600);
  writeFileSync(file, line(1) + line(9)); // resumed from before
  const all = (await listening).filter(({ name }) => name !== "snapshot" && name !== "runs");
  assert.equal(stepsOf(all), [1, 2, 3, 4, "restart", 1, 9]);

  const { id } = all[all.length - 1];
  appendFileSync(file, line(10));
  // the browser's own words on reconnecting overrule the address
  const again = await events(`${url}events?after=growing:0`, (all) => stepsOf(all).includes(10), {
    "last-event-id": id,
  });
  assert.equal(stepsOf(again.filter(({ name }) => name === "rows")), [10]);

  // resumed from before while the page was away, and longer by now than it was
  const last = again[again.length - 1].id;
  writeFileSync(file, line(1) + line(8.5) + line(9.5) + line(10.5) + line(11));
  const anew = await events(`${url}events?after=${last}`, (all) => stepsOf(all).includes(11));
  const heard = anew.filter(({ name }) => name === "rows" || name === "restart");
  assert.equal(stepsOf(heard), ["restart", 1, 8.5, 9.5, 10.5, 11]);
  rmSync(join(folder, "runs", "growing"), { recursive: true });
});

test("a glimpse of a checkpoint: a sample, and histograms of all parameters", async () => {
  const { url } = await dashboard();
  const all = await events(`${url}events?after=a:0`, (each) =>
    each.some(({ name }) => name === "snapshot"),
  );
  const glimpse = all.find(({ name }) => name === "snapshot")
    ?.data as unknown as Events["snapshot"];
  assert.is(glimpse.step, 20);
  assert.is(glimpse.sample.length, 200);
  const wte = glimpse.histograms.find(({ name }) => name === "wte.weight");
  assert.is(
    wte?.weight.counts.reduce((sum, n) => sum + n),
    8 * new Set(readFileSync(text, "utf8")).size,
  );
  assert.ok((wte?.gradient?.high ?? 0) > 0);
});

test("how a histogram counts", () => {
  const { low, high, counts } = computeHistogram([0, 1, 1, 4, Number.NaN, Infinity, -Infinity]);
  assert.equal([low, high], [0, 4]);
  assert.equal([counts[0], counts[10], counts[39], counts.length], [1, 2, 1, 40]);
  assert.is(computeHistogram([3, 3]).counts[0], 2);
  assert.is(
    computeHistogram([Number.NaN]).counts.reduce((sum, n) => sum + n),
    0,
  );
});

test("what does not come from its own page is refused", async () => {
  const { url } = await dashboard(true);
  const { port } = new URL(url);
  const statusOf = async (path: string, options = {}) =>
    (await ask(`${url}${path}`, options)).status;
  assert.is(await statusOf("runs", { headers: { host: `evil.example:${port}` } }), 421);
  assert.is(await statusOf("runs", { headers: { host: "127.0.0.1" } }), 421);
  assert.is(await statusOf("runs", { headers: { host: `localhost:${port}` } }), 200);
  assert.is(await statusOf("runs", { headers: { origin: "http://evil.example" } }), 403);
  assert.is(await statusOf("runs", { headers: { origin: "null" } }), 403);
  assert.is(await statusOf("runs", { headers: { "sec-fetch-site": "cross-site" } }), 403);
  const pause = { method: "POST", headers: json, body: '{"action":"pause"}' };
  assert.is(await statusOf("control", pause), 202);
  const form = { ...pause, headers: { "content-type": "text/plain" } }; // what a form can send
  assert.is(await statusOf("control", form), 415);
  assert.is(
    await statusOf("control", { ...pause, headers: { ...json, origin: "http://evil.example" } }),
    403,
  );
});

test("what makes no sense is refused in words, and the server lives on", async () => {
  const { url } = await dashboard();
  const post = (body: string) => ask(`${url}control`, { method: "POST", headers: json, body });
  for (const [body, status, words] of [
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
    const answer = await post(body);
    assert.is(answer.status, status, body.slice(0, 60));
    assert.match(JSON.parse(answer.body).error, words);
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
    ["runs/%/metrics.csv", "GET", 404],
    ["page/../../package.json", "GET", 404],
    ["events?after=none:0", "GET", 404],
    [`runs?${"x".repeat(9000)}`, "GET", 414],
  ] as const)
    assert.is(
      (await ask(`${url}${path}`, { method, headers: json, body: "" })).status,
      status,
      path,
    );
  for (const wire of [
    "\r\n\r\n",
    "GET\r\n\r\n",
    "GET http://evil.example/ HTTP/1.1\r\nHost: x\r\n\r\n",
    `GET / HTTP/1.1\r\nX: ${"y".repeat(50_000)}\r\n\r\n`,
  ]) {
    const answer = await raw(Number(new URL(url).port), wire);
    assert.match(answer, /^(HTTP\/1\.1 4\d\d |$)/, wire.slice(0, 20));
  }
  assert.is((await ask(`${url}runs`)).status, 200);
});

/** What the server says to bytes. */
function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let all = "";
    const socket = connect(port, "127.0.0.1", () => socket.end(bytes));
    socket.on("data", (chunk) => {
      all += chunk;
    });
    socket.on("error", () => resolve(all)).on("close", () => resolve(all));
  });
}

test("it listens on the loopback address alone, and on the next port if one is taken", async () => {
  const [first, second] = [await dashboard(), await dashboard()];
  const ports = [first, second].map(({ url }) => Number(new URL(url).port));
  assert.ok(ports[1] > ports[0]);
  for (const { url } of [first, second]) assert.is(new URL(url).hostname, "127.0.0.1");
  const outside = await fetch(`http://[::1]:${ports[0]}/`).then(
    () => "answered",
    () => "refused",
  );
  assert.is(outside, "refused");
});

test("pause, resume, save and stop reach the training loop, and are confirmed", async () => {
  const out = join(folder, "runs", "live");
  let shown: Dashboard | undefined;
  const hooks = () => (shown as Dashboard).hooks;
  const training = train(
    { ...tiny, maxIters: 1e6, evalInterval: 1e6, out },
    {
      async start({ config }) {
        const start = { run: out, port: 17860, live: { parameters: 1, device: "ts", peak: 1 } };
        shown = await openDashboard({ ...start, maxIters: config.maxIters });
        open.push(shown);
      },
      step: (row) => hooks().step(row),
      stop: () => hooks().stop(),
      save: () => hooks().save(),
      saved: (step) => hooks().saved(step),
      paused: () => hooks().paused(),
    },
  );
  while (!shown) await sleep(10);
  const { url } = shown;
  const say = (action: string) =>
    ask(`${url}control`, { method: "POST", headers: json, body: JSON.stringify({ action }) });
  const status = async (is: (status: Status) => boolean) => {
    const statuses = (all: { name: string; data: unknown }[]) =>
      all.filter(({ name }) => name === "status").map(({ data }) => data as Status);
    const all = await events(`${url}events?after=`, (all) => statuses(all).some(is));
    return statuses(all).find(is) as Status;
  };
  assert.ok((await status(({ step }) => step > 5)).step > 5);
  await say("pause");
  const { step } = await status(({ state }) => state === "paused");
  await sleep(400);
  assert.ok((await status(() => true)).step <= step + 1, "a paused run goes on");
  await say("save");
  const { saved } = await status((each) => each.saved !== null);
  const onDisk = JSON.parse(readFileSync(join(out, "last", "state.json"), "utf8"));
  assert.is(onDisk.step, saved);
  await say("resume");
  await status((each) => each.state === "training" && each.step > (saved as number) + 5);
  await say("pause");
  await status(({ state }) => state === "paused");
  await say("stop"); // a paused run too
  const { stopped, state } = await training;
  assert.ok(stopped);
  assert.ok(state.step > (saved as number));
});

test("a client that reads nothing does not slow the server down", async () => {
  const run = join(folder, "runs", "long");
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "config.json"), readFileSync(join(await finished, "config.json")));
  const line = (step: number) =>
    `${JSON.stringify({ step, loss: 1 / step, elapsedSeconds: step })}\n`;
  writeFileSync(
    join(run, "metrics.jsonl"),
    Array.from({ length: 1e5 }, (_, i) => line(i + 1)).join(""),
  );
  const { url } = await dashboard();
  const { port } = new URL(url);
  const deaf = connect(Number(port), "127.0.0.1");
  deaf.pause();
  deaf.write(`GET /events?after=long:0 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`);
  await sleep(500);
  const countOf = (all: { name: string; data: unknown }[]) =>
    all.reduce(
      (sum, { name, data }) => sum + (name === "rows" ? (data as Events["rows"]).rows.length : 0),
      0,
    );
  const start = performance.now();
  const all = await events(`${url}events?after=long:0`, (all) => countOf(all) >= 1e5);
  assert.is(countOf(all), 1e5);
  assert.ok(performance.now() - start < 10_000);
  deaf.destroy();
  rmSync(run, { recursive: true });
});

test.run();
