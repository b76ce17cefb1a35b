// Checkpoints are atomic: after kill -9 at any moment, the old one or the new one is there.

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { loadSafetensors, nn, optim } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadCheckpoint, loadState, readCheckpoint, recover } from "#src/runs/checkpoint.js";

const test = suite("checkpoint");
const folder = mkdtempSync(join(tmpdir(), "tinybard-checkpoint-"));
test.after(() => rmSync(folder, { recursive: true }));

/** Saves in another process until it is killed. Returns the last step that it reported. */
function saveUntilKilled(limit: { milliseconds: number } | { rename: number }): Promise<number> {
  const saver = fileURLToPath(new URL("../support/checkpoint-writer.js", import.meta.url));
  const args = "rename" in limit ? [folder, String(limit.rename)] : [folder];
  const child = spawn(process.execPath, [saver, ...args]);
  let reported = 0;
  child.stdout.on("data", (chunk) => {
    if (reported === 0 && "milliseconds" in limit)
      setTimeout(() => child.kill("SIGKILL"), limit.milliseconds);
    reported = Math.max(reported, ...String(chunk).trim().split("\n").map(Number));
  });
  return new Promise((resolve) => child.on("close", () => resolve(reported)));
}

/**
 * Asserts that the folder has one complete checkpoint, of the step reported or the next one: first
 * for a reader, which must not change any file, and then for the next writer.
 */
function assertComplete(reported: number): void {
  for (const name of ["model", "optimizer"]) loadSafetensors(join(folder, `${name}.safetensors`));
  const before = readdirSync(folder);
  const read = readCheckpoint(folder);
  for (const w of Object.values(read?.weights.tensors ?? {}))
    assert.ok(w.data().every((value) => value === read?.state.step));
  assert.equal(readdirSync(folder), before);
  recover(folder);
  assert.is(loadState(folder)?.step, read?.state.step);
  const step = loadState(folder)?.step as number;
  assert.ok(step === reported || step === reported + 1, `step ${step}, reported ${reported}`);
  const model = new nn.Linear(512, 512);
  const optimizer = new optim.AdamW(model.parameters());
  loadCheckpoint(folder, model, optimizer);
  const tensors = [...model.parameters(), ...Object.values(optimizer.stateDict())];
  for (const x of tensors) assert.ok(x.data().every((value) => value === step));
  assert.equal(readdirSync(folder).sort(), [
    "model.safetensors",
    "optimizer.safetensors",
    "state.json",
  ]);
}

test("killed at a random moment while saving", async () => {
  for (let i = 0; i < 6; i++) assertComplete(await saveUntilKilled({ milliseconds: 7 * i * i }));
});

test("killed between writing and renaming, or between two renames", async () => {
  for (const rename of [4, 5, 6]) {
    const reported = await saveUntilKilled({ rename });
    assert.is(reported, 1);
    assertComplete(reported);
  }
});

test("read while the next checkpoints are written: always a complete one", async () => {
  const saving = saveUntilKilled({ milliseconds: 1500 });
  const seen = new Set<number>();
  let isDone = false;
  void saving.then(() => {
    isDone = true;
  });
  while (!isDone) {
    const read = readCheckpoint(folder);
    const { step } = read?.state ?? { step: -1 };
    seen.add(step);
    for (const w of Object.values(read?.weights.tensors ?? {}))
      assert.ok(w.data().every((value) => value === step));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(seen.size > 5, `read ${seen.size} checkpoints`);
  assertComplete(await saving);
});

test("killed while saving the first checkpoint: there is none, or it is complete", async () => {
  for (const rename of [1, 2, 3]) {
    for (const file of readdirSync(folder)) rmSync(join(folder, file));
    assert.is(await saveUntilKilled({ rename }), 0);
    assert.is(loadState(folder)?.step, rename === 1 ? undefined : 1);
  }
  assert.is(loadState(join(folder, "none")), null);
});

test.run();
