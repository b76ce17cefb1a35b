// A run that is killed at any write, of checkpoints, metrics, the plot or the configuration, can be
// resumed or started again, and then equals one that was not interrupted.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type TrainConfig, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadConsistentState } from "#src/runs/checkpoint.js";
import { readRows } from "#src/runs/metrics.js";
import { hasKilledItself } from "../support/platform.js";

const test = suite("killed run");
const folder = mkdtempSync(join(tmpdir(), "tinybard-killed-"));
test.after(() => rmSync(folder, { recursive: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(20));
const options: Partial<TrainConfig> = {
  device: "ts",
  preset: "bigram",
  data,
  blockSize: 4,
  batchSize: 2,
  evalInterval: 3,
  evalIters: 1,
  logInterval: 1,
  maxIters: 7,
};

/** Trains in another process until a call. Returns the number of calls, or null if it was killed. */
function trainUntilKilled(config: object, killAt?: number): number | null {
  const program = fileURLToPath(new URL("../support/killed-run.js", import.meta.url));
  const args = [program, JSON.stringify(config), ...(killAt ? [String(killAt)] : [])];
  const { signal, status, stdout, stderr } = spawnSync(process.execPath, args, {
    encoding: "utf8",
  });
  if (hasKilledItself(signal, status, stderr)) return null;
  assert.is(status, 0, stderr);
  return Number(stdout);
}

/** Reads the results of a run without its times. */
function readResults(out: string): object {
  const rows = readRows(out).map(({ tokensPerSecond, elapsedSeconds, ...row }) => row);
  const weights = ["best", "last"].map((name) =>
    readFileSync(join(out, name, "model.safetensors")).toString("hex"),
  );
  return { rows, weights };
}

/** Completes a run as a user would: resumes it, or starts it again if it is not a run yet. */
async function complete(out: string): Promise<void> {
  const hooks = { warning() {} }; // damaged lines are dropped
  if (existsSync(join(out, "config.json"))) await train({ resume: out, maxIters: 7 }, hooks);
  else await train({ ...options, out }, hooks);
}

test("killed at any call that changes files, and completed: equal to the whole run", async () => {
  const out = join(folder, "killed");
  const calls = trainUntilKilled({ ...options, out }) as number;
  assert.ok(calls > 100, `${calls}`);
  const whole = readResults(out);
  for (let killAt = 1; killAt <= calls; killAt += 11) {
    rmSync(out, { recursive: true, force: true });
    assert.is(trainUntilKilled({ ...options, out }, killAt), null);
    if (existsSync(join(out, "last", "state.json"))) {
      const { step } = loadConsistentState(join(out, "last")) ?? { step: -1 };
      const steps = readRows(out).map((row) => row.step);
      for (let k = 0; k < step; k++) assert.ok(steps.includes(k), `row ${k} of ${step}: ${steps}`);
    }
    await complete(out);
    assert.equal(readResults(out), whole, `killed at call ${killAt} of ${calls}`);
  }
});

test("killed while it resumes, at any call: resumed again, it equals the whole run", async () => {
  const out = join(folder, "resumed");
  const whole = readResults((await train({ ...options, out })).out);
  const prepare = async () => {
    rmSync(out, { recursive: true });
    await train({ ...options, out, maxIters: 4 });
    const file = join(out, "metrics.jsonl");
    writeFileSync(file, `${readFileSync(file, "utf8").replace("\n", "\n{torn\n")}{"step":9,`);
  };
  await prepare();
  const calls = trainUntilKilled({ resume: out, maxIters: 7 }) as number;
  assert.equal(readResults(out), whole);
  for (let killAt = 1; killAt <= calls; killAt += 8) {
    await prepare();
    assert.is(trainUntilKilled({ resume: out, maxIters: 7 }, killAt), null);
    await complete(out);
    assert.equal(readResults(out), whole, `killed at call ${killAt} of ${calls}`);
  }
});

test.run();
