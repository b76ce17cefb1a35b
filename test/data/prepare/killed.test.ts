// A preparation that is killed again and again, with any number of workers, writes the same bytes
// as an undisturbed one, and until then nothing that looks complete.

import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type PrepareOptions, prepareShards } from "#src/data/prepare/prepare.js";
import { hasKilledItself } from "../../support/platform.ts";

const test = suite("data/prepare/killed");
const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-killed-"));
test.after(() => fs.rmSync(folder, { recursive: true }));

// each file is a piece, after which the progress is recorded
const files = Array.from({ length: 14 }, (_, i) => {
  const file = join(folder, `${i}.txt`);
  const text = `the cat ${i} — café 😀\n`.repeat(5 * i + 1);
  fs.writeFileSync(file, i % 4 === 0 ? gzipSync(text) : text);
  return file;
});
const options = {
  files,
  tokenizer: { kind: "bpe", vocabSize: 262 },
  shardTokens: 600,
  documentSeparator: "0",
  checkpointSeconds: 0,
} satisfies Partial<PrepareOptions>;

/** Calls prepareShards() in a process that kills itself at a call that changes files. */
function run(out: string, workers: number, killAt?: number): { isKilled: boolean; err: string } {
  const code = `
    import { prepareShards } from ${JSON.stringify(import.meta.resolve("#src/data/prepare/prepare.js"))};
    await prepareShards(${JSON.stringify({ ...options, out, workers })});`;
  const hook = import.meta.resolve("../../support/kill-at.js");
  const hooked = killAt === undefined ? [] : ["--import", hook];
  const args = [...hooked, "--input-type=module", "--eval", code];
  const { signal, stderr, status } = spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: { ...process.env, TINYBARD_TEST_KILL_AT: String(killAt) },
  });
  const isKilled = hasKilledItself(signal, status, stderr);
  assert.ok(isKilled || status === 0, stderr);
  return { isKilled, err: stderr };
}

function readAll(out: string): Record<string, string> {
  const names = fs.readdirSync(out).sort();
  return Object.fromEntries(names.map((name) => [name, fs.readFileSync(join(out, name), "hex")]));
}

const whole = join(folder, "whole");
let expected: Record<string, string>;
test.before(async () => {
  await prepareShards({ ...options, out: whole, workers: 0 });
  expected = readAll(whole);
});

test("killed ten times, and the number of workers changed each time", () => {
  assert.ok(Object.keys(expected).filter((name) => name.endsWith(".bin")).length >= 5);
  const out = join(folder, "killed");
  for (const [i, killAt] of [1, 4, 9, 14, 6, 22, 40, 11, 30, 18].entries()) {
    assert.ok(run(out, i % 3, killAt).isKilled);
    assert.not(fs.existsSync(join(out, "manifest.json")), `killed at ${killAt}`);
  }
  run(out, 2);
  assert.equal(readAll(out), expected);
});

test("killed anywhere and continued once", () => {
  const [, count] = /calls: (\d+)/.exec(run(join(folder, "counted"), 0, 0).err) ?? [];
  assert.equal(readAll(join(folder, "counted")), expected);
  for (let killAt = 12; killAt <= Number(count); killAt += Math.ceil(Number(count) / 7)) {
    const out = join(folder, `at-${killAt}`);
    assert.ok(run(out, 0, killAt).isKilled);
    const isComplete = fs.existsSync(join(out, "manifest.json"));
    assert.ok(!isComplete || killAt > Number(count) - 3, `${killAt} of ${count}`);
    run(out, 0);
    assert.equal(readAll(out), expected, `killed at ${killAt} of ${count}`);
  }
});

test("aborted after any piece and continued", async () => {
  const out = join(folder, "aborted");
  let attempts = 0;
  for (; ; attempts++) {
    const abort = new AbortController();
    let reports = 0;
    const onProgress = ({ phase }: { phase: string }) => {
      if (phase === "encoding" && ++reports === 3) abort.abort(new Error("stop"));
    };
    try {
      await prepareShards({ ...options, out, workers: 0, onProgress, signal: abort.signal });
      break;
    } catch (error) {
      assert.is((error as Error).message, "stop");
    }
  }
  assert.ok(attempts >= 3, `${attempts} attempts`);
  assert.equal(readAll(out), expected);
});

test("files that were cut off since are refused", async () => {
  const out = join(folder, "damaged");
  const abort = new AbortController();
  let reports = 0;
  const onProgress = ({ phase }: { phase: string }) => {
    if (phase === "encoding" && ++reports === 9) abort.abort();
  };
  const call = { ...options, out, workers: 0, onProgress, signal: abort.signal };
  await prepareShards(call).catch(() => {});
  const partial = fs.readdirSync(out).find((name) => name.endsWith(".partial")) as string;
  fs.truncateSync(join(out, partial), 1030);
  const error = await prepareShards({ ...options, out, workers: 0 }).catch((error) => error);
  assert.match(
    error.message,
    /\.partial: has 1030 bytes, expected \d+; delete the folder to begin/,
  );
  const shard = fs.readdirSync(out).find((name) => name.endsWith(".bin")) as string;
  fs.rmSync(join(out, shard));
  const missing = await prepareShards({ ...options, out, workers: 0 }).catch((error) => error);
  assert.match(missing.message, /\.bin: is missing; delete the folder to begin again/);
});

test.run();
