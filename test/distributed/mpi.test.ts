// Process groups of MPI: the kernel allReduce and the communicator in two and three ranks, under
// each engine that is installed, and how groups end.

import { createHash } from "node:crypto";
import { devices } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  findEngines,
  lists,
  makeValues,
  parseRanks,
  runRanks,
  sumInRankOrder,
} from "../support/ranks.js";

const { TINYBARD_TEST_DEVICE: requested = "cpu" } = process.env;
const hasAddon = devices().some(({ name, available }) => name === "cpu" && available);
const engines = requested === "cpu" && hasAddon ? findEngines() : [];
if (requested === "cpu" && engines.length < 2)
  console.log("skipped: MPI needs the C++ addon, mpirun.openmpi and mpirun.mpich");

interface Messages {
  rank: number;
  message: string;
  doubles: string;
}

interface Exchanged {
  rank: number;
  engine: string;
}

interface Sums {
  rank: number;
  size: number;
  sums: string[];
  replays: string[];
  calls: number;
}

function digest(arrays: readonly Float32Array[]): string {
  const hash = createHash("sha256");
  for (const array of arrays) hash.update(new Uint8Array(array.buffer));
  return hash.digest("hex");
}

for (const engine of engines) {
  const test = suite(`distributed/mpi: ${engine.name}`);

  for (const size of [2, 3]) {
    test(`allReduce in ${size} ranks has the bits of the sum in rank order`, async () => {
      const ranks = parseRanks<Sums>(await runRanks(engine, size, "sum"));
      const sums = lists.map((lengths) =>
        digest(lengths.map((length, i) => sumInRankOrder(length, i, size))),
      );
      const replays = Array.from({ length: 5 }, (_, i) =>
        digest([sumInRankOrder(77, i, size).map((x) => 2 * x)]),
      );
      assert.is(ranks.length, size);
      for (const [rank, result] of ranks.entries()) {
        assert.equal([result.rank, result.size], [rank, size]);
        assert.equal(result.sums, sums);
        assert.equal(result.replays, replays);
        assert.is(result.calls, lists.length + 2); // the other three are replays
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

  test("the library of another engine, or a missing one, is a usage error of rank 0", async () => {
    if (engines.length > 1) {
      const other = await runRanks(engine, 2, "values", { TINYBARD_MPI: engine.otherLibrary });
      assert.is(other.code, 2);
      assert.match(other.stderr, new RegExp(`started by ${engine.name} as 2 processes, but `));
      assert.match(other.stderr, /sees 1 process: it is not the library of the launcher/);
      assert.is(other.stderr.match(/tinybard:/g)?.length, 1);
    }
    const missing = await runRanks(engine, 2, "values", { TINYBARD_MPI: "libnone.so" });
    assert.is(missing.code, 2);
    assert.match(missing.stderr, /no MPI library works: libnone.so: cannot open shared object/);
    assert.is(missing.stderr.match(/tinybard:/g)?.length, 1);
    const notMPI = await runRanks(engine, 2, "values", { TINYBARD_MPI: "libc.so.6" });
    assert.match(notMPI.stderr, /libc.so.6 is not an MPI library/);
  });

  test("ranks that differ in a fact or in their device end with one message and code 2", async () => {
    const disagreeing = await runRanks(engine, 2, "disagree");
    assert.is(disagreeing.code, 2);
    assert.match(
      disagreeing.stderr,
      /rank 1 of 2 \(host1\) has simd scalar, rank 0 \(host0\) has avx512; .*TINYBARD_SIMD/,
    );
    const slow = await runRanks(engine, 2, "useOtherDevice");
    assert.is(slow.code, 2);
    assert.match(slow.stderr, /device ts cannot train with 2 processes, expected cpu/);
    const mixed = await runRanks(engine, 2, "useOtherDevice", { TEST_MIXED: "1" });
    assert.is(mixed.code, 2);
    assert.match(mixed.stderr, /rank 1 of 2 has device cpu, rank 0 has ts/);
  });

  test("a rank that does not come ends the run after the timeout", async () => {
    const { code, stderr, seconds } = await runRanks(engine, 2, "hang", { TEST_TIMEOUT: "1.5" });
    assert.ok(code !== 0, `exit code ${code}`);
    assert.match(stderr, /rank 0 of 2 \(.*\): another rank has not answered within 1.5 s/);
    assert.ok(seconds < 15, `${seconds} s`);
  });

  test("a rank that exits ends all with a code other than 0", async () => {
    const { code, seconds } = await runRanks(engine, 3, "leaveEarly");
    assert.ok(code !== 0, `exit code ${code}`);
    assert.ok(seconds < 15, `${seconds} s`);
  });

  test("another thread cannot sum, nor can kernels in TypeScript", async () => {
    for (const { message, doubles } of parseRanks<Messages>(
      await runRanks(engine, 2, "useOtherThread"),
    )) {
      assert.is(message, "allReduce: only the thread that joined can call MPI");
      assert.is(doubles, "allReduce: kernels in TypeScript cannot sum over 2 processes");
    }
  });

  test.run();
}

const values = suite("distributed/mpi: values");

values("the sums of the tests are rounded, so their order matters", () => {
  const others = makeValues(1000, 1001);
  const isRounded = (x: number, i: number) => Math.fround(x + others[i]) !== x + others[i];
  assert.ok(makeValues(1000, 1).filter(isRounded).length > 500);
});

values.run();
