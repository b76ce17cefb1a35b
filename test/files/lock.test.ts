// One owner of a folder: who gets the lock, which locks are stale, and when they are released.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lockFolder } from "#src/files/lock.js";
import type { Owner } from "#src/files/owner.js";
import { canTestPipes, hasKilledItself, isWindows } from "../support/platform.js";

const test = suite("files/lock");
const parent = mkdtempSync(join(tmpdir(), "tinybard-lock-"));
test.after(() => rmSync(parent, { recursive: true }));
let folders = 0;
const newFolder = () => join(parent, `folder-${folders++}`);
const lockIn = (folder: string) => join(folder, "lock.json");
const moduleUrl = new URL("../../dist/files/lock.js", import.meta.url).href;

/** Writes the lock of an owner into a new folder. */
function withLock(content: object | string): string {
  const folder = newFolder();
  mkdirSync(folder);
  writeFileSync(lockIn(folder), typeof content === "string" ? content : JSON.stringify(content));
  return folder;
}

/** Returns the id of a process that has ended. */
const deadPid = () => spawnSync(process.execPath, ["-e", ""]).pid;
/** Returns the owner of a lock that was left by a process. Windows reuses ids at once. */
const deadOwner = () => {
  const guard = isWindows ? join(parent, "none.lock") : null;
  return { pid: deadPid(), host: hostname(), start: null, guard };
};
const start = () => JSON.parse(readFileSync(lockIn(first), "utf8")).start;
const first = newFolder();

test("a folder has one owner, also within a process, until it is released", () => {
  const lock = lockFolder(first);
  const expected = new RegExp(`folder-0: in use by process ${process.pid} on ${hostname()}`);
  assert.throws(() => lockFolder(first), expected);
  lock.release();
  assert.equal(readdirSync(first), []);
  lock.release(); // a second time does nothing
  const again = lockFolder(first);
  lock.release();
  assert.throws(() => lockFolder(first), expected, "the old lock does not release the new one");
  again.release();
});

test("stale locks are replaced: an ended process, a recycled id, damaged content", () => {
  const lock = lockFolder(first);
  const own = start();
  lock.release();
  const host = hostname();
  const stale: (object | string)[] = [deadOwner(), "", "\0\0", "[]", "{"];
  if (own) stale.push({ pid: process.pid, host, start: `1 ${own}` });
  stale.push({ pid: -1, host }, { pid: 2 ** 40, host }, { pid: "1", host }, "x".repeat(10_000));
  for (const content of stale) {
    const folder = withLock(content);
    lockFolder(folder).release();
    assert.equal(readdirSync(folder), [], JSON.stringify(content).slice(0, 80));
  }
});

test("locks that may be alive are respected: another host, a process without a start time", () => {
  const others: Partial<Owner>[] = [
    { pid: deadPid(), host: "elsewhere.example", start: null },
    { pid: process.pid, host: hostname(), start: null },
  ];
  // inside and outside the Windows Subsystem for Linux, the host has the same name
  const [start, guard] = isWindows ? ["1 boot", null] : [null, "C:\\Temp\\none.lock"];
  others.push({ ...deadOwner(), start, guard });
  for (const owner of others) {
    const folder = withLock(owner);
    const message = new RegExp(`process ${owner.pid} on ${owner.host}.* delete .*lock.json`);
    assert.throws(() => lockFolder(folder), message);
    assert.ok(existsSync(lockIn(folder)));
  }
});

if (isWindows) {
  test("a process is recognized by a file that only it can open, not by its recycled id", () => {
    const code = `
      import { lockFolder } from ${JSON.stringify(moduleUrl)};
      import { killSelf } from ${JSON.stringify(import.meta.resolve("../support/platform.js"))};
      lockFolder(process.argv[1]);
      killSelf();`;
    const folder = newFolder();
    const args = ["--input-type=module", "-e", code, folder];
    const { signal, status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.ok(hasKilledItself(signal, status, stderr), stderr);
    const left = JSON.parse(readFileSync(lockIn(folder), "utf8"));
    assert.match(left.guard, /tinybard-\d+-[\w-]+\.lock$/);
    assert.not(existsSync(left.guard), "Windows has deleted it");
    writeFileSync(lockIn(folder), JSON.stringify({ ...left, pid: process.pid }));
    lockFolder(folder).release();
    writeFileSync(left.guard, ""); // as after a crash of the machine
    writeFileSync(lockIn(folder), JSON.stringify({ ...left, pid: process.pid }));
    lockFolder(folder).release();
    rmSync(left.guard);
  });
}

test("a folder or a pipe in place of the lock is an error that names it", () => {
  const folder = newFolder();
  mkdirSync(lockIn(folder), { recursive: true });
  assert.throws(() => lockFolder(folder), /lock.json: not a file, expected a lock; delete it/);
  if (!canTestPipes("a pipe in place of the lock")) return;
  const withPipe = newFolder();
  mkdirSync(withPipe);
  spawnSync("mkfifo", [lockIn(withPipe)]);
  assert.throws(() => lockFolder(withPipe), /lock.json: not a file, expected a lock; delete it/);
});

test("a file in place of the folder is an error", () => {
  const file = newFolder();
  writeFileSync(file, "");
  for (const path of [file, join(file, "inside")])
    assert.throws(() => lockFolder(path), /cannot be created, because a file is in its place/);
});

test("many processes that find a stale lock: one at a time replaces it", async () => {
  const folder = withLock(deadOwner());
  const code = `
    import { lockFolder } from ${JSON.stringify(moduleUrl)};
    import { writeFileSync, rmSync } from "node:fs";
    import { killSelf } from ${JSON.stringify(import.meta.resolve("../support/platform.js"))};
    for (let round = 0; round < 40; round++) {
      let lock;
      try { lock = lockFolder(${JSON.stringify(folder)}); } catch (error) {
        if (error.name !== "UsageError") throw error;
        continue;
      }
      const owned = ${JSON.stringify(join(parent, "owned"))};
      writeFileSync(owned, "", { flag: "wx" }); // throws if another process is the owner as well
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
      rmSync(owned);
      if (round % 3 === 2) killSelf(); // leaves a stale lock
      lock.release();
    }`;
  const children = Array.from({ length: 6 }, () =>
    spawn(process.execPath, ["--input-type=module", "-e", code], {
      stdio: ["ignore", "ignore", "pipe"],
    }),
  );
  const results = children.map(async (child) => {
    let err = "";
    child.stderr.on("data", (chunk) => (err += chunk));
    const [code, signal] = await once(child, "close");
    return { isKilled: hasKilledItself(signal, code, err), code, err };
  });
  for (const { isKilled, code, err } of await Promise.all(results))
    assert.ok(isKilled || code === 0, err);
  lockFolder(folder).release();
  assert.equal(readdirSync(folder), []);
});

test("the lock is released when the process exits", () => {
  const folder = newFolder();
  const code = `import { lockFolder } from ${JSON.stringify(moduleUrl)};
    lockFolder(${JSON.stringify(folder)}); process.exit(3);`;
  const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", code]);
  assert.is(status, 3, String(stderr));
  assert.equal(readdirSync(folder), []);
});

test.run();
