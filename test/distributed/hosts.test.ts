// Training on two hosts, which share no files: network namespaces stand for them.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { findHostsProblem, type Hosts, makeHosts } from "../support/hosts.js";
import {
  findTrainingEngines,
  hashCheckpoint,
  start,
  tinyRun,
  trainProgram,
} from "../support/train-ranks.js";

const engines = findTrainingEngines("training on two hosts");
const problem = engines.length > 0 ? findHostsProblem() : null;
if (problem) console.log(`skipped: training on two hosts: ${problem}`);

const test = suite("distributed/hosts");
const testOnHosts = engines.length > 0 && !problem ? test : test.skip;
const folder = mkdtempSync(join(tmpdir(), "tinybard-hosts-"));
const tiny = tinyRun(folder);
let hosts: Hosts | null = null;

test.before(async () => {
  if (engines.length === 0 || problem) return;
  hosts = makeHosts(folder);
  await train({ ...tiny, out: join(folder, "alone") });
});
test.after(() => {
  hosts?.remove();
  rmSync(folder, { recursive: true, force: true });
});

if (engines.length === 0) test.skip("needs MPI", () => {});
for (const [i, engine] of engines.entries()) {
  testOnHosts(
    `${engine.name}: hosts that share no files have the bits of one process`,
    async () => {
      const out = join(folder, `run-${i}`);
      const program = [
        process.execPath,
        trainProgram,
        JSON.stringify([{ options: { ...tiny, out } }]),
      ];
      const [command, args] = (hosts as Hosts).command(engine, program);
      const { code, stdout, stderr } = await start(command, args).ended;
      assert.is(code, 0, stdout + stderr);
      assert.equal(hashCheckpoint(out), hashCheckpoint(join(folder, "alone")));
    },
  );
}
test.run();
