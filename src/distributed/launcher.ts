// Recognizes the launcher that started this process as one of several: mpirun of Open MPI or MPICH,
// srun, or torchrun. Each sets environment variables with the rank and the number of processes.

import { UsageError } from "../errors.ts";

/** The place of this process among those that a launcher has started. */
export interface Launch {
  /** The name of the launcher, for messages. */
  readonly launcher: "Open MPI" | "MPICH" | "Slurm" | "torchrun";
  readonly rank: number;
  readonly size: number;
  /** The rank among the processes of this host; null if the launcher does not say. */
  readonly localRank: number | null;
  /** The number of processes on this host; null if the launcher does not say. */
  readonly localSize: number | null;
  /** The MPI libraries that may fit, the most likely one first; none if NCCL is used alone. */
  readonly libraries: readonly string[];
  /** The change to make if none of the libraries works with the launcher. */
  readonly advice: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

const OPEN_MPI = ["libmpi.so.40", "libmpi_abi.so.0"];
const MPICH = ["libmpich.so.12", "libmpi.so.12", "libmpi_abi.so.0"];
/** All names of MPI libraries. */
export const MPI_LIBRARIES: readonly string[] = [...new Set([...OPEN_MPI, ...MPICH])];

const INSTALL = "install Open MPI or MPICH on every host, or name its library with TINYBARD_MPI";

/**
 * Returns the place of this process as its launcher describes it; null if it was started alone, or
 * if TINYBARD_DISTRIBUTED is "off". Throws a UsageError if a variable has a value that cannot be.
 */
export function detectLauncher(env: Environment): Launch | null {
  const { TINYBARD_DISTRIBUTED: setting } = env;
  if (setting === "off") return null;
  if (setting && setting !== "auto")
    throw new UsageError(`TINYBARD_DISTRIBUTED is ${setting}, expected off or auto`);
  const launch = detectMPI(env) ?? detectSlurm(env) ?? detectTorchrun(env);
  if (!launch || !env.TINYBARD_MPI || launch.libraries.length === 0) return launch;
  return { ...launch, libraries: [env.TINYBARD_MPI] };
}

/** mpirun of Open MPI, or hydra: mpirun of MPICH, Intel MPI and MVAPICH. */
function detectMPI(env: Environment): Launch | null {
  if (env.OMPI_COMM_WORLD_SIZE !== undefined) {
    return {
      launcher: "Open MPI",
      ...readRank(env, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
      ...readLocalRank(env, "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
      libraries: OPEN_MPI,
      advice: "install Open MPI's library (Debian: libopenmpi3), or name it with TINYBARD_MPI",
    };
  }
  // srun --mpi=pmi2 sets PMI_RANK too, but not hydra's local rank
  const isSlurm = env.SLURM_STEP_NUM_TASKS !== undefined && env.MPI_LOCALRANKID === undefined;
  if (env.PMI_SIZE === undefined || isSlurm) return null;
  return {
    launcher: "MPICH",
    ...readRank(env, "PMI_RANK", "PMI_SIZE"),
    ...readLocalRank(env, "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    libraries: MPICH,
    advice: "install MPICH's library (Debian: libmpich12), or name it with TINYBARD_MPI",
  };
}

/** srun. A batch script has SLURM_PROCID and SLURM_NTASKS too, but is not a step of tasks. */
function detectSlurm(env: Environment): Launch | null {
  if (env.SLURM_STEP_NUM_TASKS === undefined) return null;
  const hasPMI2 = env.PMI_SIZE !== undefined;
  const hasPMIx = env.PMIX_RANK !== undefined;
  return {
    launcher: "Slurm",
    ...readRank(env, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    localRank: readNumber(env, "SLURM_LOCALID", 0),
    localSize: countTasksOfNode(env),
    libraries: hasPMI2 && !hasPMIx ? [...MPICH, ...OPEN_MPI] : [...OPEN_MPI, ...MPICH],
    advice:
      hasPMI2 || hasPMIx
        ? INSTALL
        : "srun passes no PMI: start it with --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH)",
  };
}

/** torchrun. RANK alone is set by many other programs. */
function detectTorchrun(env: Environment): Launch | null {
  if (!env.RANK || !env.WORLD_SIZE || !env.MASTER_ADDR) return null;
  return {
    launcher: "torchrun",
    ...readRank(env, "RANK", "WORLD_SIZE"),
    ...readLocalRank(env, "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    libraries: [],
    advice: "use --device cuda, or start the processes with mpirun",
  };
}

/** Returns the number of this step's tasks on this node, from a list such as "2(x3),1". */
function countTasksOfNode(env: Environment): number | null {
  const node = readNumber(env, "SLURM_NODEID", 0);
  if (node === null || env.SLURM_STEP_TASKS_PER_NODE === undefined) return null;
  let first = 0;
  for (const part of env.SLURM_STEP_TASKS_PER_NODE.split(",")) {
    const [, tasks, nodes = 1] = /^(\d+)(?:\(x(\d+)\))?$/.exec(part) ?? [];
    if (tasks === undefined) return null;
    first += Number(nodes);
    if (node < first) return Number(tasks);
  }
  return null;
}

function readRank(env: Environment, rankName: string, sizeName: string) {
  const size = requireNumber(env, sizeName, 1);
  const rank = requireNumber(env, rankName, 0);
  if (rank >= size)
    throw new UsageError(`${rankName} is ${rank}, expected less than ${sizeName}, ${size}`);
  return { rank, size };
}

function readLocalRank(env: Environment, rankName: string, sizeName: string) {
  return { localRank: readNumber(env, rankName, 0), localSize: readNumber(env, sizeName, 1) };
}

function requireNumber(env: Environment, name: string, min: number): number {
  const value = readNumber(env, name, min);
  if (value === null) throw new UsageError(`${name} is missing, expected an integer`);
  return value;
}

/** Returns the integer of a variable; null if it is not set. */
function readNumber(env: Environment, name: string, min: number): number | null {
  const text = env[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= 2 ** 31 - 1) return value;
  throw new UsageError(`${name} is ${text}, expected an integer from ${min} up`);
}
