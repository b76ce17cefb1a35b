// Tokenizers in the command-line program: selected by name and size, saved with the run, and
// rejected where they do not fit.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BPETokenizer, CharTokenizer, tokenizerFromJSON, train, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitText, splitTokens } from "#src/data/batches.js";

const test = suite("cli/tokenizers");
const folder = mkdtempSync(join(tmpdir(), "tinybard-tokenizers-"));
test.after(() => rmSync(folder, { recursive: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const device = process.env.TINYBARD_TEST_DEVICE ?? "ts";

// without a line break, and with characters of several bytes
const text = "To be, or not to be: thé question — is it nobler? 😀 ".repeat(80);
const data = join(folder, "text.txt");
writeFileSync(data, text);
const sizes = { nLayer: 1, nEmbd: 8, nHead: 2, blockSize: 8, batchSize: 4, evalIters: 2 };
const small = Object.entries({ data, device, ...sizes }).flatMap(([key, value]) => [
  `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  String(value),
]);

function run(...args: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: "utf8",
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}

const readTokenizer = (out: string) =>
  tokenizerFromJSON(JSON.parse(readFileSync(join(out, "tokenizer.json"), "utf8")));

/** Reads all files of a folder: pairs of path and content. */
const readFiles = (out: string) =>
  readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => [file, readFileSync(file, "latin1")]);

test("a text is split by characters, then encoded", () => {
  const corpus = "ab😀".repeat(7);
  assert.equal(splitText(corpus), { train: "ab😀".repeat(6), val: "ab😀" });
  const tokenizer = CharTokenizer.train(corpus);
  const { train: first, val } = splitTokens(corpus, tokenizer);
  assert.equal([...first, ...val], tokenizer.encode(corpus));
  assert.is(first.length, Math.floor(0.9 * 21));
});

const kinds = [
  { kind: "word", vocabSize: "12", type: WordTokenizer, size: 12 },
  { kind: "bpe", vocabSize: "270", type: BPETokenizer, size: 270 },
  { kind: "gpt2", vocabSize: null, type: BPETokenizer, size: 50257 },
];
for (const { kind, vocabSize, type, size } of kinds) {
  test(`--tokenizer ${kind}: train, resume, eval, sample`, () => {
    const out = join(folder, kind);
    const flags = ["--tokenizer", kind, ...(vocabSize ? ["--vocab-size", vocabSize] : [])];
    const trained = run("train", ...small, ...flags, "--max-iters", "2", "--out", out);
    assert.is(trained.code, 0, trained.err);
    assert.match(trained.out, /^val loss per character: \d+\.\d{4}, \d+\.\d{4} bits per byte/m);
    const tokenizer = readTokenizer(out);
    assert.instance(tokenizer, type);
    assert.is(tokenizer.vocabSize, size);
    const { train: trainTokens, val } = splitTokens(text, tokenizer);
    assert.match(
      trained.out,
      new RegExp(`^text: .*, ${trainTokens.length} \\+ ${val.length} tokens`, "m"),
    );
    const before = readFileSync(join(out, "tokenizer.json"), "utf8");
    const resumed = run("train", "--resume", out, "--max-iters", "4");
    assert.is(resumed.code, 0, resumed.err);
    assert.match(resumed.out, /^step 4: train loss \d+\.\d{4}, val loss \d+\.\d{4}$/m);
    assert.is(readFileSync(join(out, "tokenizer.json"), "utf8"), before);

    const { out: losses, err } = run("eval", "--run", out, "--iters", "2", "--device", device);
    const [, loss] = /^step \d+: train loss \d+\.\d{4}, val loss (\d+\.\d{4})\n/.exec(losses) ?? [];
    const [, perCharacter, bits] =
      /^val loss per character: (\d+\.\d{4}), (\d+\.\d{4}) bits per byte/m.exec(losses) ?? [];
    const valText = splitText(text).val;
    const nats = Number(loss) * val.length;
    const assertNear = (a: number, b: number) =>
      assert.ok(Math.abs(a - b) < 2e-3, `${a} for ${b} ${err}`);
    assertNear(Number(perCharacter), nats / [...valText].length);
    assertNear(Number(bits), nats / Math.LN2 / Buffer.byteLength(valText));

    const sample = (...args: string[]) =>
      run("sample", "--run", out, "--tokens", "12", "--device", device, ...args);
    const greedy = sample("--prompt", "To be, or", "--temperature", "0");
    assert.is(greedy.code, 0, greedy.err);
    assert.ok(greedy.out.startsWith("To be, or") && greedy.out.length > 11, greedy.out);
    assert.is(sample("--seed", "5").code, 0);
  });
}

test("eval prints the share of unknown words", () => {
  const { out } = run("eval", "--run", join(folder, "word"), "--iters", "1", "--device", device);
  assert.match(out, /\(\d+\.\d % of the tokens are <unk>, whose spelling is not counted\)$/m);
});

test("the preset gpt2 uses GPT-2's tokenizer", async () => {
  const out = join(folder, "preset");
  const { model, tokenizer } = await train({
    ...sizes,
    preset: "gpt2",
    data,
    device: device as "ts",
    dtype: "f32",
    gradAccum: 1,
    maxIters: 1,
    out,
  });
  assert.is(tokenizer.vocabSize, 50257);
  assert.equal([...model.parameters()][0].shape, [50257, 8]);
});

test("invalid sizes are rejected before the folder is created", async () => {
  const cases: [options: object, message: RegExp][] = [
    [{ vocabSize: 65 }, /vocabSize is 65 for tokenizer char, expected none/],
    [{ tokenizer: "gpt2", vocabSize: 300 }, /vocabSize is 300 for tokenizer gpt2, expected none/],
    [{ tokenizer: "bpe", vocabSize: 255 }, /vocabSize is 255 .* bpe, expected 256 or more/],
    [{ tokenizer: "word", vocabSize: 3 }, /vocabSize is 3 .* word, expected 4 or more/],
    [{ tokenizer: "bpe", vocabSize: 300.5 }, /vocabSize is 300.5, expected a whole number/],
    [{ tokenizer: "letters" }, /tokenizer is "letters", expected char, word, bpe, gpt2/],
  ];
  const out = join(folder, "rejected");
  for (const [options, message] of cases) {
    const outcome = train({ ...sizes, data, device: device as "ts", out, ...options }).then(
      () => "trained",
      (error) => `${error.name}: ${error.message}`,
    );
    assert.match(await outcome, message);
    assert.match(await outcome, /^UsageError: /);
    assert.is(existsSync(out), false);
  }
  const { code, err } = run("train", ...small, "--out", out, "--vocab-size", "65");
  assert.is(code, 2, err);
});

test("a run keeps its tokenizer: other options and files are rejected, and nothing changes", () => {
  const out = join(folder, "bpe");
  const other = join(folder, "word");
  const assertRejects = (args: string[], message: RegExp) => {
    const before = readFiles(out);
    const { code, err } = run(...args);
    assert.is(code, 2, err);
    assert.match(err, message);
    assert.equal(readFiles(out), before);
  };
  const resume = ["train", "--resume", out];
  assertRejects([...resume, "--tokenizer", "char"], /resume: tokenizer is bpe in .* cannot change/);
  assertRejects([...resume, "--vocab-size", "300"], /resume: vocabSize is 270 in .* cannot change/);
  const own = readFileSync(join(out, "tokenizer.json"), "utf8");
  const reversed = JSON.parse(own); // the same number of tokens, but other merges
  reversed.model.merges.reverse();
  for (const text of [
    readFileSync(join(other, "tokenizer.json"), "utf8"),
    JSON.stringify(reversed),
  ]) {
    writeFileSync(join(out, "tokenizer.json"), text);
    const message = /the tokenizer.json in .* is not the one that the model was trained with/;
    assertRejects(resume, message);
    assertRejects(["sample", "--run", out, "--device", device], message);
    assertRejects(["eval", "--run", out, "--device", device], message);
  }
  writeFileSync(join(out, "tokenizer.json"), own);
  assert.is(run("eval", "--run", out, "--iters", "1", "--device", device).code, 0);
});

test.run();
