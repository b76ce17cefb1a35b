// Starting the dashboard's server from the command line: ports in use, the link, and the end of a
// training run.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openDashboard } from "#src/web/dashboard.js";
import { type DashboardProcess, startDashboard, until } from "../support/browser.js";
import { send } from "../support/http.js";

const test = suite("web/listen");
const folder = mkdtempSync(join(tmpdir(), "tinybard-listen-"));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
const model = ["--preset", "bigram", "--device", "ts", "--batch-size", "2", "--block-size", "8"];
const training = ["--data", data, "--eval-iters", "1", ...model];
const run = join(folder, "run");
const processes: DashboardProcess[] = [];
const FIRST_PORT = 18_100;
const LAST_PORT = FIRST_PORT + 100;

test.before(() => {
  const { status, stderr } = runProgram("train", ...training, "--max-iters", "2", "--out", run);
  assert.is(status, 0, stderr);
});
test.after.each(async () => {
  for (const dashboard of processes.splice(0)) await dashboard.kill();
});
test.after(() => rmSync(folder, { recursive: true }));

function runProgram(...args: string[]) {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8", timeout: 60_000 });
}

async function start(...args: string[]): Promise<DashboardProcess> {
  const dashboard = await startDashboard(...args);
  processes.push(dashboard);
  return dashboard;
}

/** Listens on all ports from `first` to LAST_PORT, and returns a function that closes them. */
async function occupyPorts(first: number): Promise<() => void> {
  const servers: Server[] = [];
  for (let port = first; port <= LAST_PORT; port++) {
    const server = createServer();
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  }
  return () => {
    for (const server of servers) server.close();
  };
}

test("with all ports in use, both commands exit with code 1 and leave no folder", async () => {
  const release = await occupyPorts(FIRST_PORT);
  try {
    const port = ["--port", String(FIRST_PORT)];
    const message = `the ports from ${FIRST_PORT} to ${LAST_PORT} on 127.0.0.1 are in use`;
    const shown = runProgram("dashboard", "--run", run, ...port);
    assert.is(shown.status, 1, shown.stderr);
    assert.match(shown.stderr, `tinybard: dashboard: ${message}; choose another port with --port`);
    const out = join(folder, "never");
    const trained = runProgram("train", ...training, "--dashboard", ...port, "--out", out);
    assert.is(trained.status, 1, trained.stderr);
    assert.match(trained.stderr, message);
    assert.not(existsSync(out), "a folder is left");
  } finally {
    release();
  }
});

test("with some ports in use, the next free one is taken", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(FIRST_PORT, "127.0.0.1", resolve));
  const dashboard = await openDashboard({ port: FIRST_PORT });
  assert.ok(Number(new URL(dashboard.url).port) > FIRST_PORT);
  await dashboard.close();
  server.close();
});

test("the printed link has a token of 128 bits, unless --no-token", async () => {
  const port = ["--port", String(FIRST_PORT)];
  const tokens = new Set<string | null>();
  for (let i = 0; i < 2; i++) {
    const { url } = await start("dashboard", "--run", run, ...port);
    const { origin, search, searchParams } = new URL(url);
    const token = searchParams.get("token");
    assert.match(String(token), /^[0-9a-f]{32}$/);
    tokens.add(token);
    assert.is((await send(`${origin}/runs${search}`)).status, 200);
    assert.is((await send(`${origin}/runs`)).status, 403);
  }
  assert.is(tokens.size, 2, "each start has its own token");
  const open = await start("dashboard", "--run", run, ...port, "--no-token");
  assert.is(new URL(open.url).search, "");
  assert.is((await send(`${open.url}runs`)).status, 200);
});

test("a run that fails ends the process, in spite of its dashboard", () => {
  const port = ["--dashboard", "--port", String(FIRST_PORT)];
  const { status, stderr } = runProgram("train", ...training, ...port, "--out", run);
  assert.is(status, 2, stderr);
  assert.match(stderr, /holds a run already/);
  const diverging = ["--learning-rate", "1e38", "--max-iters", "50"];
  const out = join(folder, "diverged");
  const diverged = runProgram("train", ...training, ...diverging, ...port, "--out", out);
  assert.is(diverged.status, 1, diverged.stderr);
});

test("after training, the process stays while a page is open, and says what it does", async () => {
  const options = ["--max-iters", "300", "--dashboard", "--no-token", "--port", String(FIRST_PORT)];
  const unseen = runProgram("train", ...training, ...options, "--out", join(folder, "unseen"));
  assert.is(unseen.status, 0);
  assert.match(
    unseen.stdout,
    /^no page is open: http\S+ closes in 5 seconds, unless it is opened$/m,
  );

  const out = join(folder, "seen");
  const seen = await start("train", ...training, ...options, "--out", out);
  const page = new AbortController();
  await fetch(`${seen.url}events?after=`, { signal: page.signal });
  const hasMessage = () =>
    /^the dashboard stays open until its page is closed/m.test(seen.getOutput());
  await until(hasMessage, "the message is printed", 60);
  await new Promise((resolve) => setTimeout(resolve, 7000));
  assert.is(seen.process.exitCode, null, "it has exited while a page is open");
  page.abort();
  await until(() => seen.process.exitCode === 0, "it exits after the page has been closed");
});

test.run();
