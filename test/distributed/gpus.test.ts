// `tinybard train --gpus N` on the emulator: one process for each GPU, which NCCL's stand-in
// connects, has the bits of one process, and ends if one of them is killed.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildNCCL } from "../support/libraries.js";
import {
  cli,
  findChildren,
  hashCheckpoint,
  start,
  tinyRun,
  toArguments,
} from "../support/train-ranks.js";

const test = suite("distributed/gpus");
const hasEmulator = process.env.TINYBARD_TEST_DEVICE === "cuda-emulator";
const testOnEmulator = hasEmulator ? test : test.skip;
const folder = mkdtempSync(join(tmpdir(), "tinybard-gpus-"));
const tiny = { ...tinyRun(folder), device: "cuda-emulator", batchSize: 2, maxIters: 6 } as const;

test.before(() => {
  if (hasEmulator) buildNCCL(folder);
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

function trainArgs(options: object, ...flags: string[]): string[] {
  return [cli, "train", ...toArguments(options), ...flags];
}

testOnEmulator("two GPUs that divide the batches of a step have the bits of one", async () => {
  const outs = ["alone", "together"].map((name) => join(folder, name));
  for (const [i, out] of outs.entries()) {
    const args = trainArgs({ ...tiny, out }, "--gpus", String(i + 1), "--quiet");
    const { code, stdout, stderr } = await start(process.execPath, args, { NCCL_ROOT: folder })
      .ended;
    assert.is(code, 0, stderr);
    if (i === 1) assert.match(stdout, "processes: 2, connected by NCCL");
  }
  assert.equal(hashCheckpoint(outs[1]), hashCheckpoint(outs[0]));
});

testOnEmulator("kill -9 of a process ends the other", async () => {
  const args = trainArgs({ ...tiny, maxIters: 100_000, out: join(folder, "killed") }, "--gpus=2");
  let killTime = 0;
  const { child, ended } = start(process.execPath, args, { NCCL_ROOT: folder }, (text) => {
    if (killTime || !text.includes("iter 5/")) return;
    killTime = performance.now();
    process.kill(findChildren(child.pid as number)[1], "SIGKILL");
  });
  const { code } = await ended;
  assert.ok(killTime > 0 && performance.now() - killTime < 10_000);
  assert.is.not(code, 0);
});

test.run();
