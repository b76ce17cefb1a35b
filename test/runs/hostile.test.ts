// Folders made to do harm: runs that are their own base model, files that are pipes, sizes that no
// machine has, and files of more than 2 GiB.

import { constants } from "node:buffer";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GPT, loadSafetensors, saveGPT2, type TrainConfig, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { device } from "#src/backend/devices.js";
import { loadCorpus } from "#src/data/corpus.js";
import { sha256OfFiles } from "#src/files/sha256.js";
import { importHuggingFace } from "#src/runs/import.js";
import { loadRun } from "#src/runs/load.js";
import { resumeRun } from "#src/runs/resume.js";
import { canTestPipes } from "../support/platform.js";
import { makeFile } from "../support/safetensors.ts";

const test = suite("runs/hostile");
const folder = mkdtempSync(join(tmpdir(), "tinybard-hostile-"));
test.after(() => rmSync(folder, { recursive: true }));
const ts = device("ts");
const text = join(folder, "text.txt");
writeFileSync(text, "To be, or not to be.\n".repeat(20));
const base = join(folder, "base");
const adapted = join(folder, "adapted");
const rotary = join(folder, "rotary");
const options = { data: text, device: "ts", maxIters: 1, evalIters: 1, batchSize: 1 } as const;
const sizes = { nLayer: 1, nHead: 2, nEmbd: 8, blockSize: 4 };

test.before(async () => {
  await train({ ...options, ...sizes, out: base });
  await train({ ...options, ...sizes, positions: "rotary", out: rotary });
  await train({ ...options, initFrom: base, loraRank: 1, out: adapted });
});

let copies = 0;
function copyWith(source: string, change: Partial<TrainConfig>): string {
  const copy = join(folder, `copy-${copies++}`);
  cpSync(source, copy, { recursive: true });
  const file = join(copy, "config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...change }));
  return copy;
}

test("a run that is its own base model, directly or through others", () => {
  // the checksum of the base model is right: all these runs have the same weights
  const baseSha256 = sha256OfFiles([join(adapted, "last", "model.safetensors")]);
  const claim = (run: string) => {
    const file = join(run, "last", "state.json");
    const state = JSON.parse(readFileSync(file, "utf8"));
    writeFileSync(file, JSON.stringify({ ...state, baseSha256 }));
    rmSync(join(run, "best"), { recursive: true });
    return run;
  };
  const first = claim(copyWith(adapted, {}));
  const second = claim(copyWith(adapted, { initFrom: first }));
  copyConfig(first, { initFrom: second });
  const itself = claim(copyWith(adapted, {}));
  copyConfig(itself, { initFrom: join(itself, "last", "..") });
  for (const run of [itself, first, second])
    assert.throws(() => loadRun(run, ts), /initFrom: .* is the base model of itself/);
  let run = adapted;
  for (let i = 0; i < 20; i++) run = claim(copyWith(adapted, { initFrom: run }));
  assert.throws(() => loadRun(run, ts), /is based on more than 16 runs with adapters/);
});

function copyConfig(run: string, change: Partial<TrainConfig>): void {
  const file = join(run, "config.json");
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...change }));
}

test("sizes that the weights do not have are refused at once", async () => {
  const huge: [source: string, change: Partial<TrainConfig>, message: RegExp][] = [
    [base, { nEmbd: 1e6 }, /model.safetensors: .* has shape \[24\], expected \[3000000\]/],
    [base, { nLayer: 1e9 }, /model.safetensors: h.1.ln_1.weight, .* missing/],
    [base, { blockSize: 1e9 }, /config.json: blockSize is 1000000000, expected .* to 1048576/],
    [base, { blockSize: 2 ** 20 }, /wpe.weight has shape \[4, 8\], expected \[1048576, 8\]/],
    [rotary, { blockSize: 1e9 }, /config.json: blockSize is 1000000000/],
    [base, { batchSize: 1e9 }, /config.json: batchSize is 1000000000: batches have 4000000000 tok/],
    [adapted, { nEmbd: 1e6 }, /lora_A has shape \[1, 8\], expected \[1, 1000000\]/],
    [adapted, { loraRank: 1e9 }, /lora_A has shape \[1, 8\], expected \[1000000000, 8\]/],
    [adapted, { blockSize: 1e6 }, /blockSize is 1000000 in .* and 4 in its base model/],
  ];
  for (const [source, change, message] of huge) {
    const copy = copyWith(source, change);
    const before = process.memoryUsage().rss;
    assert.throws(() => loadRun(copy, ts), message);
    const outcome = await resumeRun(copy).catch((error) => error as Error);
    assert.match((outcome as Error).message, message);
    assert.ok(process.memoryUsage().rss - before < 1e8);
  }
  const ids = copyWith(base, {});
  writeFileSync(join(ids, "tokenizer.json"), '{"type":"ids","vocabSize":2000000000}');
  const state = join(ids, "last", "state.json");
  const { tokenizerSha256: _, ...rest } = JSON.parse(readFileSync(state, "utf8"));
  writeFileSync(state, JSON.stringify(rest));
  rmSync(join(ids, "best"), { recursive: true });
  assert.throws(() => loadRun(ids, ts), /wte.weight has shape .*, expected \[2000000000, 8\]/);
  assert.throws(() => new GPT({ ...sizes, vocabSize: 5, blockSize: 2 ** 21 }), /expected at most/);
});

test("a pipe or a device in the place of a file does not block", async () => {
  if (!canTestPipes("a pipe or a device in the place of a file of a run")) return;
  const gpt2 = join(folder, "gpt2");
  saveGPT2(gpt2, new GPT({ ...sizes, vocabSize: 20 }));
  for (const [source, load] of [
    [base, (copy: string) => loadRun(copy, ts)],
    [base, (copy: string) => resumeRun(copy)],
    [gpt2, (copy: string) => importHuggingFace(copy, ts)],
  ] as const) {
    const files = readdirSync(source, { recursive: true, encoding: "utf8" });
    for (const name of files) {
      if (!/\.(json|safetensors)$/.test(name)) continue;
      const copy = join(folder, `pipes-${copies++}`);
      cpSync(source, copy, { recursive: true });
      rmSync(join(copy, name));
      execFileSync("mkfifo", [join(copy, name)]);
      const outcome = await (async () => load(copy))().catch((error) => error as Error);
      if (!(outcome instanceof Error)) continue; // this loader does not read the file
      assert.match(outcome.message, /a pipe, expected a file/, name);
      assert.ok(outcome.message.includes(join(copy, name)), outcome.message);
    }
  }
  const pipe = join(folder, "pipe.txt");
  execFileSync("mkfifo", [pipe]);
  for (const [file, problem] of [
    [pipe, /pipe.txt: a pipe, expected a file/],
    ["/dev/zero", /zero: a device, expected a file/],
    [folder, /a folder, expected a file/],
  ] as const) {
    const outcome = await loadCorpus(file).catch((error) => error as Error);
    assert.match((outcome as Error).message, problem);
  }
});

test("files of more than 2 GiB are hashed", () => {
  const file = join(folder, "sparse");
  writeFileSync(file, "a");
  const size = 2 ** 31 + 5;
  truncateSync(file, size); // sparse
  const hash = createHash("sha256").update("a");
  const zeros = new Uint8Array(2 ** 20);
  for (let left = size - 1; left > 0; left -= zeros.length)
    hash.update(zeros.subarray(0, Math.min(left, zeros.length)));
  assert.is(sha256OfFiles([file]), hash.digest("hex"));
});

test("a tensor that is longer than an array is refused in words", () => {
  const file = join(folder, "long.safetensors");
  const rows = 5 * 2 ** 28; // 5 GiB of f32
  const info = { dtype: "F32", shape: [rows], data_offsets: [0, 4 * rows] };
  const header = makeFile(JSON.stringify({ w: info }));
  writeFileSync(file, header);
  truncateSync(file, header.length + 4 * rows); // sparse
  if (constants.MAX_LENGTH >= 4 * rows) return; // newer versions of Node
  const message = /long.safetensors: tensor "w" has 5368709120 bytes, expected at most \d+, the/;
  assert.throws(() => loadSafetensors(file), message);
});

test.run();
