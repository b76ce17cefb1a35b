// A session of the page takes the steps of the program, and its files are those of a run.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setImmediate as nextTask } from "node:timers/promises";
import { device, setDefaultDevice, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Events, RunFiles, SampleText } from "#src/playground/protocol.js";
import { openFiles, toFiles } from "#src/playground/run-files.js";
import { inspect, logitsAt } from "#src/playground/sample.js";
import { type Emit, Session } from "#src/playground/session.js";
import { presets, type Settings } from "#src/playground/settings.js";
import { type PageRun, startRun } from "#src/playground/start.js";
import { loadRun } from "#src/runs/load.js";
import { readRows } from "#src/runs/metrics.js";

const test = suite("playground/session");
const folder = mkdtempSync(join(tmpdir(), "tinybard-session-"));
test.before(() => setDefaultDevice("ts"));
test.after(() => {
  rmSync(folder, { recursive: true });
  setDefaultDevice("auto");
});

const text = readFileSync(new URL("../../src/playground/texts/names.txt", import.meta.url), "utf8");
const settings: Settings = {
  ...presets.tiny,
  nLayer: 1,
  nEmbd: 16,
  nHead: 2,
  blockSize: 8,
  batchSize: 4,
  maxIters: 500,
  dropout: 0.1,
};

/** Trains a run for 12 steps. */
async function finish(run: PageRun): Promise<{ samples: SampleText[]; failures: string[] }> {
  const samples: SampleText[] = [];
  const failures: string[] = [];
  const emit: Emit = (event, data) => {
    if (event === "sample") samples.push(data as Events["sample"]);
    if (event === "failure") failures.push((data as Events["failure"]).message);
  };
  const session = new Session(run, emit, nextTask);
  session.setMaxIters(12);
  await session.train();
  return { samples, failures };
}

/** Writes files to a new folder. */
function writeFiles(name: string, files: RunFiles): string {
  for (const [path, content] of files) {
    const file = join(folder, name, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
  return join(folder, name);
}

test("the page takes the same steps as the program, bit for bit", async () => {
  const run = startRun(settings, "names", text);
  const { samples, failures } = await finish(run);
  assert.equal(failures, []);
  assert.is(run.state.step, 12);
  assert.ok(samples.some(({ isDone, text }) => isDone && text.length > 100));
  const data = join(folder, "names.txt");
  writeFileSync(data, text);
  const out = join(folder, "program");
  const { model } = await train({ ...run.config, data, out, device: "ts" });
  const own = run.model.stateDict();
  for (const [name, w] of Object.entries(model.stateDict()))
    assert.equal(own[name].data(), w.data(), name);
});

test("training that is continued during the last sample goes on, and a new sample replaces it", async () => {
  const run = startRun(settings, "names", text);
  const samples: SampleText[] = [];
  const emit: Emit = (event, data) => {
    if (event !== "sample") return;
    const sample = data as SampleText;
    samples.push(sample);
    if (sample.step === 2 && !sample.isDone) session.setMaxIters(4);
    if (sample.step === 4 && samples.at(-2)?.step === 2) void session.sample();
  };
  const session = new Session(run, emit, nextTask);
  session.setMaxIters(2);
  await session.train();
  await session.sample();
  assert.is(run.state.step, 4);
  const complete = samples.filter(({ isDone, step }) => isDone && step === 4);
  assert.is(complete.length, 1, "each sample replaces the one before");
});

test("the program reads, samples and resumes the files of the page", async () => {
  const run = startRun(settings, "names", text);
  const session = new Session(run, () => {}, nextTask);
  session.setMaxIters(6);
  await session.train();
  session.setMaxIters(12);
  const out = writeFiles("page", toFiles(run));
  const loaded = loadRun(out, device("ts"));
  assert.is(loaded.state.step, 6);
  assert.equal(
    loaded.model.stateDict()["wte.weight"].data(),
    run.model.stateDict()["wte.weight"].data(),
  );
  const rows = readRows(out);
  assert.ok(rows.length > 0);
  const data = join(out, "names.txt");
  const resumed = await train({ resume: out, data, device: "ts", maxIters: 12 });
  await session.train();
  for (const [name, w] of Object.entries(resumed.model.stateDict()))
    assert.equal(run.model.stateDict()[name].data(), w.data(), name);
});

test("a run of the program is opened and continued; without its text it is only used", async () => {
  const data = join(folder, "own.txt");
  writeFileSync(data, text.slice(0, 20_000));
  const out = join(folder, "other");
  const { model } = await train({
    data,
    out,
    nLayer: 1,
    nHead: 2,
    nEmbd: 16,
    blockSize: 8,
    batchSize: 4,
    maxIters: 5,
    evalInterval: 5,
    evalIters: 2,
    device: "ts",
  });
  const files: RunFiles = new Map();
  for (const name of ["config.json", "tokenizer.json", "metrics.jsonl", "last/state.json"])
    files.set(`other/${name}`, new Uint8Array(readFileSync(join(out, name))));
  for (const name of ["model", "optimizer"]) {
    const path = `last/${name}.safetensors`;
    files.set(`other/${path}`, new Uint8Array(readFileSync(join(out, path))));
  }
  const opened = await openFiles(files);
  assert.is(opened.tokens, null);
  assert.is(opened.state.step, 5);
  assert.equal(
    opened.model.stateDict()["wpe.weight"].data(),
    model.stateDict()["wpe.weight"].data(),
  );
  const session = new Session(opened, () => {}, nextTask);
  assert.is(session.info.progress.state, "untrainable");
  const { weights, logits, tokens } = inspect(opened, "Anna");
  assert.is(tokens.length, 4);
  assert.is(weights.length, 1 * 2 * 4 * 4);
  assert.equal(logitsAt(opened, "Anna", 3), logits);
  const trainable = await openFiles(files, { name: "own", text });
  const other = new Session(trainable, () => {}, nextTask);
  other.setMaxIters(8);
  await other.train();
  assert.is(trainable.state.step, 8);
  const unknown = openFiles(files, { name: "digits", text: "0123456789".repeat(100) });
  await unknown.then(
    () => assert.unreachable(),
    (error) => assert.match(error.message, /"0"|0/),
  );
});

test("damaged and foreign files are errors that name the file", async () => {
  const good = toFiles(startRun(settings, "names", text));
  const expectError = async (change: (files: RunFiles) => void, message: RegExp) => {
    const files = new Map(good);
    change(files);
    const error = await openFiles(files).catch((error) => error);
    assert.instance(error, Error);
    assert.match((error as Error).message, message, (error as Error).message);
  };
  const set = (path: string, content: string) => (files: RunFiles) => {
    files.set(path, new TextEncoder().encode(content));
  };
  const setConfig = (change: object) => {
    const config = JSON.parse(new TextDecoder().decode(good.get("config.json")));
    return set("config.json", JSON.stringify({ ...config, ...change }));
  };
  await expectError((files) => files.delete("config.json"), /config.json is missing/);
  await expectError((files) => files.delete("tokenizer.json"), /tokenizer.json is missing/);
  await expectError(
    (files) => files.delete("last/model.safetensors"),
    /model.safetensors is missing/,
  );
  await expectError(set("config.json", "["), /config.json: not valid JSON/);
  await expectError(set("config.json", "[]"), /config.json/);
  await expectError(set("config.json", '{"model_type":"gpt2"}'), /Hugging Face/);
  await expectError(setConfig({ nEmbd: 32 }), /^model.safetensors: h.0.* has shape .*, expected/);
  await expectError(setConfig({ nEmbd: 1e6, nHead: 1 }), /million parameters, expected at most/);
  await expectError(setConfig({ nLayer: 2 }), /missing/);
  await expectError(
    setConfig({ loraRank: 2, initFrom: "base" }),
    /LoRA adapters without their base.* --init-from DIR --max-iters 0/,
  );
  await expectError(set("last/state.json", '{"step":-1}'), /step is -1/);
  await expectError(set("tokenizer.json", "{}"), /tokenizer/);
  await expectError(set("last/model.safetensors", "not tensors"), /^model.safetensors: header has/);
  await expectError((files) => {
    const weights = files.get("last/model.safetensors") as Uint8Array<ArrayBuffer>;
    files.set("last/model.safetensors", weights.slice(0, -4));
  }, /bytes of data/);
});

test("texts that are too short and models that are too large are refused", () => {
  assert.throws(() => startRun(settings, "short", "abc"), /train split of short has 2 tokens/);
  const large = { ...settings, nLayer: 12, nEmbd: 512, nHead: 8, vocabSize: 8192 };
  assert.not.throws(() => startRun(settings, "names", text));
  assert.throws(
    () => startRun({ ...large, nEmbd: 600 }, "names", text),
    /nEmbd is 600, expected a number from 16 to 512/,
  );
});

test.run();
