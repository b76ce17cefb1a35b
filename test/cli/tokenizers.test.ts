// Tokenizers as the program's user meets them: chosen by name and size, kept with the run, and
// refused where they do not fit.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { BPETokenizer, CharTokenizer, tokenizerFromJSON, train, WordTokenizer } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { splitText, splitTokens } from "#src/data/batches.js";

const test = suite("text/program");
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

function run(...words: string[]): { code: number | null; out: string; err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], {
    encoding: "utf8",
    cwd: folder,
  });
  return { code: status, out: stdout, err: stderr };
}

const tokenizerOf = (out: string) =>
  tokenizerFromJSON(JSON.parse(readFileSync(join(out, "tokenizer.json"), "utf8")));

/** All files of a folder with their contents. */
const filesOf = (out: string) =>
  readdirSync(out, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((file) => [file, readFileSync(file, "latin1")]);

test("a text is cut by characters, then encoded; a character tokenizer has the ids of old", () => {
  const odd = "ab😀".repeat(7);
  assert.equal(splitText(odd), { train: "ab😀".repeat(6), val: "ab😀" });
  const tokenizer = CharTokenizer.train(odd);
  const { train: first, val } = splitTokens(odd, tokenizer);
  assert.equal([...first, ...val], tokenizer.encode(odd));
  assert.is(first.length, Math.floor(0.9 * 21));
});

const kinds = [
  { kind: "word", vocabSize: "12", is: WordTokenizer, size: 12 },
  { kind: "bpe", vocabSize: "270", is: BPETokenizer, size: 270 },
  { kind: "gpt2", vocabSize: null, is: BPETokenizer, size: 50257 },
];
for (const { kind, vocabSize, is, size } of kinds) {
  test(`--tokenizer ${kind}: train, resume, eval, sample`, () => {
    const out = join(folder, kind);
    const asked = ["--tokenizer", kind, ...(vocabSize ? ["--vocab-size", vocabSize] : [])];
    const trained = run("train", ...small, ...asked, "--max-iters", "2", "--out", out);
    assert.is(trained.code, 0, trained.err);
    assert.match(trained.out, /^val loss per character: \d+\.\d{4}, \d+\.\d{4} bits per byte/m);
    const tokenizer = tokenizerOf(out);
    assert.instance(tokenizer, is);
    assert.is(tokenizer.vocabSize, size);
    const { train: learned, val } = splitTokens(text, tokenizer);
    assert.match(
      trained.out,
      new RegExp(`^text: .*, ${learned.length} \\+ ${val.length} tokens`, "m"),
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
    const part = splitText(text).val;
    const nats = Number(loss) * val.length;
    const near = (a: number, b: number) =>
      assert.ok(Math.abs(a - b) < 2e-3, `${a} for ${b} ${err}`);
    near(Number(perCharacter), nats / [...part].length);
    near(Number(bits), nats / Math.LN2 / Buffer.byteLength(part));

    const sample = (...more: string[]) =>
      run("sample", "--run", out, "--tokens", "12", "--device", device, ...more);
    const words = sample("--prompt", "To be, or", "--temperature", "0");
    assert.is(words.code, 0, words.err);
    assert.ok(words.out.startsWith("To be, or") && words.out.length > 11, words.out);
    assert.is(sample("--seed", "5").code, 0);
  });
}

test("words that are unknown are counted below the loss", () => {
  const { out } = run("eval", "--run", join(folder, "word"), "--iters", "1", "--device", device);
  assert.match(out, /\(\d+\.\d % of the tokens are <unk>, whose letters count as known\)$/m);
});

test("the preset gpt2 takes GPT-2's tokenizer", async () => {
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

test("sizes that make no sense are refused, before there is a folder", async () => {
  const cases: [options: object, message: RegExp][] = [
    [{ vocabSize: 65 }, /vocabSize is 65 for tokenizer char, expected none/],
    [{ tokenizer: "gpt2", vocabSize: 300 }, /vocabSize is 300 for tokenizer gpt2, expected none/],
    [{ tokenizer: "bpe", vocabSize: 255 }, /vocabSize is 255 .* bpe, expected 256 or more/],
    [{ tokenizer: "word", vocabSize: 3 }, /vocabSize is 3 .* word, expected 4 or more/],
    [{ tokenizer: "bpe", vocabSize: 300.5 }, /vocabSize is 300.5, expected a whole number/],
    [{ tokenizer: "letters" }, /tokenizer is "letters", expected char, word, bpe, gpt2/],
  ];
  const out = join(folder, "refused");
  for (const [options, message] of cases) {
    const told = train({ ...sizes, data, device: device as "ts", out, ...options }).then(
      () => "trained",
      (error) => `${error.name}: ${error.message}`,
    );
    assert.match(await told, message);
    assert.match(await told, /^UsageError: /);
    assert.is(existsSync(out), false);
  }
  const { code, err } = run("train", ...small, "--out", out, "--vocab-size", "65");
  assert.is(code, 2, err);
});

test("a run keeps its tokenizer: another name or another file is refused, and nothing changes", () => {
  const [out, other] = [join(folder, "bpe"), join(folder, "word")];
  const refuses = (words: string[], message: RegExp) => {
    const before = filesOf(out);
    const { code, err } = run(...words);
    assert.is(code, 2, err);
    assert.match(err, message);
    assert.equal(filesOf(out), before);
  };
  const resume = ["train", "--resume", out];
  refuses([...resume, "--tokenizer", "char"], /resume: tokenizer is bpe in .*, and stays/);
  refuses([...resume, "--vocab-size", "300"], /resume: vocabSize is 270 in .*, and stays/);
  const own = readFileSync(join(out, "tokenizer.json"), "utf8");
  const reversed = JSON.parse(own); // as many tokens, in another order of merges
  reversed.model.merges.reverse();
  for (const text of [
    readFileSync(join(other, "tokenizer.json"), "utf8"),
    JSON.stringify(reversed),
  ]) {
    writeFileSync(join(out, "tokenizer.json"), text);
    const another = /has another tokenizer.json than its model was trained with/;
    refuses(resume, another);
    refuses(["sample", "--run", out, "--device", device], another);
    refuses(["eval", "--run", out, "--device", device], another);
  }
  writeFileSync(join(out, "tokenizer.json"), own);
  assert.is(run("eval", "--run", out, "--iters", "1", "--device", device).code, 0);
});

test.run();
