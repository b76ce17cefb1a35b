// The command prepare: its arguments, output and exit codes. The shards themselves are tested in
// test/data/prepare.

import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BPETokenizer, CharTokenizer, saveBPE } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readManifest } from "#src/data/shards/manifest.js";
import { loadTokenizer } from "#src/tokenizers/io.js";
import { isWindows } from "../support/platform.ts";

const test = suite("cli/prepare-command");
const folder = fs.mkdtempSync(join(tmpdir(), "tinybard-prepare-"));
test.after(() => fs.rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));

const text = "To be, or not to be:\n\nthat is the question.\n\n".repeat(20);
fs.writeFileSync(join(folder, "a.txt"), text);
fs.writeFileSync(join(folder, "b.txt"), "Whether 'tis nobler\n");
saveBPE(join(folder, "bpe"), BPETokenizer.train(text, { vocabSize: 270 }));

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, "prepare", ...args], {
    encoding: "utf8",
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}

test("prints the tokens, shards and documents of both splits", () => {
  const { code, out, err } = run(
    "a.txt",
    ..."--out out --tokenizer bpe --vocab-size 280 --shard-tokens 100".split(" "),
    ...["--document-separator", "\\n\\n"],
  );
  assert.is(err, "");
  assert.is(code, 0);
  const pattern = /^train: (\d+) tokens in (\d+) shards, 36 documents, \d\.\d\d bytes per token$/m;
  const [, tokens, shards] = pattern.exec(out) ?? [];
  assert.is(Number(shards), Math.ceil(Number(tokens) / 100), out);
  assert.match(out, /^val: \d+ tokens in 1 shard, 4 documents, \d\.\d\d bytes per token$/m);
  assert.match(out, /^try: npm run train -- --data out$/m);
  const manifest = readManifest(join(folder, "out"));
  assert.is(manifest?.vocabSize, 280);
  assert.is(manifest?.separator, 279);
  const again = run(
    "a.txt",
    ..."--out out --tokenizer bpe --vocab-size 280 --shard-tokens 100".split(" "),
    ...["--document-separator", "\n\n"],
  );
  assert.equal(again, { code: 0, out, err: "" });
});

test("several files, and tokenizers of files and folders", () => {
  const cases = [
    ["char", CharTokenizer.train(`${text}Whether 'tis nobler\n`).vocabSize],
    ["bpe", 270],
    ["bpe/tokenizer.json", 270],
  ] as const;
  for (const [name, vocabSize] of cases) {
    const out = `files-${name.replace("/", "-")}`;
    const size = name === "bpe" ? ["--vocab-size", "270"] : [];
    const { code, err } = run("a.txt", "--out", out, "b.txt", "--tokenizer", name, ...size);
    assert.is(code, 0, err);
    assert.is(readManifest(join(folder, out))?.vocabSize, vocabSize);
    assert.is(loadTokenizer(join(folder, out, "tokenizer.json")).vocabSize, vocabSize);
    const files = JSON.parse(fs.readFileSync(join(folder, out, "prepare.json"), "utf8")).inputs;
    assert.is(files.length, 2);
  }
});

test("a split without documents is a warning", () => {
  const args = "--out single --tokenizer char --document-separator=---".split(" ");
  const { code, out, err } = run("a.txt", ...args);
  assert.is(code, 0);
  assert.match(out, /^val: 0 tokens in 0 shards, 0 documents$/m);
  assert.is(err, "warning: the input is too small for a training and a validation split\n");
});

test("wrong usage has exit code 2, and wrong input 1", () => {
  fs.writeFileSync(join(folder, "bad.jsonl"), '{"text":"a"}\n{"text"');
  fs.writeFileSync(join(folder, "a.parquet"), "PAR1");
  for (const [args, code, message] of [
    ["--out x", 2, /prepare: FILE\.\.\. is required/],
    ["a.txt", 2, /prepare: --out DIR is required/],
    [
      "a.txt --out x --tokenizer gpt-2",
      2,
      /tokenizer is gpt-2, expected .*\(did you mean gpt2\?\)/,
    ],
    [
      "a.txt --out x --tokenizer bpe --vocab-size 256",
      2,
      /vocabSize is 256, expected at least 257/,
    ],
    [
      "a.txt --out x --tokenizer char --vocab-size 99",
      2,
      /vocabSize cannot be set for tokenizer char/,
    ],
    ["a.txt --out x --tokenizer a.txt", 1, /a\.txt: not valid JSON/],
    ["a.txt --out x --val-share 1", 2, /valShare is 1, expected a number from 0 to 0.99/],
    ["a.txt --out x --shard-tokens 0", 2, /shardTokens is 0, expected a whole number from 1/],
    [
      "a.txt --out x --shard-size 4",
      2,
      /unknown option --shard-size; did you mean --shard-tokens\?/,
    ],
    ["a.txt --out bpe --tokenizer char", 2, /out: bpe is not empty; choose a new folder/],
    ["a.parquet --out x --tokenizer char", 2, /\.parquet files cannot be read; convert it to text/],
    ["missing.txt --out x --tokenizer char", 1, /missing\.txt: no such file/],
    ["bad.jsonl --out x --tokenizer char", 1, /^tinybard: bad\.jsonl:2: not valid JSON/],
  ] as const) {
    const result = run(...args.split(" "));
    assert.match(result.err, message);
    assert.is(result.code, code, result.err);
    assert.not(fs.existsSync(join(folder, "x")), args);
  }
});

test("Ctrl-C stops it, and the same command continues", async () => {
  if (isWindows) return; // no signals
  fs.writeFileSync(join(folder, "long.txt"), text.repeat(12_000));
  const args = ["long.txt", "--out", "stopped", "--tokenizer", "bpe/tokenizer.json"];
  const child = spawn(process.execPath, [program, "prepare", ...args], { cwd: folder });
  let err = "";
  child.stderr.on("data", (data) => {
    err += data;
  });
  const ended = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const shard = join(folder, "stopped", "train_000000.bin.partial");
  while (!fs.existsSync(shard) && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 5));
  child.kill("SIGINT");
  assert.is(await ended, 130, err);
  assert.match(err, /prepare: interrupted; run the same command again to continue\n$/);
  assert.ok(fs.existsSync(join(folder, "stopped", "progress.json")));
  assert.is(run(...args).code, 0);
  assert.is(run(...args.with(2, "whole")).code, 0);
  for (const name of ["manifest.json", "train_000000.bin", "val_000000.bin"]) {
    const read = (out: string) => fs.readFileSync(join(folder, out, name));
    assert.ok(read("stopped").equals(read("whole")), name);
  }
});

test.run();
