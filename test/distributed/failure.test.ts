// What ends or interrupts a training of several ranks: hooks on any rank, signals, a rank that is
// killed or fails, and usage errors, which leave no file.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Engine } from "../support/ranks.js";
import type { Job, Request } from "../support/train-program.js";
import {
  cli,
  findRankPids,
  findTrainingEngines,
  hashCheckpoint,
  rankArgs,
  runJobs,
  start,
  tinyRun,
  toArguments,
  trainProgram,
} from "../support/train-ranks.js";

const engines = findTrainingEngines("failures of ranks");
const folder = mkdtempSync(join(tmpdir(), "tinybard-failures-"));
const tiny = tinyRun(folder);
const config = join(folder, "config.json");
writeFileSync(config, "{}");
let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);
const test = suite("distributed/failure");
test.after(() => rmSync(folder, { recursive: true, force: true }));

if (engines.length === 0) test.skip("needs MPI", () => {});
for (const engine of engines) defineTests(engine);
test.run();

/** Returns the arguments of a launcher for `tinybard train`, without a default preset. */
function trainArgs(engine: Engine, options: object, size = 2, flags: readonly string[] = []) {
  const program = [cli, "train", "--config", config, ...toArguments(options), ...flags];
  return rankArgs(engine, size, program);
}

function defineTests(engine: Engine): void {
  const { name, command } = engine;
  const isFirst = engine === engines[0];
  const testOnce = isFirst ? test : () => {}; // of what does not depend on the engine

  test(`${name}: hooks of any rank stop, save and pause all ranks at the same step`, async () => {
    const calls = [1, 3, 4, 7, 12]; // in an evaluation, between steps, and again in an evaluation
    const size = isFirst ? 3 : 2;
    const stops = calls.map((call, i): Request => ({ kind: "stop", rank: i % size, call }));
    const others: Request[] = [
      { kind: "save", rank: size - 1, call: 3 },
      { kind: "pause", rank: 1, call: 2 },
    ];
    const jobs = [...stops, ...others].map(
      (request): Job => ({ options: { ...tiny, out: newFolder() }, request }),
    );
    const outcomes = await runJobs(engine, size, jobs);
    for (const [i, { request, options }] of jobs.entries()) {
      const ofJob = outcomes.filter(({ job }) => job === i);
      assert.is(ofJob.length, size);
      const [first] = ofJob;
      for (const { step, stopped } of ofJob)
        assert.equal([step, stopped], [first.step, first.stopped]);
      assert.is(first.stopped, request?.kind === "stop");
      if (request?.kind === "save") assert.equal(first.saved, [2]);
      if (request?.kind === "pause") assert.is(ofJob[1].pauses, 2);
      assert.ok(existsSync(join(options.out as string, "last/state.json")));
    }
  });

  test(`${name}: a signal to one rank stops all of them, after saving`, async () => {
    const out = newFolder();
    const options = { ...tiny, out, maxIters: 100_000, evalInterval: 1000 };
    let isSent = false;
    const { child, ended } = start(command, trainArgs(engine, options), {}, (text) => {
      if (isSent || !text.includes("iter 20/")) return;
      isSent = true;
      process.kill(findRankPids(child.pid as number)[1], "SIGTERM");
    });
    const { code, stderr } = await ended;
    assert.is(code, 143, stderr);
    assert.match(stderr, /stopped at step \d+, saved a checkpoint/);
    const request: Request = { kind: "stop", rank: 0, call: 1 };
    const [{ stopped }] = await runJobs(null, 1, [{ options: { resume: out }, request }]);
    assert.is(stopped, true); // it could be resumed
  });

  test(`${name}: kill -9 of a rank ends all, and the last checkpoint goes on`, async () => {
    const out = newFolder();
    const expected = newFolder();
    const options = { ...tiny, evalInterval: 10, maxIters: 100_000 };
    let isKilled = false;
    let killTime = 0;
    const { child, ended } = start(command, trainArgs(engine, { ...options, out }), {}, (text) => {
      if (isKilled || !text.includes("iter 25/")) return;
      isKilled = true;
      killTime = performance.now();
      process.kill(findRankPids(child.pid as number)[1], "SIGKILL");
    });
    const { code } = await ended;
    assert.is.not(code, 0);
    assert.ok(performance.now() - killTime < 10_000);
    const { step } = JSON.parse(readFileSync(join(out, "last/state.json"), "utf8"));
    const maxIters = step + 10;
    const [outcome] = await runJobs(engine, 2, [
      { options: { resume: out, maxIters } },
      { options: { ...options, maxIters, out: expected } },
    ]);
    assert.is(outcome.step, maxIters);
    assert.equal(hashCheckpoint(out), hashCheckpoint(expected));
  });

  testOnce(`${name}: an error of one rank names it, and ends all`, async () => {
    const request: Request = { kind: "throw", rank: 1, call: 5 };
    const jobs: Job[] = [{ options: { ...tiny, out: newFolder() }, request }];
    const args = rankArgs(engine, 2, [trainProgram, JSON.stringify(jobs)]);
    const { code, stderr } = await start(command, args).ended;
    assert.is.not(code, 0);
    assert.match(stderr, /tinybard: rank 1 of 2 on \S+: Error: a hook has failed/);
  });

  test(`${name}: usage errors are one line of rank 0, with code 2 and without files`, async () => {
    const out = newFolder();
    const run = { ...tiny, out };
    const script = join(folder, "simd.sh"); // rank 1 has another instruction set
    const isOne = '[ "$PMI_RANK$OMPI_COMM_WORLD_RANK" = 1 ]';
    writeFileSync(script, `${isOne} && export TINYBARD_SIMD=scalar\nexec "$@"\n`);
    const inScript = [...engine.flags, "-n", "2", "sh", script, process.execPath, cli, "train"];
    const usages: [args: string[], message: RegExp][] = [
      [trainArgs(engine, { ...run, batchSize: 5 }, 3), /^train: 3 processes cannot share a step/],
      [[...inScript, ...toArguments(run)], /^rank 1 of 2 \(.*\) has simd scalar, rank 0 /],
    ];
    const others: typeof usages = [
      [trainArgs(engine, { ...run, device: "ts" }), /^device ts cannot train with 2 processes/],
      [trainArgs(engine, run, 2, ["--no-such-option"]), /^train: unknown option --no-such-option/],
      [trainArgs(engine, run, 2, ["--processes", "2"]), /^train: processes starts processes, but/],
    ];
    if (isFirst) usages.push(...others);
    for (const [args, message] of usages) {
      const quiet = name === "Open MPI" ? ["--quiet"] : [];
      const { code, stderr } = await start(command, [...quiet, ...args]).ended;
      assert.is(code, 2, stderr);
      const [line, ...more] = stderr.trim().split("\n");
      assert.match(line.replace(/^tinybard: /, ""), message);
      assert.equal(more, []);
      assert.not(existsSync(out));
    }
  });

  testOnce(`${name}: a host without the addon is named`, async () => {
    const script = join(folder, "no-addon.sh"); // rank 1 is the first of another host
    const isOne = '[ "$PMI_RANK$OMPI_COMM_WORLD_RANK" = 1 ]';
    const other = "TINYBARD_ADDON=/none MPI_LOCALRANKID=0 OMPI_COMM_WORLD_LOCAL_RANK=0";
    writeFileSync(script, `${isOne} && export ${other}\nexec "$@"\n`);
    const run = [process.execPath, cli, "train", "--timeout", "10"];
    const args = [...engine.flags, "-n", "2", "sh", script, ...run, ...toArguments(tiny)];
    const { code, stderr } = await start(command, args).ended;
    assert.is.not(code, 0);
    assert.match(stderr, /tinybard: rank 1 of 2 on \S+: started by .*no C\+\+ addon/);
  });

  if (name === "MPICH") {
    test("MPICH: a program that closes the launcher's connection is an error", async () => {
      const out = newFolder();
      const script = join(folder, "close.sh"); // as npx does
      writeFileSync(script, 'eval "exec $PMI_FD>&-"\nexec "$@"\n');
      const run = [process.execPath, cli, "train", "--timeout", "10"];
      const options = toArguments({ ...tiny, out });
      const args = [...engine.flags, "-n", "2", "sh", script, ...run, ...options];
      const { code, stderr } = await start(command, args).ended;
      assert.is(code, 2, stderr);
      assert.match(stderr, /^tinybard: started by MPICH as 2 processes, but a program in between/);
      assert.is(stderr.trim().split("\n").length, 1);
      assert.not(existsSync(out));
    });
  }

  testOnce(`${name}: rank 0 does the other commands`, async () => {
    const { code, stdout } = await start(command, rankArgs(engine, 2, [cli, "--version"])).ended;
    assert.is(code, 0);
    assert.is(stdout.trim().split("\n").length, 1);
  });
}
