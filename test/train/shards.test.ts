// Training on token shards: the same numbers as on the text that they were made of, epochs, resumed
// runs, and the errors of shards that do not fit.

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CharTokenizer, type TrainConfig, train, WordTokenizer } from "tinybard";
import * as assert from "uvu/assert";
import { splitTokens } from "#src/data/batches.js";
import { encodeHeader } from "#src/data/shards/format.js";
import { loadState } from "#src/runs/checkpoint.js";
import { readRows } from "#src/runs/metrics.js";
import { resumeRun } from "#src/runs/resume.js";
import type { TrainHooks } from "#src/train/hooks.js";
import { measureRun } from "#src/train/measure.js";
import { eachDevice } from "../support/harness.js";
import { listOpenFiles } from "../support/open-files.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-train-shards-"));
process.on("exit", () => {
  assert.equal(listOpenFiles(folder), []);
  rmSync(folder, { recursive: true, force: true });
});
const text = join(folder, "text.txt");
const content = "To be, or not to be, that is the question:\n".repeat(60);
writeFileSync(text, content);
const tokenizer = CharTokenizer.train(content);
const tokens = splitTokens(content, tokenizer);
const shards = makeShards("shards");

/** Writes the text as token shards: two for training and one for validation. */
function makeShards(name: string, withTokenizer = true): string {
  const out = join(folder, name);
  mkdirSync(out);
  const write = (file: string, ids: Int32Array) =>
    writeFileSync(
      join(out, file),
      Buffer.concat([
        encodeHeader("uint16", ids.length),
        new Uint8Array(Uint16Array.from(ids).buffer),
      ]),
    );
  write("text_train_0.bin", tokens.train.subarray(0, 1000));
  write("text_train_1.bin", tokens.train.subarray(1000));
  write("text_val_0.bin", tokens.val);
  if (withTokenizer) writeFileSync(join(out, "tokenizer.json"), JSON.stringify(tokenizer));
  return out;
}

let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);
const tiny: Partial<TrainConfig> = {
  nLayer: 1,
  nHead: 2,
  nEmbd: 16,
  blockSize: 8,
  batchSize: 4,
  gradAccum: 2,
  evalInterval: 5,
  evalIters: 2,
  logInterval: 1,
  maxIters: 12,
  learningRate: 1e-2,
  seed: 3,
};

/** Returns the loss of each step. */
const readLosses = (out: string) => readRows(out).map(({ step, loss }) => [step, loss]);

/** Returns hooks that stop a run before a step. */
function stopAt(step: number): TrainHooks {
  let steps = 0;
  return { step: () => void steps++, stop: () => steps >= step };
}

eachDevice("train on shards", (test, on) => {
  const options = { ...tiny, device: on.name };
  const run = (changes: Partial<TrainConfig>, hooks: TrainHooks = {}) =>
    train({ ...options, data: shards, out: newFolder(), ...changes }, hooks);

  test("random sequences: the losses of the text, bit for bit", async () => {
    const ofText = await run({ data: text });
    const ofShards = await run({});
    assert.equal(readLosses(ofShards.out), readLosses(ofText.out));
    assert.is(ofShards.trainLoss, ofText.trainLoss);
    assert.is(ofShards.config.tokenizer, "char");
    assert.is(ofShards.text, "");
    assert.ok((ofShards.figures.bitsPerByte as number) > 0);
    // an ASCII text has as many characters as bytes and, with this tokenizer, tokens
    const expected = (ofShards.valLoss as number) / Math.LN2;
    assert.ok(Math.abs((ofShards.figures.bitsPerByte as number) - expected) < 1e-9);
  });

  test("evaluations see the same validation sequences at each step", async () => {
    const { out } = await run({ learningRate: 0, evalInterval: 1, maxIters: 3 });
    const losses = readRows(out).flatMap(({ valLoss }) => valLoss ?? []);
    assert.is(losses.length, 4);
    assert.is(new Set(losses).size, 1);
  });

  for (const dataOrder of ["random", "epochs"] as const) {
    test(`${dataOrder}: a resumed run equals an uninterrupted one`, async () => {
      const whole = await run({ dataOrder });
      const out = newFolder();
      await run({ dataOrder, out }, stopAt(7));
      assert.is(loadState(join(out, "last"))?.step, 7);
      const moved = join(folder, `moved-${runs++}`);
      mkdirSync(moved);
      for (const file of ["text_train_0", "text_train_1", "text_val_0"])
        copyFileSync(join(shards, `${file}.bin`), join(moved, `${file}.bin`));
      await train({ resume: out, data: moved, device: on.name });
      assert.equal(readLosses(out), readLosses(whole.out));
    });
  }

  test("epochs of a text", async () => {
    const epochs = await run({ data: text, dataOrder: "epochs" });
    const random = await run({ data: text });
    assert.not.equal(readLosses(epochs.out), readLosses(random.out));
  });

  test("a run on a text is evaluated on shards", async () => {
    const { out } = await run({ data: text });
    const measured = await measureRun(out, { iters: 2, data: shards, device: on });
    assert.ok(measured.valLoss > 0 && measured.valLoss < 4);
  });
});

eachDevice("shards that do not fit", (test, on) => {
  if (on.name !== "ts") return;
  const fail = async (data: string, changes: Partial<TrainConfig>, message: RegExp) => {
    try {
      await train({ ...tiny, device: "ts", data, out: newFolder(), ...changes });
    } catch (error) {
      return assert.match((error as Error).message, message);
    }
    assert.unreachable();
  };

  test("tokenizers", async () => {
    const bare = makeShards("bare", false);
    await fail(bare, {}, /has no tokenizer\.json; if its tokens are GPT-2's: --tokenizer gpt2/);
    await fail(shards, { tokenizer: "bpe" }, /tokenizer of .* is char, but --tokenizer is bpe/);
    const gpt2 = await train({
      ...tiny,
      device: "ts",
      data: bare,
      tokenizer: "gpt2",
      out: newFolder(),
      maxIters: 1,
      evalIters: 1,
    });
    assert.is(gpt2.tokenizer.vocabSize, 50257);
    assert.is(gpt2.config.tokenizer, "gpt2");
    const small = makeShards("small", false);
    const words = WordTokenizer.train("to be", { vocabSize: 5 });
    writeFileSync(join(small, "tokenizer.json"), JSON.stringify(words));
    await fail(small, {}, /text_train_\d\.bin: the token at offset \d+ is \d+, expected 0 to/);
  });

  test("evaluation on tokens of another tokenizer", async () => {
    const { out } = await train({ ...tiny, device: "ts", data: text, out: newFolder() });
    const other = makeShards("other-tokenizer", false);
    const lines = CharTokenizer.train(`${content}0123`); // with a larger vocabulary
    writeFileSync(join(other, "tokenizer.json"), JSON.stringify(lines));
    const message = await measureRun(out, { iters: 2, data: other, device: on }).then(
      () => "",
      (error: Error) => error.message,
    );
    assert.match(
      message,
      /^data: \S*other-tokenizer has tokens of another tokenizer than the model/,
    );
  });

  test("lengths", async () => {
    await fail(shards, { blockSize: 300 }, /the val split of .* has 258 tokens, expected more/);
    const short = join(folder, "short");
    mkdirSync(short);
    for (const name of ["train_0", "train_1", "train_2", "val"])
      writeFileSync(
        join(short, `${name}.bin`),
        Buffer.concat([encodeHeader("uint16", 8), new Uint8Array(16)]),
      );
    writeFileSync(
      join(short, "val.bin"),
      Buffer.concat([encodeHeader("uint16", 99), new Uint8Array(198)]),
    );
    writeFileSync(join(short, "tokenizer.json"), JSON.stringify(tokenizer));
    const message = /no training shard of .*short has more tokens than blockSize, 8/;
    await fail(short, { dataOrder: "epochs" }, message);
  });

  test("other shards than those of the run", async () => {
    const out = newFolder();
    await train({ ...tiny, device: "ts", data: shards, out }, stopAt(2));
    const other = makeShards("other");
    writeFileSync(join(other, "text_val_0.bin"), encodeHeader("uint16", 0));
    const resume = resumeRun(out, { data: other });
    const error = await resume.then(
      () => null,
      (error: Error) => error,
    );
    assert.match(String(error?.message), /other: not the shards that .* was trained on/);
  });
});
