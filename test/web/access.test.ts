// Who may use the dashboard's server: the token, the checks of a request's origin, the names of
// runs, and requests that no browser would send.

import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EventBroadcaster } from "#src/web/events.js";
import { graphRoutes } from "#src/web/graph-routes.js";
import { RunIndex } from "#src/web/run-index.js";
import { createRunRoutes } from "#src/web/run-routes.js";
import { serve } from "#src/web/server.js";
import { jsonHeaders, send, sendBytes } from "../support/http.js";
import { canTestLinks } from "../support/platform.js";

const test = suite("web/access");
const folder = mkdtempSync(join(tmpdir(), "tinybard-access-"));
const parent = join(folder, "runs");
const row = '{"step":1,"loss":2,"elapsedSeconds":3}\n';
const csv =
  "step,elapsedSeconds,loss,lr,gradNorm,tokensPerSecond,trainLoss,valLoss\r\n1,3,2,,,,,\r\n";
const servers: Server[] = [];
let events: EventBroadcaster;

/** Creates the folder of a run with one row of metrics. */
function createRun(...path: string[]): void {
  const run = join(folder, ...path);
  mkdirSync(run, { recursive: true });
  writeFileSync(join(run, "config.json"), "{}");
  writeFileSync(join(run, "metrics.jsonl"), row);
}

async function start(token: string | null): Promise<{ url: string; port: number }> {
  const runs = new RunIndex(join(parent, "a"), null, { device: "ts", peak: 1 });
  events = new EventBroadcaster(runs, () => {});
  const routes = { ...createRunRoutes(runs, events, () => true), ...graphRoutes };
  const { server, url } = await serve(routes, 18700, token);
  servers.push(server);
  return { url, port: Number(new URL(url).port) };
}

test.before(() => {
  createRun("runs", "a");
  createRun("outside");
  createRun(); // so that the parent of the parent looks like a run
  createRun("runs"); // and the parent as well
});
test.after.each(() => {
  events.close();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});
test.after(() => rmSync(folder, { recursive: true }));

test("without the token, only the page's scripts and styles are available", async () => {
  const { url, port } = await start("0123456789abcdef");
  const origin = `http://127.0.0.1:${port}`;
  assert.is(url, `${origin}/?token=0123456789abcdef`);
  const wrong = ["", "?token=", "?token=0123456789abcde", "?token=0123456789abcdef0", "?token=é"];
  for (const path of ["/", "/runs", "/events", "/runs/a/metrics.csv", "/runs/a/model", "/none"])
    for (const query of wrong) {
      const { status, body } = await send(encodeURI(`${origin}${path}${query}`));
      assert.is(status, 403, path + query);
      assert.match(JSON.parse(body).error, /open the link that tinybard printed/);
    }
  const pause = { method: "POST", headers: jsonHeaders, body: '{"action":"pause"}' };
  assert.is((await send(`${origin}/control`, pause)).status, 403);
  assert.is((await send(`${origin}/control?token=0123456789abcdef`, pause)).status, 202);
  const get = async (path: string) => (await send(`${origin}${path}`)).status;
  for (const path of ["/", "/runs", "/runs/a/metrics.csv"])
    assert.is(await get(`${path}?token=0123456789abcdef`), 200, path);
  for (const path of ["/style.css", "/page/main.js", "/uplot.js"])
    assert.is(await get(path), 200, path);
  assert.is(await get("/runs?token=0123456789abcdef&token=0"), 400);
});

test("a browser at an address without the token shows words", async () => {
  const { port } = await start("secret");
  const headers = { accept: "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8" };
  const page = await send(`http://127.0.0.1:${port}/`, { headers });
  assert.is(page.status, 403);
  assert.is(page.headers["content-type"], "text/html; charset=utf-8");
  assert.match(page.body, /the address has no token; open the link that tinybard printed/);
  assert.match(String(page.headers["content-security-policy"]), /default-src 'none'/);
  const lines = ["GET /<b>?token=secret HTTP/1.1", `Host: 127.0.0.1:${port}`, "Accept: text/html"];
  const missing = await sendBytes(port, `${lines.join("\r\n")}\r\n\r\n`);
  assert.match(missing, /not found: \/&lt;b&gt;/);
});

test("without a token, none is required", async () => {
  const { url } = await start(null);
  assert.is(new URL(url).search, "");
  assert.is((await send(`${url}runs`)).status, 200);
  assert.is((await send(`${url}runs?token=any`)).status, 200);
});

test("only requests from the page's own origin are accepted", async () => {
  const { url, port } = await start(null);
  const own = `http://127.0.0.1:${port}`;
  const getStatus = async (headers: Record<string, string>) =>
    (await send(`${url}runs`, { headers })).status;
  const getOriginStatus = (origin: string) => getStatus({ origin });
  assert.is(await getOriginStatus(own), 200);
  for (const origin of [
    own.slice(0, -1), // 127.0.0.1:1870, a prefix
    `${own}0`,
    `${own}.evil.example`,
    `${own}@evil.example`,
    `${own}/`,
    `https://127.0.0.1:${port}`,
    `http://localhost:${port}`, // the Host of the request is 127.0.0.1
    "http://127.0.0.1",
    "http://evil.example",
    "null",
    "",
  ])
    assert.is(await getOriginStatus(origin), 403, origin);
  const sites = { "same-origin": 200, none: 200, "same-site": 403, "cross-site": 403, "": 403 };
  for (const [site, status] of Object.entries(sites))
    assert.is(await getStatus({ "sec-fetch-site": site }), status, site);
  const hosts = {
    [`127.0.0.1:${port}`]: 200,
    [`localhost:${port}`]: 200,
    [`127.0.0.1:${port}0`]: 421,
    [`localhost:${port}.evil.example`]: 421,
    [`evil.example:${port}`]: 421,
    "127.0.0.1": 421,
  };
  for (const [host, status] of Object.entries(hosts))
    assert.is(await getStatus({ host }), status, host);
});

test("no other page can frame the page, and the page loads from its own server only", async () => {
  const { url } = await start(null);
  for (const path of ["", "runs", "none", "style.css"]) {
    const { headers } = await send(`${url}${path}`);
    const policy = String(headers["content-security-policy"]);
    const directives = policy.split("; ").map((directive) => directive.split(" "));
    const getSources = (name: string) => directives.find(([found]) => found === name)?.slice(1);
    for (const name of ["default-src", "base-uri", "form-action", "frame-ancestors"])
      assert.equal(getSources(name), ["'none'"], `${path}: ${name}`);
    assert.equal(getSources("connect-src"), ["'self'"]);
    assert.match(String(getSources("script-src")), /^'self','sha256-[\w+/=]+'$/);
    assert.is(headers["x-content-type-options"], "nosniff");
    assert.is(headers["referrer-policy"], "no-referrer");
    assert.is(headers["cross-origin-resource-policy"], "same-origin");
  }
});

test("the name of a run is one folder in the parent folder, and nothing else", async () => {
  const { url } = await start(null);
  const get = (name: string) => send(`${url}runs/${name}/metrics.csv`);
  assert.is((await get("a")).body, csv);
  const absolute = encodeURIComponent(join(folder, "outside"));
  for (const name of [
    "..%2foutside", // a run exists at each of these paths
    "..%2Fruns%2Fa",
    "%2e%2e%2foutside",
    "a%2f..%2fa",
    ".%2fa",
    "a%2f",
    "%2e%2e",
    "%2e",
    "..",
    ".",
    absolute,
    "..%5coutside",
    "%2e%2e%5coutside",
    "a%00",
    "%00",
    "a%00%2f..%2f..%2foutside",
    "",
    "A%20",
    "none",
  ]) {
    // over TCP: an HTTP client resolves dots itself
    const { port, host } = new URL(url);
    const wire = `GET /runs/${name}/metrics.csv HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
    const reply = await sendBytes(Number(port), wire);
    assert.match(reply, /^HTTP\/1\.1 404 /, name);
    assert.not.match(reply, /1,3,2/, name);
    const after = encodeURIComponent(encodeURIComponent(decodeURIComponent(name)));
    if (name !== "")
      assert.is((await send(`${url}events?after=${after}:0`)).status, 404, `events: ${name}`);
  }
});

test("a run may be a symbolic link; links without a target or in a loop are not runs", async () => {
  if (!canTestLinks("a symbolic link in place of a run")) return;
  symlinkSync(join(folder, "outside"), join(parent, "linked"));
  symlinkSync(join(folder, "nowhere"), join(parent, "dangling"));
  symlinkSync("loop", join(parent, "loop"));
  mkdirSync(join(parent, "looped-config"));
  symlinkSync("config.json", join(parent, "looped-config", "config.json"));
  const { url } = await start(null);
  const runs = JSON.parse((await send(`${url}runs`)).body);
  assert.equal(runs.map(({ name }: { name: string }) => name).sort(), ["a", "linked"]);
  assert.is((await send(`${url}runs/linked/metrics.csv`)).body, csv);
  for (const name of ["dangling", "loop", "looped-config"])
    assert.is((await send(`${url}runs/${name}/metrics.csv`)).status, 404, name);
});

test("malformed requests have a status of 4xx and a message", async () => {
  const { url, port } = await start(null);
  for (const [target, status] of [
    ["//", 404],
    ["//evil.example/runs", 404],
    ["/runs/%/metrics.csv", 400],
    ["/runs/%zz/model", 400],
    ["/runs/%ff/model", 400],
    ["/runs?%", 400],
    ["/events?after=%e0%a4", 400],
    ["/events?after=a:0&after=a:0", 400],
    ["/events?after=a:0,a:0", 400],
    ["/events?after=%25", 400],
    ["/events?after=a:", 400],
    ["/events?after=a:-1", 400],
    ["/events?after=a:1.5", 400],
    ["/events?after=a:1e3", 400],
    ["/events?after=a:NaN", 400],
    ["/events?after=a:Infinity", 400],
    ["/events?after=a:99999999999999999999", 400],
    ["/events?after=a:0:4294967296", 400],
    ["/events?after=a:0:0:0", 400],
    ["/events?after=none:0", 404],
    ["*", 400],
    [`http://127.0.0.1:${port}/runs`, 400],
    [`/${"a".repeat(9000)}`, 414],
    [`/${"a".repeat(50_000)}`, 431],
    ["/runs/../runs", 404],
    ["/\\runs", 404],
    ["/runs#", 404],
  ] as const) {
    const wire = `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
    const reply = await sendBytes(port, wire);
    assert.match(reply, new RegExp(`^HTTP/1\\.1 ${status} `), target.slice(0, 60));
    if (status !== 431) assert.match(reply, /\{"error":".+"\}/, target.slice(0, 60));
  }
  const post = (body: string | Buffer, headers = jsonHeaders as Record<string, string>) =>
    send(`${url}control`, { method: "POST", headers, body });
  for (const [body, status] of [
    ["", 400],
    ["\ufeff", 400],
    [Buffer.from('{"action":"\xff"}', "latin1"), 400],
    ["[".repeat(60_000), 400],
    [`{"action":"save"}${" ".repeat(65536)}`, 413],
    ["x".repeat(20_000_000), 413],
  ] as const)
    assert.is((await post(body)).status, status, String(body).slice(0, 20));
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
    assert.is((await post('{"action":"save"}', { "content-type": type })).status, 415, type);
  assert.is((await post('{"action":"save"}', {})).status, 415);
  for (const [path, method, allow] of [
    ["runs", "DELETE", "GET"],
    ["control", "GET", "POST"],
    ["events", "PUT", "GET"],
    ["", "POST", "GET"],
    ["style.css", "PATCH", "GET"],
    ["runs/a/metrics.csv", "OPTIONS", "GET"],
  ]) {
    const { status, headers } = await send(`${url}${path}`, { method });
    assert.equal([status, headers.allow], [405, allow], `${method} ${path}`);
  }
});

test("no sequence of requests crashes the server or has a status of 5xx", async () => {
  const { port } = await start("secret");
  const pieces = [
    ..."/?&=%:,;#.\\\0 \"'<>{}[]|^`~+-_*()é\u2028😀",
    ...[
      "..",
      "//",
      "%2f",
      "%00",
      "%ff",
      "%",
      "runs",
      "a",
      "metrics.csv",
      "model",
      "events",
      "after",
    ],
    ...[
      "graph",
      "control",
      "tokens",
      "token=secret",
      "&token=secret",
      "?token=secret",
      "table",
      "wte",
    ],
    ...[
      "1e308",
      "-1",
      "NaN",
      "4294967296",
      "__proto__",
      "constructor",
      "page/main.js",
      "style.css",
    ],
  ];
  const paths = ["/", "/runs", "/runs/a/metrics.csv", "/events", "/control", "/graph", "/runs/a"];
  const noise = fc.array(fc.constantFrom(...pieces), { maxLength: 6 }).map((rest) => rest.join(""));
  const token = fc.constantFrom("?token=secret", "&token=secret", "?token=secre", "");
  const target = fc
    .tuple(fc.constantFrom(...paths), fc.oneof(fc.constant(""), noise), token)
    .map((parts) => parts.join(""));
  const actions = ["pause", "x = 1", "x = [1]\nx @ x", "f32", "LR", 1e308, null];
  const fields = fc.dictionary(
    fc.constantFrom("action", "code", "dtype", "direction", "__proto__", "x"),
    fc.oneof(fc.jsonValue(), fc.constantFrom(...actions)),
  );
  const body = fc.oneof(
    fc.constantFrom("", '{"action":"pause"}', '{"code":"x = [1]\\nsum(x * x)"}'),
    fields.map((value) => JSON.stringify(value)),
    fc.json(),
    fc.string({ unit: "binary" }),
  );
  const values = ["application/json", "text/html", "5", "-1", "a:5", "chunked", "null", "%"];
  const names = ["Content-Type", "Content-Length", "Origin", "Last-Event-ID", "Expect", "X", ""];
  const header = fc.tuple(fc.constantFrom(...names), fc.constantFrom(...values));
  const methods = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "X", "", "get"];
  const method = fc.oneof(fc.constantFrom("GET", "POST"), fc.constantFrom(...methods));
  const request = fc
    .tuple(method, target, fc.oneof(fc.constant([]), fc.array(header, { maxLength: 2 })), body)
    .map(([verb, path, headers, content]) => {
      const lines = [
        `${verb} ${path} HTTP/1.1`,
        `Host: 127.0.0.1:${port}`,
        "Connection: close",
        `Content-Length: ${Buffer.byteLength(content)}`,
        ...(verb === "POST" ? ["Content-Type: application/json"] : []),
        ...headers.map(([name, value]) => `${name}: ${value}`),
      ];
      return `${lines.join("\r\n")}\r\n\r\n${content}`;
    });
  const statuses = new Map<string, number>();
  const count = Number(process.env.TINYBARD_FUZZ ?? 1000);
  const isStream = (wire: string) => /^GET \/events/.test(wire);
  await fc.assert(
    fc.asyncProperty(request, async (wire) => {
      if (isStream(wire)) return; // answered without an end
      const reply = await sendBytes(port, wire);
      const [, status = "none"] = /^HTTP\/1\.1 (\d+)/.exec(reply) ?? [];
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      assert.not.match(status, /^5/, JSON.stringify(wire));
    }),
    { numRuns: count },
  );
  for (const status of ["200", "400", "403", "404", "405"])
    assert.ok(statuses.has(status), `${status}: ${[...statuses]}`);
  assert.is((await send(`http://127.0.0.1:${port}/runs?token=secret`)).status, 200);
});

test.run();
