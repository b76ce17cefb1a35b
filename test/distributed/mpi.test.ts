// Process groups of MPI: the kernel allReduce and the communicator in two and three ranks, under
// each engine that is installed, and how groups end.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { device, devices } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf } from "#src/backend/platform/node.js";
import { singleProcess } from "#src/distributed/communicator.js";
import { joinProcessGroup } from "#src/distributed/process-group.js";
import { buildMPI5 } from "../support/libraries.js";
import {
  findEngines,
  hashSums,
  lists,
  makeValues,
  parseRanks,
  runRanks,
  type Sums,
} from "../support/ranks.js";

const { TINYBARD_TEST_DEVICE: requested = "cpu" } = process.env;
const hasAddon = devices().some(({ name, available }) => name === "cpu" && available);
const engines = requested === "cpu" && hasAddon ? findEngines() : [];
if (requested === "cpu" && engines.length < 2)
  console.log("skipped: MPI needs the C++ addon, mpirun.openmpi and mpirun.mpich");

interface Errors {
  rank: number;
  errors: string[];
  afterClose: string;
}

interface Exchanged {
  rank: number;
  engine: string;
}

for (const engine of engines) {
  const test = suite(`distributed/mpi: ${engine.name}`);

  for (const size of [2, 3]) {
    test(`allReduce in ${size} ranks has the bits of the sum in rank order`, async () => {
      const ranks = parseRanks<Sums>(await runRanks(engine, size, "sum"));
      assert.is(ranks.length, size);
      for (const [rank, result] of ranks.entries()) {
        // the other three calls are replays
        assert.equal(result, { rank, size, ...hashSums(size), calls: lists.length + 2 });
      }
    });
  }

  test("the communicator exchanges values, the same on every rank", async () => {
    const size = 3;
    const ranks = parseRanks<Exchanged>(await runRanks(engine, size, "values"));
    const expected = {
      size,
      localSize: size,
      again: true,
      any: [false, true, true],
      bytes: [0xc3, 0xa9, 0, 0x21],
      empty: 0,
      floats: [0, 0, 7],
      doubles: [0.1 + 1.1 + 2.1, 3e16, -1e16 + 1 + 1],
      long: [6, 6, 6],
      texts: ["rank 0 é", "", "rank 2 é"],
    };
    for (const [rank, { engine: name, ...result }] of ranks.entries()) {
      assert.equal(result, { rank, localRank: rank, ...expected });
      assert.match(name, new RegExp(`^${engine.name} \\d+\\.\\d+`));
    }
  });

  if (engines.length > 1) {
    test("the library of another engine is a usage error of rank 0", async () => {
      const other = { TINYBARD_MPI: engine.otherLibrary };
      const { code, stderr } = await runRanks(engine, 2, "values", other);
      assert.is(code, 2);
      assert.match(stderr, new RegExp(`started by ${engine.name} as 2 processes, but `));
      assert.match(stderr, /sees 1 process: it is not the library of the launcher/);
      assert.is(stderr.match(/tinybard:/g)?.length, 1);
    });
  }

  test("ranks that differ, other devices and other threads are errors on every rank", async () => {
    const ranks = parseRanks<Errors>(await runRanks(engine, 2, "errors"));
    for (const { errors, afterClose } of ranks) {
      const [simd, same, slow, mixed, doubles, thread] = errors;
      assert.match(
        simd,
        /^UsageError: rank 1 of 2 \(host1\) has simd scalar, rank 0 \(host0\) has avx512; .*_SIMD/,
      );
      assert.is(same, "no error");
      assert.match(slow, /^UsageError: device ts cannot train with 2 processes, expected cpu or/);
      assert.match(mixed, /^UsageError: rank 1 of 2 has device cpu, rank 0 has ts; /);
      assert.match(doubles, /: allReduce: kernels in TypeScript cannot sum over 2 processes/);
      assert.match(thread, /: allReduce: only the thread that joined can call MPI/);
      assert.match(afterClose, /^Error: the communicator is closed/);
    }
  });

  test("a rank that does not come ends the run after the timeout", async () => {
    const { code, stderr, seconds } = await runRanks(engine, 2, "hang", { TEST_TIMEOUT: "3" });
    assert.ok(code !== 0, `exit code ${code}`);
    assert.match(stderr, /rank [01] of 2 \(.*\): another rank has not answered within 3 s/);
    assert.ok(seconds < 15, `${seconds} s`);
  });

  test("a rank that exits ends all with a code other than 0", async () => {
    const { code, seconds } = await runRanks(engine, 3, "leaveEarly");
    assert.ok(code !== 0, `exit code ${code}`);
    assert.ok(seconds < 15, `${seconds} s`);
  });

  test("process.exit(-1) on one rank ends all with code 255, and no error of ours", async () => {
    const { code, stderr } = await runRanks(engine, 2, "exitWithMinusOne");
    assert.not.match(stderr, "RangeError");
    assert.is(code, 255);
  });

  test.run();
}

const values = suite("distributed/mpi: values");

values("the sums of the tests are rounded, so their order matters", () => {
  const others = makeValues(1000, 1001);
  const isRounded = (x: number, i: number) => Math.fround(x + others[i]) !== x + others[i];
  assert.ok(makeValues(1000, 1).filter(isRounded).length > 500);
});

values("functions of the addon reject arguments of any other kind", () => {
  const cpu = addonOf("cpu");
  if (typeof cpu === "string") return;
  const { watch, open, join: joinGroup, broadcast, allGather, abort, leave } = cpu.processGroup;
  const junk = [undefined, null, 0.5, -1, NaN, 2 ** 40, "", "/dev/null", {}, [], new Uint8Array(8)];
  const others = [new Float32Array(2), new ArrayBuffer(8), () => 1, 10n, Symbol("x")];
  type Call = (...args: unknown[]) => unknown;
  for (const f of [open, joinGroup, broadcast, allGather, leave] as Call[]) {
    for (const a of [...junk, ...others])
      for (const b of [...junk, ...others]) {
        if (f === broadcast && a instanceof Uint8Array) continue;
        assert.throws(() => f(a, b), undefined, `${f.name}(${String(a)}, ${String(b)})`);
      }
  }
  for (const seconds of [0, -1, NaN]) assert.throws(() => watch(seconds, "late"), /above 0/);
  assert.throws(() => broadcast(new Uint8Array(8), 1), /root is not an integer from 0 to 0/);
  assert.throws(() => broadcast(new Uint8Array(8), 0), /the process is not in a group/);
  for (const code of [-1, 256, 0.5, "1"]) assert.throws(() => abort(code as number), /exitCode/);
  abort(1); // without a group it does nothing
});

values("a process that was started alone opens no library", () => {
  if (!hasAddon) return;
  const communicator = joinProcessGroup();
  assert.is(communicator, singleProcess);
  device("cpu").kernels.allReduce([new Float32Array(3)]);
  const { sharedObjects } = process.report.getReport() as never as { sharedObjects: string[] };
  assert.ok(sharedObjects.some((file) => file.endsWith("cpu.node")));
  assert.equal(
    sharedObjects.filter((file) => /libmpi|libopen-|libnccl/.test(file)),
    [],
  );
});

const mpich = engines.find(({ name }) => name === "MPICH");
if (mpich) {
  values("a library with the interface of MPI 5 sums to the same bits", async () => {
    const folder = mkdtempSync(join(tmpdir(), "tinybard-mpi5-"));
    const size = 3;
    const ended = await runRanks(mpich, size, "sum", { TINYBARD_MPI: buildMPI5(folder) });
    rmSync(folder, { recursive: true });
    const ranks = parseRanks<Sums>(ended);
    assert.is(ranks.length, size);
    for (const { sums, replays } of ranks) assert.equal({ sums, replays }, hashSums(size));
  });

  values("UCX installs no memory hooks, unless its variable asks for them", async () => {
    const UCX_MEM_LOG_LEVEL = "debug"; // prints each hook
    const requested = await runRanks(mpich, 2, "values", {
      UCX_MEM_LOG_LEVEL,
      UCX_MEM_EVENTS: "yes",
    });
    const ended = await runRanks(mpich, 2, "values", { UCX_MEM_LOG_LEVEL });
    assert.is(ended.code, 0, ended.stderr); // not of `requested`, which can crash
    if (!requested.stdout.includes("installing"))
      console.log("skipped: this MPICH does not use UCX");
    assert.not.match(ended.stdout, /installing/);
  });
}

const [first] = engines;
if (first) {
  values(
    "a library that is missing, or of something else, is a usage error of rank 0",
    async () => {
      const missing = await runRanks(first, 2, "values", { TINYBARD_MPI: "libnone.so" });
      assert.is(missing.code, 2);
      assert.match(missing.stderr, /no MPI library works: libnone.so: cannot open shared object/);
      assert.is(missing.stderr.match(/tinybard:/g)?.length, 1);
      const other = await runRanks(first, 2, "values", { TINYBARD_MPI: "libc.so.6" });
      assert.is(other.code, 2);
      assert.match(other.stderr, /libc.so.6 is not an MPI library/);
    },
  );
}

values.run();
