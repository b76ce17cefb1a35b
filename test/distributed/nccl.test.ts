// Process groups of NCCL on the emulator, with a library in place of NCCL (test/native/nccl.cpp):
// processes as torchrun starts them, and ranks of MPI whose sums go through NCCL.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { buildNCCL } from "../support/libraries.js";
import {
  type Ended,
  findEngines,
  hashSums,
  lists,
  parseRanks,
  runRanks,
  runTorchrun,
  type Sums,
} from "../support/ranks.js";

const test = suite("distributed/nccl");
const hasEmulator = process.env.TINYBARD_TEST_DEVICE === "cuda-emulator";
const root = mkdtempSync(join(tmpdir(), "tinybard-nccl-"));
const environment = { TEST_DEVICE: "cuda-emulator", NCCL_ROOT: root };

test.before(() => {
  if (!hasEmulator) return;
  buildNCCL(root);
});
test.after(() => rmSync(root, { recursive: true }));

const testOnEmulator = hasEmulator ? test : test.skip;

/** Asserts the bits of `lists` and of replayed steps on every rank. */
function checkSums(ended: Ended, size: number): void {
  const ranks = parseRanks<Sums>(ended);
  assert.is(ranks.length, size);
  for (const [rank, result] of ranks.entries()) {
    assert.equal(result, { rank, size, ...hashSums(size), calls: lists.length + 2 });
  }
}

for (const size of [2, 3]) {
  testOnEmulator(`torchrun: allReduce in ${size} processes, captured and replayed`, async () => {
    checkSums(await runTorchrun(size, "sum", environment), size);
  });
}

testOnEmulator("torchrun: the communicator exchanges values", async () => {
  const ranks = parseRanks<{ rank: number; engine: string; doubles: number[]; texts: string[] }>(
    await runTorchrun(2, "values", environment),
  );
  for (const { engine, doubles, texts } of ranks) {
    assert.is(engine, "NCCL 2.99.1");
    assert.equal(doubles, [0.1 + 1.1, 2e16, -1e16 + 1]);
    assert.equal(texts, ["rank 0 é", ""]);
  }
});

for (const engine of hasEmulator ? findEngines() : []) {
  testOnEmulator(`${engine.name}: allReduce goes through NCCL, the rest through MPI`, async () => {
    checkSums(await runRanks(engine, 2, "sum", environment), 2);
  });
}

testOnEmulator("a missing library is a usage error of rank 0", async () => {
  const missing = { ...environment, NCCL_ROOT: "/nowhere" };
  const { code, stderr } = await runTorchrun(2, "sum", missing);
  assert.is(code, 2);
  assert.match(stderr, /started by torchrun as 2 processes, but libnccl.so.2 was not found/);
  assert.is(stderr.match(/tinybard:/g)?.length, 1);
  for (const engine of findEngines().slice(0, 1)) {
    const ended = await runRanks(engine, 2, "sum", missing);
    assert.is(ended.code, 2);
    assert.match(ended.stderr, /rank 0 of 2 cannot use NCCL: libnccl.so.2 was not found/);
  }
});

testOnEmulator("torchrun connects no CPUs", async () => {
  const { code, stderr } = await runTorchrun(2, "sum", { ...environment, TEST_DEVICE: "cpu" });
  assert.is(code, 2);
  assert.match(stderr, /which NCCL connects on cuda, not on cpu; use --device cuda/);
});

testOnEmulator("a rank that ends is an error of the others", async () => {
  const limits = { NCCL_TEST_TIMEOUT_MS: "1000" };
  const { code, stderr } = await runTorchrun(2, "leaveEarly", { ...environment, ...limits });
  assert.ok(code !== 0, `exit code ${code}`);
  assert.match(stderr, /NCCL 2.99.1: remote process exited/);
});

testOnEmulator("a rank that does not come ends the others after the timeout", async () => {
  const limits = { TEST_TIMEOUT: "1" };
  const { code, stderr } = await runTorchrun(2, "hang", { ...environment, ...limits });
  assert.ok(code !== 0, `exit code ${code}`);
  assert.match(stderr, /rank 0 of 2 \(.*\): another rank has not answered within 1 s/);
});

if (!hasEmulator) console.log("skipped: NCCL is tested by npm run test:emulator");

test.run();
