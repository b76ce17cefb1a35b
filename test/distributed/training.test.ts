// Training as two and three ranks: the same bits as one process where the batches of a step are
// divided, the same losses where their rows are, and resuming with another number of ranks.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TrainConfig, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { prepareShards } from "#src/data/prepare/prepare.js";
import type { Engine } from "../support/ranks.js";
import {
  findTrainingEngines,
  hashCheckpoint,
  readMetrics,
  runJobs,
  tinyRun,
} from "../support/train-ranks.js";

const engines = findTrainingEngines("training as several ranks");
const folder = mkdtempSync(join(tmpdir(), "tinybard-ranks-"));
const tiny = tinyRun(folder);
const shards = join(folder, "shards");
const base = join(folder, "base");

/** Runs whose steps two ranks divide by batches. */
const recipes: Record<string, Partial<TrainConfig>> = {
  adamw: { ...tiny, emaDecay: 0.9, dropout: 0.2, schedule: "cosine", warmupIters: 3 },
  muon: { ...tiny, optimizer: "muon", schedule: "wsd", dataOrder: "epochs", gradAccum: 4 },
  "adapters on token shards": {
    data: shards,
    device: "cpu",
    initFrom: base,
    loraRank: 2,
    batchSize: 4,
    gradAccum: 2,
    maxIters: 6,
    evalInterval: 3,
    evalIters: 2,
    logInterval: 1,
  },
};
const tied = { ...tiny, tieWeights: true };

const folderOf = (name: string, key: string) => join(folder, `${name}-${key}`.replaceAll(" ", "-"));
const named = (name: string) => (key: string) => folderOf(name, key);
const alone = named("alone");

/** Trains in this process, or continues a run. */
async function trainAlone(options: Partial<TrainConfig> & { resume?: string }): Promise<void> {
  await train(options);
}

function assertSameRun(actual: string, expected: string): void {
  for (const name of ["best", "last"])
    assert.equal(hashCheckpoint(actual, name), hashCheckpoint(expected, name), name);
}

/** Asserts that the losses of two runs agree within 1e-6. */
function assertClose(actual: string, expected: string): void {
  const others = readMetrics(actual);
  const rows = readMetrics(expected);
  assert.is(others.length, rows.length);
  for (const [i, row] of rows.entries()) {
    for (const key of ["loss", "trainLoss", "valLoss", "gradNorm"] as const) {
      const [a = 0, b = 0] = [others[i][key], row[key]];
      assert.ok(Math.abs(a - b) <= 1e-6, `row ${i}: ${key} is ${a}, expected ${b}`);
    }
  }
}

function readConfig(out: string): TrainConfig {
  return { ...JSON.parse(readFileSync(join(out, "config.json"), "utf8")), out: "" };
}

const test = suite("distributed/training");

test.before(async () => {
  if (engines.length === 0) return;
  await prepareShards({
    files: [join(folder, "text.txt")],
    out: shards,
    tokenizer: { kind: "char" },
  });
  await trainAlone({ ...tiny, out: base, maxIters: 3 });
  for (const [key, options] of Object.entries(recipes))
    await trainAlone({ ...options, out: alone(key) });
  await trainAlone({ ...tied, out: alone("tied") });
  await trainAlone({ ...tiny, out: alone("whole") });
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

if (engines.length === 0) test.skip("needs MPI", () => {});
for (const engine of engines) defineTests(engine);
if (engines.length > 1)
  test("engines agree on the bits where the rows of a batch are divided", () => {
    const [first, ...others] = engines.map(({ name }) => folderOf(name, "tied"));
    for (const other of others) assertSameRun(other, first);
  });
test.run();

function defineTests(engine: Engine): void {
  const ofRanks = named(engine.name);
  let isTrained = false;

  test(`${engine.name}: 2 ranks train several runs, one after the other`, async () => {
    const keys = Object.keys(recipes);
    const jobs = keys.map((key) => ({ options: { ...recipes[key], out: ofRanks(key) } }));
    const part = { options: { ...tiny, out: ofRanks("resumed"), maxIters: 4 } };
    const timed = { ...tiny, out: ofRanks("timed"), schedule: "cosine" } as const;
    const { maxIters, ...unlimited } = timed;
    void maxIters;
    const budget = { options: { ...unlimited, maxSeconds: 0.3 } };
    const outcomes = await runJobs(engine, 2, [...jobs, part, budget]);
    assert.is(outcomes.length, 2 * (keys.length + 2));
    isTrained = true;
  });

  for (const key of Object.keys(recipes)) {
    test(`${engine.name}: 2 ranks that divide batches have the bits of one process: ${key}`, () => {
      assert.ok(isTrained);
      if (recipes[key].gradAccum === 2) assertSameRun(ofRanks(key), alone(key));
      else assertClose(ofRanks(key), alone(key));
      assert.equal(readConfig(ofRanks(key)), readConfig(alone(key)));
      if (recipes[key].gradAccum === 2)
        assert.equal(readMetrics(ofRanks(key)), readMetrics(alone(key)));
    });
  }

  test(`${engine.name}: 3 ranks that divide rows have the losses of one process`, async () => {
    await runJobs(engine, 3, [{ options: { ...tied, out: ofRanks("tied") } }]);
    assertClose(ofRanks("tied"), alone("tied"));
  });

  test(`${engine.name}: a run goes on with one process, and again with two`, async () => {
    assert.ok(isTrained);
    const resume = ofRanks("resumed");
    await trainAlone({ resume, maxIters: 8 });
    await runJobs(engine, 2, [{ options: { resume, maxIters: 12 } }]);
    assertSameRun(resume, alone("whole"));
  });

  test(`${engine.name}: rank 0 decides when the time is over, and one process repeats it`, async () => {
    assert.ok(isTrained);
    const { estimates, maxSeconds, ...config } = readConfig(ofRanks("timed"));
    assert.is(maxSeconds, 0.3);
    const state = JSON.parse(readFileSync(join(ofRanks("timed"), "last/state.json"), "utf8"));
    const out = ofRanks("repeated");
    await trainAlone({ ...config, estimates, maxIters: state.step, out });
    assertSameRun(out, ofRanks("timed"));
  });
}
