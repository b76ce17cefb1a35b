// Trains as several ranks for longer than the tests do, and prints what it finds: equal bits,
// losses, speed, 30 ranks that are killed, 200 hooks on random ranks, and two hosts whose
// connection is lost. The share of the all-reduce in a step: mpirun -n 2 node
// dist/bench/step.bench.js --profile.
//
// usage: npm run test:distributed [-- bits losses speed kills hooks hosts] [--tries N]
// Needs Open MPI or MPICH; hosts needs root. Takes half an hour; speed needs an idle machine.

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findHostsProblem, makeHosts } from "../dist-test/support/hosts.js";
import {
  cli,
  findRankPids,
  findTrainingEngines,
  hashCheckpoint,
  rankArgs,
  readMetrics,
  runJobs,
  start,
  tinyRun,
  toArguments,
} from "../dist-test/support/train-ranks.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-distributed-"));
const tiny = tinyRun(folder);
const engines = findTrainingEngines("all of it");
const data = process.env.TINYBARD_DATA ?? tiny.data;
let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);
const random = (n) => Math.floor(n * Math.random());
const readState = (out) => JSON.parse(readFileSync(join(out, "last/state.json"), "utf8"));

/** Options of a run of a preset that evaluates rarely. */
const fromPreset = (preset, options) => ({
  preset,
  data,
  device: "cpu",
  evalInterval: 1000,
  evalIters: 2,
  logInterval: 1,
  ...options,
});

/** Trains, and returns the folder of the run. */
async function trainOn(engine, size, options, env = {}) {
  const out = newFolder();
  await runJobs(engine, size, [{ options: { ...options, out } }], env);
  return out;
}

const parts = {
  async bits() {
    for (const preset of ["lecture-0.2m", "nanogpt-cpu"]) {
      const size = { gradAccum: 2, batchSize: 8, tieWeights: false, maxIters: 60 };
      const options = fromPreset(preset, size);
      const expected = hashCheckpoint(await trainOn(null, 1, options));
      for (const engine of engines) {
        assert.deepEqual(hashCheckpoint(await trainOn(engine, 2, options)), expected);
        console.log(`${preset}, ${engine.name}: 2 ranks have the bits of one process, 60 steps`);
      }
    }
  },

  async losses() {
    const options = fromPreset("lecture-0.2m", { maxIters: 100, data: "moby-dick" });
    const losses = (out) => readMetrics(out).map(({ loss }) => loss ?? 0);
    const expected = losses(await trainOn(null, 1, options));
    const compare = (what, out) => {
      const differences = losses(out).map((loss, i) => Math.abs(loss - expected[i]));
      const early = Math.max(...differences.slice(0, 10));
      const late = Math.max(...differences);
      console.log(`${what}: differs by ${early} in 10 steps, ${late} in 100`);
      return early;
    };
    // training amplifies rounding: so does another instruction set
    compare("one process, scalar", await trainOn(null, 1, options, { TINYBARD_SIMD: "scalar" }));
    const outs = [];
    for (const engine of [...engines, ...engines]) {
      const out = await trainOn(engine, 2, options);
      assert.ok(compare(`${engine.name}, 2 ranks`, out) <= 1e-6);
      outs.push(out);
    }
    for (const out of outs) assert.deepEqual(hashCheckpoint(out), hashCheckpoint(outs[0]));
    console.log("the same bits in each run, and with each engine");
  },

  async speed() {
    for (const preset of ["lecture-0.2m", "nanogpt-cpu"]) {
      const maxIters = preset === "lecture-0.2m" ? 400 : 100;
      const options = fromPreset(preset, { maxIters, logInterval: 10 });
      const rate = (out) => {
        const rates = readMetricsWithTimes(out).sort((a, b) => a - b);
        return rates[rates.length >> 1];
      };
      const rounds = [];
      for (let round = 0; round < 3; round++) {
        const alone = rate(await trainOn(null, 1, options));
        const shared = rate(await trainOn(engines[0], 2, options));
        rounds.push(`${(shared / alone).toFixed(2)}x`);
      }
      console.log(`${preset}: 2 ranks x 1 thread: ${rounds.join(", ")} one process x 1 thread`);
    }
  },

  async kills(tries = 30) {
    const config = join(folder, "options.json");
    const options = { ...tiny, evalInterval: 10, maxIters: 100_000 };
    writeFileSync(config, "{}"); // no default preset
    for (let i = 0; i < tries; i++) {
      const engine = engines[i % engines.length];
      const size = 2;
      const victim = random(size);
      const killStep = 12 + random(30);
      const out = newFolder();
      const args = [cli, "train", "--config", config, ...toArguments({ ...options, out })];
      let killTime = 0;
      const started = start(engine.command, rankArgs(engine, size, args), {}, (text) => {
        if (killTime || !text.includes(`iter ${killStep}/`)) return;
        killTime = performance.now();
        process.kill(findRankPids(started.child.pid)[victim], "SIGKILL");
      });
      const { code } = await started.ended;
      const seconds = (performance.now() - killTime) / 1000;
      assert.ok(code !== 0 && killTime > 0 && seconds < 10, `code ${code}, ${seconds} s`);
      const { step } = readState(out);
      const resumedSize = 1 + (i % 3);
      const maxIters = step + 10;
      const resumed = [{ options: { resume: out, maxIters } }];
      const [outcome] = await runJobs(resumedSize > 1 ? engine : null, resumedSize, resumed);
      assert.equal(outcome.step, maxIters);
      let equal = "";
      if (resumedSize === size) {
        const whole = await trainOn(engine, size, { ...options, maxIters });
        assert.deepEqual(hashCheckpoint(out), hashCheckpoint(whole));
        equal = ", the same bits as a run that was not killed";
      }
      const what = `${engine.name}, rank ${victim} killed at step ${killStep}`;
      console.log(
        `${i + 1}: ${what}: code ${code} after ${seconds.toFixed(1)} s; ` +
          `from step ${step} on with ${resumedSize}${equal}`,
      );
    }
  },

  async hooks(tries = 200) {
    const kinds = ["stop", "save", "pause"];
    const batch = 20; // in one group of processes
    for (let done = 0; done < tries; done += batch) {
      const engine = engines[(done / batch) % engines.length];
      const size = 2 + ((done / batch) % 2);
      const jobs = Array.from({ length: Math.min(batch, tries - done) }, () => ({
        options: { ...tiny, out: newFolder() },
        // stop() is called 6 times in an evaluation, and once between steps
        request: { kind: kinds[random(3)], rank: random(size), call: 1 + random(20) },
      }));
      const outcomes = await runJobs(engine, size, jobs);
      for (const [i, { request }] of jobs.entries()) {
        const ofJob = outcomes.filter(({ job }) => job === i);
        assert.equal(ofJob.length, size);
        assert.equal(new Set(ofJob.map(({ step, stopped }) => `${step} ${stopped}`)).size, 1);
        if (request.kind === "stop") assert.ok(ofJob[0].stopped);
      }
      console.log(`${engine.name}, ${size} ranks: ${done + jobs.length} hooks without a hang`);
    }
  },

  async hosts() {
    const problem = findHostsProblem();
    if (problem) return console.log(`skipped: hosts: ${problem}`);
    const hosts = makeHosts(folder);
    try {
      const openMPI = engines.find(({ name }) => name === "Open MPI");
      if (!openMPI) return console.log("skipped: hosts: needs Open MPI");
      const out = newFolder();
      const options = { ...tiny, evalInterval: 10, maxIters: 1e6, out };
      const program = [process.execPath, cli, "train", ...toArguments(options)];
      const [command, args] = hosts.command(openMPI, program);
      let cutTime = 0;
      const { ended } = start(command, args, {}, (text) => {
        if (cutTime || !text.includes("iter 25/")) return;
        cutTime = performance.now();
        hosts.pullCable();
      });
      const { code } = await ended;
      const seconds = ((performance.now() - cutTime) / 1000).toFixed(1);
      assert.ok(cutTime > 0 && code !== 0);
      const { step } = readState(out);
      console.log(`cable pulled: code ${code} after ${seconds} s; last checkpoint at step ${step}`);
      rmSync(join(out, "lock.json")); // of a process that this host cannot look for
      await runJobs(null, 1, [{ options: { resume: out, maxIters: step + 5 } }]);
      console.log("one process goes on from it");
    } finally {
      hosts.remove();
    }
  },
};

/** Returns the tokens per second of each row but the first, in which the step is captured. */
function readMetricsWithTimes(out) {
  const lines = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
  const rates = lines.map((line) => JSON.parse(line).tokensPerSecond).filter((rate) => rate);
  return rates.slice(1);
}

const { values, positionals } = parseArgs({
  options: { tries: { type: "string" } },
  allowPositionals: true,
});
const unknown = positionals.find((name) => !(name in parts));
if (unknown || engines.length === 0) {
  console.error(unknown ? `unknown part ${unknown}` : "needs Open MPI or MPICH");
  process.exit(2);
}
try {
  for (const name of positionals.length > 0 ? positionals : Object.keys(parts)) {
    console.log(`== ${name}`);
    await parts[name](values.tries && Number(values.tries));
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
