// The folder of a run: failed and killed starts, two starts at once, and inputs that were moved.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { type TrainConfig, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { device } from "#src/backend/devices.js";
import { createNumberedFolder } from "#src/runs/folder.js";
import { loadRun } from "#src/runs/load.js";

const test = suite("runs/folder");
const folder = mkdtempSync(join(tmpdir(), "tinybard-folder-"));
test.after(() => rmSync(folder, { recursive: true }));
const text = "To be, or not to be, that is the question:\n".repeat(60);
let count = 0;
const newPath = () => join(folder, `path-${count++}`);
const writeText = (content = text) => {
  const file = newPath();
  writeFileSync(file, content);
  return file;
};
const data = writeText();
const tiny: Partial<TrainConfig> = {
  data,
  device: "ts",
  nLayer: 1,
  nHead: 2,
  nEmbd: 8,
  blockSize: 8,
  batchSize: 2,
  maxIters: 2,
  evalInterval: 2,
  evalIters: 1,
};
const run = (options: Partial<TrainConfig> = {}, hooks = {}) =>
  train({ ...tiny, out: newPath(), ...options }, hooks);
const fails = async (promise: Promise<unknown>, message: RegExp) => {
  const error = await promise.then(
    () => assert.unreachable(`${message}: succeeded`),
    (error) => error,
  );
  assert.match(error.message, message);
};
const weights = (out: string) => readFileSync(join(out, "last", "model.safetensors"));

test("a run that is trained can be neither started again nor resumed", async () => {
  const out = newPath();
  const owner = new RegExp(`in use by process ${process.pid} on ${hostname()}`);
  const tries: Promise<void>[] = [];
  await run(
    { out },
    {
      step: ({ step }: { step: number }) => {
        if (step === 0)
          tries.push(fails(run({ out }), owner), fails(train({ resume: out }), owner));
      },
    },
  );
  assert.is(tries.length, 2);
  await Promise.all(tries);
  assert.not.ok(existsSync(join(out, "lock.json")));
  const [first, second] = [newPath(), newPath()];
  const results = await Promise.allSettled([first, first, second].map((out) => run({ out })));
  assert.equal(results.map(({ status }) => status).sort(), ["fulfilled", "fulfilled", "rejected"]);
});

test("a failed start leaves no folder; one that existed stays as it was", async () => {
  const out = newPath();
  const start = () => {
    throw new Error("cannot listen");
  };
  await fails(run({ out }, { start }), /cannot listen/);
  assert.not.ok(existsSync(out));
  await fails(run({ out, data: join(folder, "none") }), /no such file/);
  assert.not.ok(existsSync(out));
  mkdirSync(out);
  writeFileSync(join(out, "notes.txt"), "mine");
  await fails(run({ out }, { start }), /cannot listen/);
  assert.equal(readdirSync(out), ["notes.txt"]);
});

test("a start leaves the files of other programs in its folder alone", async () => {
  const out = newPath();
  mkdirSync(out);
  const others = ["events.out.tfevents.1", "loss.svg", "notes.txt"];
  for (const name of [...others, "tokenizer.json"]) writeFileSync(join(out, name), name);
  await fails(run({ out, data: newPath() }), /no such file|does not exist/);
  await fails(run({ out, nLayer: 1, nEmbd: 7 }), /nEmbd is 7/);
  assert.equal(readdirSync(out).sort(), [...others, "tokenizer.json"].sort());
  assert.is(readFileSync(join(out, "tokenizer.json"), "utf8"), "tokenizer.json");
  const failingStart = {
    start() {
      throw new Error("in the hook");
    },
  };
  await fails(run({ out }, failingStart), /in the hook/);
  assert.equal(readdirSync(out).sort(), others);
  for (const name of others) assert.is(readFileSync(join(out, name), "utf8"), name);
});

test("a run without a checkpoint starts again, or resumes at step 0, to the same weights", async () => {
  const whole = await run();
  const limbo = newPath();
  mkdirSync(join(limbo, "best"), { recursive: true });
  for (const name of ["config.json", "tokenizer.json"])
    cpSync(join(whole.out, name), join(limbo, name));
  writeFileSync(join(limbo, "best", "state.json.tmp"), "{");
  writeFileSync(join(limbo, "lock.json"), JSON.stringify({ pid: 2 ** 31 - 1, host: hostname() }));
  const [again, resumed] = [newPath(), newPath()];
  for (const out of [again, resumed]) cpSync(limbo, out, { recursive: true });
  await run({ out: again });
  await train({ resume: resumed });
  assert.equal(weights(again), weights(whole.out));
  assert.equal(weights(resumed), weights(whole.out));
  await fails(run({ out: again }), /holds a run already; --resume/);
});

test("a missing file of a checkpoint is named instead of losing steps", async () => {
  const { out } = await run({ maxIters: 4 });
  const last = join(out, "last");
  const resume = () => train({ resume: out, maxIters: 6 });
  renameSync(join(last, "optimizer.safetensors"), join(out, "optimizer"));
  await fails(resume(), /last.optimizer\.safetensors: it is missing; use --init-from/);
  renameSync(join(out, "optimizer"), join(last, "optimizer.safetensors"));
  renameSync(join(last, "state.json"), join(out, "state"));
  await fails(resume(), /last.state\.json: missing; restore it, or delete .*last to resume/);
  renameSync(join(out, "state"), join(last, "state.json"));
  assert.is((await resume()).state.step, 6);
});

test("a run whose folder another process has taken over saves nothing there", async () => {
  const out = newPath();
  const takeOver = {
    step({ step }: { step: number }) {
      if (step === 0) writeFileSync(join(out, "lock.json"), "{}");
    },
  };
  await fails(run({ out }, takeOver), /another process has locked the folder/);
  assert.is(JSON.parse(readFileSync(join(out, "last", "state.json"), "utf8")).step, 0);
  const removed = newPath();
  const remove = { step: () => rmSync(join(removed, "lock.json"), { force: true }) };
  assert.is((await run({ out: removed }, remove)).state.step, 2);
});

test("killed between its first two checkpoints: best/ alone is resumed", async () => {
  const whole = await run();
  const partial = await run({ maxIters: 0 });
  rmSync(join(partial.out, "last"), { recursive: true });
  await train({ resume: partial.out, maxIters: 2 });
  assert.equal(weights(partial.out), weights(whole.out));
});

test("folders of the same second get numbers", () => {
  const parent = newPath();
  const folders = [1, 2, 3].map(() => createNumberedFolder(parent, "name"));
  const expected = ["name", "name-2", "name-3"];
  assert.equal(
    folders.map(({ path }) => path),
    expected.map((name) => join(parent, name)),
  );
  folders[1].discard();
  assert.equal(readdirSync(parent), ["name", "name-3"]);
  for (const owned of folders) owned.release();
});

test("the text may be moved, and moved back; another text is refused", async () => {
  const [place, moved, other] = [writeText(), newPath(), writeText(`${text}!`)];
  const { out } = await run({ data: place });
  renameSync(place, moved);
  await fails(train({ resume: out, maxIters: 3 }), /no such file.*; --data FILE names/);
  await fails(
    train({ resume: out, maxIters: 3, data: other }),
    /is not the text that .* on; --data/,
  );
  await train({ resume: out, maxIters: 3, data: moved });
  await train({ resume: out, maxIters: 4 });
  renameSync(moved, place);
  await train({ resume: out, maxIters: 5 });
  const config = JSON.parse(readFileSync(join(out, "config.json"), "utf8"));
  assert.equal([config.data, config.maxIters], [place, 5]);
});

test("a run of another device resumes with --device; a dtype that it lacks is named", async () => {
  const { out } = await run();
  const file = join(out, "config.json");
  const config = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...config, device: "cuda", dtype: "bf16" }));
  await fails(train({ resume: out, device: "ts" }), /bf16 is not supported on ts .*--dtype f32/);
  await train({ resume: out, device: "ts", dtype: "f32", maxIters: 3 });
  const updated = JSON.parse(readFileSync(file, "utf8"));
  assert.equal([updated.device, updated.dtype], ["ts", "f32"]);
  await fails(train({ resume: out, nEmbd: 16 }), /nEmbd is 8 in .* and cannot change/);
});

test("adapters find a base model that was moved with them, or is named", async () => {
  const parent = newPath();
  const base = await run({ out: join(parent, "base") });
  const lora = { initFrom: base.out, loraRank: 2, out: join(parent, "lora") };
  await run(lora);
  const moved = `${parent}-moved`;
  renameSync(parent, moved);
  const out = join(moved, "lora");
  loadRun(out, device("ts"));
  const elsewhere = newPath();
  renameSync(join(moved, "base"), elsewhere);
  assert.throws(() => loadRun(out, device("ts")), /no longer exists; name its folder with --base/);
  loadRun(out, device("ts"), undefined, { base: elsewhere });
  const other = await run({ seed: 5 });
  assert.throws(
    () => loadRun(out, device("ts"), undefined, { base: other.out }),
    /weights have changed since: it is another model now/,
  );
  await fails(train({ resume: out, initFrom: other.out }), /it is another model now/);
  await train({ resume: out, initFrom: elsewhere, maxIters: 3 });
  loadRun(out, device("ts"));
});

test.run();
