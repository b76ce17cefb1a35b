// The list of runs and the newest run, in a folder that also has damaged and foreign entries.

import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lockFolder } from "#src/files/lock.js";
import { findNewestRun, findRuns, summarizeRun } from "#src/runs/list.js";
import { fixturePath } from "../support/harness.ts";
import { canTestPipes } from "../support/platform.js";

const test = suite("list");
const folder = mkdtempSync(join(tmpdir(), "tinybard-list-"));
test.after(() => rmSync(folder, { recursive: true }));
const runs = join(folder, "runs");
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(20));

/** Sets the modification time of a run's checkpoints to a second after 1970. */
function setTime(run: string, seconds: number): void {
  for (const name of ["best", "last"])
    utimesSync(join(runs, run, name, "state.json"), seconds, seconds);
}

test.before(async () => {
  const options = { preset: "bigram", data, device: "ts", evalIters: 1, evalInterval: 2 } as const;
  await train({ ...options, maxIters: 4, out: join(runs, "old") });
  let steps = 0;
  await train(
    { ...options, maxIters: 100, evalInterval: 50, out: join(runs, "stopped") },
    { step: () => steps++, stop: () => steps >= 3 },
  );
  for (const name of ["config", "state", "weights", "tokenizer"])
    cpSync(join(runs, "old"), join(runs, name), { recursive: true });
  writeFileSync(join(runs, "config", "config.json"), "{");
  writeFileSync(join(runs, "state", "best", "state.json"), "");
  writeFileSync(join(runs, "state", "last", "state.json"), "[]");
  for (const name of ["best", "last"])
    truncateSync(join(runs, "weights", name, "model.safetensors"), 100);
  writeFileSync(join(runs, "tokenizer", "tokenizer.json"), "{}");
  for (const [i, name] of ["old", "stopped", "config", "state", "weights", "tokenizer"].entries())
    setTime(name, 1000 + i);
  mkdirSync(join(runs, "unfinished"));
  cpSync(join(runs, "old", "config.json"), join(runs, "unfinished", "config.json"));
  mkdirSync(join(runs, "empty"));
  writeFileSync(join(runs, "file"), "");
  cpSync(fixturePath("gpt2"), join(runs, "gpt2"), { recursive: true });
  if (!canTestPipes("links, loops and pipes among runs")) return;
  symlinkSync("nowhere", join(runs, "link"));
  symlinkSync("loop", join(runs, "loop"));
  mkdirSync(join(runs, "pipe"));
  spawnSync("mkfifo", [join(runs, "pipe", "config.json")]);
});

test("findRuns() sorts by the newest checkpoint", () => {
  const names = findRuns(runs).map(({ name }) => name);
  assert.equal(names.slice(0, 6), ["tokenizer", "weights", "state", "config", "stopped", "old"]);
  assert.equal(names.slice(6).sort(), ["gpt2", "unfinished"]);
  assert.equal(findRuns(join(folder, "nowhere")), []);
});

test("findNewestRun() passes over damaged runs, and names their files", () => {
  const problems: string[] = [];
  assert.is(
    findNewestRun(runs, (problem) => problems.push(problem)),
    join(runs, "stopped"),
  );
  const files = ["tokenizer.json", "model.safetensors", "state.json", "config.json"];
  assert.is(problems.length, 4);
  for (const [i, file] of files.entries()) assert.ok(problems[i].includes(file), problems[i]);
  assert.is(
    findNewestRun(join(folder, "nowhere"), () => {}),
    null,
  );
});

test("summarizeRun() reads steps, losses and the state of the run", () => {
  const summaries = Object.fromEntries(
    findRuns(runs).map((entry) => [entry.name, summarizeRun(entry)]),
  );
  const { old, stopped, unfinished, config, state, gpt2 } = summaries;
  assert.is(old?.state, "finished");
  assert.is(old?.model, "bigram");
  assert.is(old?.step, 4);
  assert.is(old?.maxIters, 4);
  assert.is(old?.savedAt, "1970-01-01T00:16:40.000Z");
  assert.type(old?.trainLoss, "number");
  assert.ok((old?.bestValLoss ?? 9) <= (old?.valLoss ?? 0));
  assert.is(stopped?.state, "stopped");
  assert.is(stopped?.step, 3);
  assert.is(stopped?.valLoss, null); // not evaluated at step 3
  assert.is(stopped?.bestStep, 0);
  assert.is(unfinished?.state, "no checkpoint");
  assert.is(unfinished?.maxIters, 4);
  assert.is(config?.state, "damaged");
  assert.match(config?.problem ?? "", /config\.json/);
  assert.is(state?.state, "damaged");
  assert.match(state?.problem ?? "", /state\.json/);
  const { weights, link } = summaries;
  assert.is(weights?.state, "finished"); // its size is only checked when it is read
  assert.is(link, undefined);
  const bestWeights = join(runs, "old", "best", "model.safetensors");
  renameSync(bestWeights, `${bestWeights}.moved`);
  const missing = findRuns(runs).find(({ name }) => name === "old");
  assert.match(
    (missing && summarizeRun(missing)?.problem) ?? "",
    /model\.safetensors: no such file/,
  );
  renameSync(`${bestWeights}.moved`, bestWeights);
  assert.is(gpt2, null); // a model of Hugging Face transformers
  const entry = findRuns(runs).find(({ name }) => name === "stopped");
  const lock = lockFolder(join(runs, "stopped"));
  assert.is(entry && summarizeRun(entry)?.state, "training");
  lock.release();
  for (const content of ["", `{"pid":2147483646,"host":"${hostname()}","start":null}`]) {
    writeFileSync(join(runs, "stopped", "lock.json"), content); // left by a killed process
    assert.is(entry && summarizeRun(entry)?.state, "stopped");
  }
});

test.run();
