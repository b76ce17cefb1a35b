// The detection of launchers from the variables that each of them sets.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { detectLauncher } from "#src/distributed/launcher.js";
import { UsageError } from "#src/errors.js";

const test = suite("distributed/launcher");

const openMPI = {
  OMPI_COMM_WORLD_RANK: "3",
  OMPI_COMM_WORLD_SIZE: "8",
  OMPI_COMM_WORLD_LOCAL_RANK: "1",
  OMPI_COMM_WORLD_LOCAL_SIZE: "2",
  PMIX_RANK: "3",
};
const hydra = { PMI_RANK: "1", PMI_SIZE: "4", MPI_LOCALRANKID: "0", MPI_LOCALNRANKS: "1" };
const slurm = {
  SLURM_PROCID: "5",
  SLURM_NTASKS: "7",
  SLURM_STEP_NUM_TASKS: "7",
  SLURM_LOCALID: "1",
  SLURM_NODEID: "2",
  SLURM_STEP_TASKS_PER_NODE: "2(x3),1",
};
const torchrun = {
  RANK: "1",
  WORLD_SIZE: "2",
  LOCAL_RANK: "1",
  LOCAL_WORLD_SIZE: "2",
  MASTER_ADDR: "node1",
  MASTER_PORT: "29500",
};

/** Returns the launcher, the numbers and the first library: a row of the table of launchers. */
function summarize(env: Record<string, string>): unknown[] | null {
  const launch = detectLauncher(env);
  if (!launch) return null;
  const { launcher, rank, size, localRank, localSize, libraries } = launch;
  return [launcher, rank, size, localRank, localSize, libraries[0]];
}

test("reads rank, size, local rank and local size of each launcher", () => {
  assert.equal(summarize(openMPI), ["Open MPI", 3, 8, 1, 2, "libmpi.so.40"]);
  assert.equal(summarize(hydra), ["MPICH", 1, 4, 0, 1, "libmpich.so.12"]);
  assert.equal(summarize({ ...slurm, PMIX_RANK: "5" }), ["Slurm", 5, 7, 1, 2, "libmpi.so.40"]);
  assert.equal(summarize(torchrun), ["torchrun", 1, 2, 1, 2, undefined]);
  assert.equal(summarize({ PMI_RANK: "0", PMI_SIZE: "2" }), [
    "MPICH",
    0,
    2,
    null,
    null,
    "libmpich.so.12",
  ]);
});

test("srun with pmi2 takes MPICH's library, and without PMI says what to pass", () => {
  const pmi2 = { ...slurm, PMI_RANK: "5", PMI_SIZE: "7" };
  assert.equal(summarize(pmi2), ["Slurm", 5, 7, 1, 2, "libmpich.so.12"]);
  assert.match(detectLauncher(slurm)?.advice ?? "", "--mpi=pmix");
  assert.not.match(detectLauncher(pmi2)?.advice ?? "", "--mpi");
});

test("the tasks of a node come from Slurm's list of nodes", () => {
  const localSize = (node: string, list: string) =>
    detectLauncher({ ...slurm, SLURM_NODEID: node, SLURM_STEP_TASKS_PER_NODE: list })?.localSize;
  assert.is(localSize("3", "2(x3),1"), 1);
  assert.is(localSize("0", "4"), 4);
  assert.is(localSize("4", "2(x3),1"), null);
  assert.is(localSize("0", "many"), null);
});

test("a launcher's own variables come before those of the job it runs in", () => {
  assert.is(detectLauncher({ ...slurm, ...openMPI })?.launcher, "Open MPI");
  assert.is(detectLauncher({ ...slurm, ...hydra })?.launcher, "MPICH");
  assert.is(detectLauncher({ ...torchrun, ...hydra })?.launcher, "MPICH");
});

test("a process without a launcher is alone, also in a batch script or with RANK set", () => {
  assert.is(detectLauncher({}), null);
  assert.is(detectLauncher({ SLURM_PROCID: "0", SLURM_NTASKS: "4" }), null);
  assert.is(detectLauncher({ RANK: "1" }), null);
  assert.is(detectLauncher({ RANK: "1", WORLD_SIZE: "2" }), null);
});

test("TINYBARD_DISTRIBUTED=off ignores the launcher; TINYBARD_MPI names the library", () => {
  assert.is(detectLauncher({ ...openMPI, TINYBARD_DISTRIBUTED: "off" }), null);
  assert.is(detectLauncher({ ...openMPI, TINYBARD_DISTRIBUTED: "auto" })?.rank, 3);
  assert.throws(
    () => detectLauncher({ ...openMPI, TINYBARD_DISTRIBUTED: "no" }),
    /TINYBARD_DISTRIBUTED is no, expected off or auto/,
  );
  const named = { TINYBARD_MPI: "/opt/mpi/libmpi.so" };
  assert.equal(detectLauncher({ ...openMPI, ...named })?.libraries, ["/opt/mpi/libmpi.so"]);
  assert.equal(detectLauncher({ ...torchrun, ...named })?.libraries, []);
});

test("values that cannot be are usage errors", () => {
  const throwsFor = (changes: Record<string, string | undefined>, pattern: RegExp) =>
    assert.throws(
      () => detectLauncher({ ...openMPI, ...changes }),
      (error: Error) => error instanceof UsageError && pattern.test(error.message),
    );
  throwsFor({ OMPI_COMM_WORLD_RANK: "8" }, /OMPI_COMM_WORLD_RANK is 8, expected less than/);
  throwsFor({ OMPI_COMM_WORLD_RANK: "one" }, /is one, expected an integer from 0 up/);
  throwsFor({ OMPI_COMM_WORLD_RANK: undefined }, /OMPI_COMM_WORLD_RANK is missing/);
  throwsFor({ OMPI_COMM_WORLD_SIZE: "0" }, /is 0, expected an integer from 1 up/);
  throwsFor({ OMPI_COMM_WORLD_SIZE: "1e9" }, /is 1e9, expected an integer/);
  throwsFor({ OMPI_COMM_WORLD_LOCAL_RANK: "-1" }, /is -1, expected an integer from 0 up/);
});

test.run();
