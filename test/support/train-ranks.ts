// Trains tiny models as several ranks, under each MPI launcher that is installed.

import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { devices } from "tinybard";
import { sha256 } from "#src/files/sha256.js";
import { toFlag } from "#src/options.js";
import { type MetricsRow, readRows } from "#src/runs/metrics.js";
import type { TrainConfig } from "#src/train/config.js";
import { type Ended, type Engine, findEngines, parseRanks } from "./ranks.js";
import type { Job, Outcome } from "./train-program.js";

/** The compiled program. */
export const cli = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));

/** The compiled program of train-program.ts. */
export const trainProgram = fileURLToPath(new URL("./train-program.js", import.meta.url));

/** Environment variables of all processes: Open MPI refuses to run as root without them. */
export const rankEnv = {
  ...process.env,
  OMPI_ALLOW_RUN_AS_ROOT: "1",
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: "1",
  NO_COLOR: "1",
  TINYBARD_THREADS: "1",
};

/** Returns the engines to test with; prints what is skipped and why. */
export function findTrainingEngines(what: string): Engine[] {
  const { TINYBARD_TEST_DEVICE: requested = "cpu" } = process.env;
  if (requested !== "cpu") return [];
  const cpu = devices().find(({ name }) => name === "cpu");
  const engines = cpu?.available ? findEngines() : [];
  if (engines.length < 2) {
    const missing = cpu?.available ? "mpirun.openmpi and mpirun.mpich" : cpu?.reason;
    const kept = engines.length > 0 ? `, only with ${engines[0].name}` : "";
    console.log(`skipped: ${what}${kept}: needs ${missing}`);
  }
  return engines;
}

/** Writes a text for training to a folder, and returns the options of a tiny run. */
export function tinyRun(folder: string): Partial<TrainConfig> {
  const data = join(folder, "text.txt");
  const words = ["to", "be", "or", "not", "that", "is", "the", "question", "whether", "nobler"];
  const text = Array.from({ length: 4000 }, (_, i) => words[(i * i + 7 * i) % 10]).join(" ");
  writeFileSync(data, text);
  return {
    data,
    device: "cpu",
    nLayer: 1,
    nHead: 2,
    nEmbd: 16,
    blockSize: 8,
    tieWeights: false,
    batchSize: 6,
    gradAccum: 2,
    gradClip: 1,
    maxIters: 12,
    evalInterval: 4,
    evalIters: 3,
    logInterval: 1,
    seed: 5,
  };
}

/** Returns options as arguments of `tinybard train`. */
export function toArguments(options: Partial<TrainConfig>): string[] {
  return Object.entries(options).flatMap(([key, value]) => {
    if (typeof value === "boolean") return [`--${value ? "" : "no-"}${toFlag(key)}`];
    return [`--${toFlag(key)}`, String(value)];
  });
}

/** A started program. */
export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts a command, and ends it after some minutes: ranks that share busy cores are slow. `onOutput` gets all output so far. */
export function start(
  command: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
  onOutput: (text: string) => void = () => {},
): Started {
  const begin = performance.now();
  const child = spawn(command, args, {
    timeout: 240_000,
    killSignal: "SIGKILL",
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...rankEnv, ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
    onOutput(stdout);
  });
  child.stderr.setEncoding("utf8").on("data", (text) => (stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      const seconds = (performance.now() - begin) / 1000;
      resolve({ code, stdout: stdout.replaceAll("\r\n", "\n"), stderr, seconds });
    });
  });
  return { child, ended };
}

/** Returns the arguments of a launcher that starts a program as `size` ranks. */
export function rankArgs({ flags }: Engine, size: number, args: readonly string[]): string[] {
  return [...flags, "-n", String(size), process.execPath, ...args];
}

/** Returns the process ids of the ranks below a launcher, by rank. Only on Linux. */
export function findRankPids(launcher: number): number[] {
  const parents = findParents();
  const pids: number[] = [];
  for (const pid of parents.keys()) {
    let ancestor: number | undefined = pid;
    while (ancestor && ancestor !== launcher) ancestor = parents.get(ancestor);
    const environment = readIfPossible(`/proc/${pid}/environ`);
    const [, rank] = /\0(?:PMI_RANK|OMPI_COMM_WORLD_RANK)=(\d+)\0/.exec(environment) ?? [];
    const isNode = readIfPossible(`/proc/${pid}/cmdline`).startsWith(process.execPath);
    if (ancestor && rank !== undefined && isNode) pids[Number(rank)] = pid;
  }
  return pids;
}

/** Returns the process ids of the children of a process, oldest first. Only on Linux. */
export function findChildren(parent: number): number[] {
  const children = [...findParents()].filter(([, other]) => other === parent);
  return children.map(([pid]) => pid).sort((a, b) => a - b);
}

/** Returns the parent of each process. */
function findParents(): Map<number, number> {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    const stat = readIfPossible(`/proc/${name}/stat`);
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
  }
  return parents;
}

function readIfPossible(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return ""; // the process has ended
  }
}

/** Runs the jobs of train-program.ts as `size` ranks, or with null as one process. */
export async function runJobs(
  engine: Engine | null,
  size: number,
  jobs: readonly Job[],
  env: NodeJS.ProcessEnv = {},
): Promise<Outcome[]> {
  const command = engine ? engine.command : process.execPath;
  const program = [trainProgram, JSON.stringify(jobs)];
  const args = engine ? rankArgs(engine, size, program) : program;
  const ended = await start(command, args, env).ended;
  return parseRanks<Outcome>(ended);
}

/** Returns the checksums of what must be the same bit for bit in two checkpoints. */
export function hashCheckpoint(out: string, name = "last"): string[] {
  const files = ["model.safetensors", "optimizer.safetensors"];
  return files.map((file) => sha256(readFileSync(join(out, name, file))));
}

/** Returns the rows of metrics.jsonl without what depends on the time. */
export function readMetrics(out: string): MetricsRow[] {
  return readRows(out).map(({ tokensPerSecond, elapsedSeconds, ...row }) => row as MetricsRow);
}
