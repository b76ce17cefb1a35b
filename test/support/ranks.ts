// Runs a test program as several ranks, under each MPI launcher that is installed.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** An installed MPI launcher. */
export interface Engine {
  readonly name: "Open MPI" | "MPICH";
  readonly command: string;
  readonly flags: readonly string[];
  /** The library of the other engine, which does not work with this launcher. */
  readonly otherLibrary: string;
}

/** The exit code and the output of all ranks. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly seconds: number;
}

/** Open MPI refuses to run as root, and more ranks than cores, unless it is told to. */
const openMPI = {
  name: "Open MPI",
  command: "mpirun.openmpi",
  flags: ["--oversubscribe"],
  otherLibrary: "libmpich.so.12",
} as const;
const mpich = {
  name: "MPICH",
  command: "mpirun.mpich",
  flags: [],
  otherLibrary: "libmpi.so.40",
} as const;

/** Returns the launchers of this machine, by their names in Debian. */
export function findEngines(): Engine[] {
  return [openMPI, mpich].filter(
    ({ command }) => spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0,
  );
}

/** The compiled program of ranks that the tests of test/distributed/ share. */
const program = fileURLToPath(new URL("./rank-program.js", import.meta.url));

/** Runs the task of rank-program.ts in `count` ranks. Ends them after a minute. */
export function runRanks(
  { command, flags }: Engine,
  count: number,
  task: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const args = [...flags, "-n", String(count), process.execPath, program, task];
  return runProcess(command, args, {
    OMPI_ALLOW_RUN_AS_ROOT: "1",
    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
    ...env,
  });
}

/** Runs the task in processes with the variables of torchrun; the first error ends all. */
export async function runTorchrun(
  count: number,
  task: string,
  env: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const abort = new AbortController();
  const port = String(10_000 + (process.pid % 50_000)); // of no socket: it only names the group
  const ranks = Array.from({ length: count }, async (_, rank) => {
    const ended = await runProcess(
      process.execPath,
      [program, task],
      {
        RANK: String(rank),
        WORLD_SIZE: String(count),
        LOCAL_RANK: String(rank),
        LOCAL_WORLD_SIZE: String(count),
        MASTER_ADDR: "localhost",
        MASTER_PORT: port,
        ...env,
      },
      abort.signal,
    );
    if (ended.code !== 0) setTimeout(() => abort.abort(), 2000);
    return ended;
  });
  const all = await Promise.all(ranks);
  return {
    code: all.find(({ code }) => code !== 0 && code !== null)?.code ?? all[0].code,
    stdout: all.map(({ stdout }) => stdout).join(""),
    stderr: all.map(({ stderr }) => stderr).join(""),
    seconds: Math.max(...all.map(({ seconds }) => seconds)),
  };
}

function runProcess(
  command: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<Ended> {
  const start = performance.now();
  const child = spawn(command, args, {
    timeout: 60_000,
    killSignal: "SIGKILL",
    stdio: ["ignore", "pipe", "pipe"],
    signal,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      if (error.name !== "AbortError") reject(error);
    });
    child.on("close", (code) => {
      resolve({ code, stdout, stderr, seconds: (performance.now() - start) / 1000 });
    });
  });
}

/** Returns the JSON lines that the ranks printed, by rank. */
export function parseRanks<T extends { rank: number }>({ stdout, stderr, code }: Ended): T[] {
  if (code !== 0) throw new Error(`exit code ${code}: ${stdout}${stderr}`);
  const lines = stdout.split(/\r?\n/).filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line) as T).sort((a, b) => a.rank - b.rank);
}

/** The lengths of lists of buffers: around chunks of 2^15 floats a rank, and many small ones. */
export const lists: number[][] = [
  [],
  [0],
  [1],
  [2, 0, 3],
  [65_535],
  [65_536],
  [65_537, 98_303],
  [5, 98_304, 1],
  [600_001, 0, 7],
  Array.from({ length: 300 }, (_, i) => (i * i) % 1013),
];

/** Returns the values of a buffer of one rank, of very different magnitudes. */
export function makeValues(length: number, seed: number): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * 10 ** ((state >>> 8) % 7);
  });
}

/** Returns the sum over all ranks, added in f32 in the order of ranks. */
export function sumInRankOrder(length: number, seed: number, size: number): Float32Array {
  const sum = makeValues(length, seed);
  for (let rank = 1; rank < size; rank++) {
    const other = makeValues(length, seed + 1000 * rank);
    for (let i = 0; i < length; i++) sum[i] += other[i]; // a Float32Array rounds
  }
  return sum;
}

/** The output of a rank after its sums. */
export interface Sums {
  rank: number;
  size: number;
  sums: string[];
  replays: string[];
  calls: number;
}

/** Returns the hashes of the sums of `lists`, and of the five calls of a captured step. */
export function hashSums(size: number): Pick<Sums, "sums" | "replays"> {
  return {
    sums: lists.map((lengths) => hash(lengths.map((n, i) => sumInRankOrder(n, i, size)))),
    replays: Array.from({ length: 5 }, (_, i) =>
      hash([sumInRankOrder(77, i, size).map((x) => 2 * x)]),
    ),
  };
}

/** Returns the SHA-256 of the bytes of all arrays. */
export function hash(arrays: readonly Float32Array[]): string {
  const sha = createHash("sha256");
  for (const array of arrays) sha.update(new Uint8Array(array.buffer));
  return sha.digest("hex");
}
