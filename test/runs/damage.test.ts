// Damaged folders: whatever is in the files of a run or of a GPT-2, loading it returns a model or
// throws an error that names the file, at once and without a large allocation.

import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BPETokenizer, GPT, saveBPE, saveGPT2, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { device } from "#src/backend/devices.js";
import { importHuggingFace } from "#src/runs/import.js";
import { loadRun } from "#src/runs/load.js";
import { quantizeRun } from "#src/runs/quantize.js";
import { resumeRun } from "#src/runs/resume.js";

const test = suite("runs/damage");
const folder = mkdtempSync(join(tmpdir(), "tinybard-damage-"));
test.after(() => rmSync(folder, { recursive: true }));
const ts = device("ts");
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be.\n".repeat(20));
const base = join(folder, "base");
const adapted = join(folder, "adapted");
const quantized = join(folder, "quantized");
const bpe = join(folder, "bpe");
const gpt2 = join(folder, "gpt2");
const gpt2Files = join(folder, "gpt2-files");

test.before(async () => {
  const options = { data: text, device: "ts", maxIters: 1, evalIters: 1, batchSize: 1 } as const;
  const sizes = { nLayer: 1, nHead: 2, nEmbd: 8, blockSize: 4 };
  await train({ ...options, ...sizes, out: base });
  await train({ ...options, initFrom: base, loraRank: 1, out: adapted });
  await train({ ...options, ...sizes, tokenizer: "bpe", vocabSize: 260, out: bpe });
  quantizeRun(base, { out: quantized, bits: 8, device: ts });
  const tokenizer = BPETokenizer.train("to be or not to be", {
    vocabSize: 260,
    specialTokens: ["<|endoftext|>"],
  });
  saveGPT2(gpt2, new GPT({ ...sizes, vocabSize: tokenizer.vocabSize }));
  saveBPE(gpt2, tokenizer);
  cpSync(gpt2, gpt2Files, { recursive: true });
  rmSync(join(gpt2Files, "tokenizer.json"));
});

/** The errors that the program prints as one line. */
const expectedErrors = [
  "UsageError",
  "FileError",
  "SafetensorsError",
  "TokenizerError",
  "HuggingFaceError",
];

let copies = 0;
function copyOf(source: string): string {
  const copy = join(folder, `copy-${copies++}`);
  cpSync(source, copy, { recursive: true });
  return copy;
}

/** Asserts that loading works, or throws one of the expected errors, which names the folder. */
async function assertSound(copy: string, load: () => unknown, label: string): Promise<void> {
  const start = performance.now();
  const before = process.memoryUsage().rss;
  try {
    await load();
  } catch (error) {
    const { name, message, stack } = error as Error;
    const isAboutText = message.includes("data: cannot read"); // another name in config.json
    assert.ok(expectedErrors.includes(name) || isAboutText, `${label}: ${stack}`);
    assert.ok(message.includes(copy) || isAboutText, `${label}: ${message}`);
    assert.ok(message.length < 1000, `${label}: ${message.slice(0, 2000)}`);
    assert.not.match(message, /\p{Cc}/u, `${label}: ${JSON.stringify(message)}`);
  }
  assert.ok(process.memoryUsage().rss - before < 2e8, `${label}: memory`);
  assert.ok(performance.now() - start < 20_000, `${label}: time`);
}

const load = (copy: string) => loadRun(copy, ts);
const importFolder = (copy: string) => importHuggingFace(copy, ts);

/** The files of each folder, and the function that reads them. */
const readers: [source: string, file: string, read: (copy: string) => unknown][] = [
  [base, "config.json", load],
  [base, "tokenizer.json", load],
  [base, "best/state.json", load],
  [base, "best/model.safetensors", load],
  [base, "config.json", (copy) => resumeRun(copy)],
  [base, "last/state.json", (copy) => resumeRun(copy)],
  [base, "last/optimizer.safetensors", (copy) => resumeRun(copy)],
  [adapted, "config.json", load],
  [adapted, "best/model.safetensors", load],
  [quantized, "best/model.safetensors", load],
  [bpe, "tokenizer.json", load],
  [gpt2, "config.json", importFolder],
  [gpt2, "tokenizer.json", importFolder],
  [gpt2, "model.safetensors", importFolder],
  [gpt2Files, "vocab.json", importFolder],
  [gpt2Files, "merges.txt", importFolder],
];

/** A generator of the same numbers in each run of the test. */
function makeRandom(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return Math.floor((state / 0x80000000) * n);
  };
}

/** The part of a file that has a structure: all of it, or the header of a safetensors file. */
const structureLength = (file: string, bytes: Uint8Array) =>
  file.endsWith(".safetensors")
    ? 8 + Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true))
    : bytes.length;

for (const [i, [source, file, read]] of readers.entries()) {
  const title = `${i}: ${file}`;
  const damage = async (label: string, content: Uint8Array | string, copy: string) => {
    writeFileSync(join(copy, file), content);
    await assertSound(copy, () => read(copy), `${title}, ${label}`);
  };

  test(`${title}: truncated, or with other bytes`, async () => {
    const copy = copyOf(source);
    const original = readFileSync(join(copy, file));
    const length = structureLength(file, original);
    const step = Math.max(1, Math.floor(length / 25));
    for (let end = 0; end < length; end += step)
      await damage(`${end} bytes`, original.subarray(0, end), copy);
    const random = makeRandom(i + 1);
    for (let n = 0; n < 60; n++) {
      const bytes = Uint8Array.from(original);
      const flips = 1 + random(3);
      for (let k = 0; k < flips; k++) bytes[random(length)] = random(256);
      await damage(`flips ${n}`, bytes, copy);
    }
    for (const content of ["", "null", "[]", "0", '"x"', "{}", "\0\0\0\0", "[".repeat(1e5)])
      await damage(JSON.stringify(content.slice(0, 10)), content, copy);
    rmSync(join(copy, file));
    await assertSound(copy, () => read(copy), `${title}, missing`);
    mkdirSync(join(copy, file));
    await assertSound(copy, () => read(copy), `${title}, a folder`);
  });

  if (!file.endsWith(".json")) continue;
  test(`${title}: other values`, async () => {
    const copy = copyOf(source);
    const original = readFileSync(join(copy, file), "utf8");
    for (const [path, text] of withOtherValues(JSON.parse(original)))
      await damage(`${path}: ${text.slice(0, 200)}`, text, copy);
  });
}

/** Values that a number, a string, a flag, a list or an object is replaced by, as JSON. */
const otherValues = [
  "null",
  "true",
  '"a"',
  '"8"',
  "[]",
  "[1]",
  "{}",
  '{"__proto__":1}',
  "-1",
  "-0",
  "0",
  "0.5",
  "1e400",
  "-1e400",
  "1000000",
  "1000000000",
  "9007199254740993",
  `${"[".repeat(20_000)}${"]".repeat(20_000)}`,
];

/** Yields a JSON value with one of its values replaced, left out, or joined by another key. */
function* withOtherValues(value: unknown): Generator<[path: string, text: string]> {
  const MARK = "<replaced>";
  const visit = function* (node: unknown, path: string): Generator<[string, string]> {
    if (typeof node !== "object" || node === null) return;
    const holder = node as Record<string, unknown>;
    const keys = Object.keys(holder).slice(0, 8); // the first entries of a vocabulary suffice
    for (const key of [...keys, "__proto__", "constructor", "extra"]) {
      const isOwn = Object.hasOwn(holder, key);
      const before = holder[key];
      Object.defineProperty(holder, key, {
        value: MARK,
        configurable: true,
        enumerable: true,
        writable: true,
      });
      const text = JSON.stringify(value);
      for (const other of isOwn ? otherValues : otherValues.slice(0, 3))
        yield [`${path}.${key}`, text.replace(`"${MARK}"`, () => other)];
      delete holder[key];
      if (isOwn) yield [`${path}.${key} left out`, JSON.stringify(value)];
      if (isOwn) holder[key] = before;
      if (isOwn) yield* visit(before, `${path}.${key}`);
    }
  };
  yield* visit(value, "");
}

test("a folder in the place of every file", async () => {
  for (const source of [base, gpt2]) {
    const copy = copyOf(source);
    for (const name of readdirSync(copy)) {
      if (!/\.(json|txt|safetensors)$/.test(name)) continue;
      const changed = copyOf(source);
      rmSync(join(changed, name));
      mkdirSync(join(changed, name));
      const read = source === base ? load : importFolder;
      await assertSound(changed, () => read(changed), name);
    }
  }
});

test.run();
