// Starts the processes of --processes and --gpus on this machine: by mpirun, or for GPUs directly,
// with the variables that torchrun sets. Passes signals on to rank 0, which stops all of them.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { detectLauncher } from "../distributed/launcher.ts";
import { UsageError } from "../errors.ts";
import { countGPUs } from "./cuda.ts";

/** The variable that names the file for the process id of rank 0. */
const PID_FILE = "TINYBARD_RANK0_PID_FILE";

/** The milliseconds that other processes have to end after one has ended. */
const GRACE = 5000;

/** The options of train that start processes. */
export interface LaunchFlags {
  processes?: number;
  gpus?: number;
  device?: string;
}

/**
 * Starts this program as several processes if the options ask for them. Returns their exit code;
 * null if this process is to train. Throws a UsageError if they cannot be started.
 */
export async function launch({ processes, gpus, device }: LaunchFlags): Promise<number | null> {
  if (processes === undefined && gpus === undefined) return null;
  const option = gpus === undefined ? "processes" : "gpus";
  const count = gpus ?? (processes as number);
  if (processes !== undefined && gpus !== undefined)
    throw new UsageError("train: processes and gpus exclude each other; use one of them");
  const launcher = detectLauncher(process.env);
  if (launcher)
    throw new UsageError(
      `train: ${option} starts processes, but ${launcher.launcher} has started this one; ` +
        "use one of the two",
    );
  if (gpus !== undefined && device !== "cuda-emulator") checkGPUs(gpus, device);
  if (count === 1) return null;
  const args = [...process.execArgv, process.argv[1], ...withoutLaunchOptions()];
  return gpus === undefined ? launchByMPI(count, args) : launchOnGPUs(count, args);
}

/** Writes the process id of rank 0 to the file that launch() reads. */
export function announceProcess(): void {
  const { [PID_FILE]: file } = process.env;
  if (file) writeFileSync(file, String(process.pid));
}

function checkGPUs(gpus: number, device: string | undefined): void {
  if (device !== undefined && device !== "cuda" && device !== "auto")
    throw new UsageError(`train: gpus is ${gpus}, but device is ${device}, expected cuda`);
  const found = countGPUs();
  if (gpus > found)
    throw new UsageError(`train: gpus is ${gpus}, but nvidia-smi lists ${found} on this machine`);
}

/** Returns the arguments of this program without --processes and --gpus. */
function withoutLaunchOptions(): string[] {
  const args = process.argv.slice(2);
  const isOption = (arg: string | undefined) => arg === "--processes" || arg === "--gpus";
  return args.filter(
    (arg, i) => !isOption(arg) && !isOption(args[i - 1]) && !/^--(processes|gpus)=/.test(arg),
  );
}

async function launchByMPI(count: number, args: string[]): Promise<number> {
  const { command, options } = findMPIRun();
  const all = [...options, "-n", String(count), process.execPath, ...args];
  return withPidFile(async (pidFile) => {
    const child = start(command, all, { [PID_FILE]: pidFile });
    return supervise([child], pidFile);
  });
}

/** Returns the command of the MPI that is installed, and its options for one shared machine. */
function findMPIRun(): { command: string; options: string[] } {
  for (const command of ["mpirun", "mpiexec"]) {
    const { stdout, status } = spawnSync(command, ["--version"], { encoding: "utf8" });
    if (status !== 0 || !stdout) continue;
    if (!/Open MPI|OpenRTE|prte/i.test(stdout)) return { command, options: [] };
    // quiet: without a report on the exit code; the threads of a rank need more than its own core
    const options = ["--quiet", "--bind-to", "none", "--oversubscribe"];
    if (process.getuid?.() === 0) options.push("--allow-run-as-root");
    return { command, options };
  }
  throw new UsageError(
    "train: processes needs mpirun, which is not installed: install Open MPI (Debian: " +
      "openmpi-bin) or MPICH (mpich)",
  );
}

async function launchOnGPUs(count: number, args: string[]): Promise<number> {
  const port = await findFreePort();
  return withPidFile(async (pidFile) => {
    const children = Array.from({ length: count }, (_, rank) =>
      start(process.execPath, args, {
        RANK: String(rank),
        WORLD_SIZE: String(count),
        LOCAL_RANK: String(rank),
        LOCAL_WORLD_SIZE: String(count),
        MASTER_ADDR: "127.0.0.1",
        MASTER_PORT: String(port),
        ...(rank === 0 && { [PID_FILE]: pidFile }),
      }),
    );
    return supervise(children, pidFile);
  });
}

/** Starts a process in a group of its own, so that Ctrl-C reaches it only through supervise(). */
function start(command: string, args: string[], env: Record<string, string>): ChildProcess {
  const stdio = ["ignore", "inherit", "inherit"] as const;
  const all = { ...process.env, TINYBARD_DISTRIBUTED: "auto", ...env };
  return spawn(command, args, {
    stdio: [...stdio],
    detached: true,
    env: all,
  });
}

/**
 * Waits until all processes have ended, and passes signals on. If one fails, ends the others; so
 * does a second signal. Returns the exit code of the first process that has failed.
 */
async function supervise(children: ChildProcess[], pidFile: string): Promise<number> {
  let quitCode = 0; // of a second signal
  let hasSignal = false;
  const relay = (signal: NodeJS.Signals) => {
    const pid = readPid(pidFile);
    if (pid !== null) send(pid, signal);
    if (pid === null || hasSignal) for (const child of children) child.kill(signal);
    if (hasSignal && quitCode === 0) {
      quitCode = 128 + constants.signals[signal];
      void endSoon(children); // ranks that wait for another one do not notice signals
    }
    hasSignal = true;
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, relay);
  try {
    let failed = 0;
    const endings = children.map(async (child) => {
      const code = await waitForExit(child);
      if (code !== 0 && failed === 0 && children.length > 1) void endSoon(children);
      failed ||= code;
    });
    await Promise.all(endings);
    return quitCode || failed;
  } finally {
    for (const signal of signals) process.off(signal, relay);
  }
}

/** Ends processes that have not ended by themselves after some time. */
async function endSoon(children: readonly ChildProcess[]): Promise<void> {
  await sleep(GRACE, undefined, { ref: false });
  for (const { pid, exitCode, signalCode } of children)
    if (pid !== undefined && exitCode === null && signalCode === null) send(-pid, "SIGKILL");
}

/** Returns the exit code of a process, or 128 + the number of the signal that ended it. */
function waitForExit(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.on("error", ({ message }) => {
      console.error(`tinybard: ${message}`);
      resolve(1);
    });
    child.on("exit", (code, signal) =>
      resolve(code ?? 128 + constants.signals[signal as NodeJS.Signals]),
    );
  });
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {} // it has ended
}

/** Calls a function with the path of a file that rank 0 may write its process id to. */
async function withPidFile<T>(use: (file: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-"));
  try {
    return await use(join(folder, "pid"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readPid(file: string): number | null {
  try {
    return Number(readFileSync(file, "utf8")) || null;
  } catch {
    return null; // rank 0 has not started yet
  }
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
