// Joins the processes that a launcher has started into one communicator.

import { fstatSync } from "node:fs";
import { hostname } from "node:os";
import { isMainThread } from "node:worker_threads";
import type { MPIGroup, ProcessGroup } from "../backend/addon.ts";
import type { Device } from "../backend/device.ts";
import { limitThreads } from "../backend/devices.ts";
import { addonOf } from "../backend/platform/node.ts";
import { UsageError } from "../errors.ts";
import { gatherTexts, type Joined, ProcessGroupCommunicator } from "./collectives.ts";
import { type Communicator, singleProcess } from "./communicator.ts";
import { detectLauncher, type Launch } from "./launcher.ts";
import { joinByTorchrun, joinGPUs } from "./nccl.ts";
import { countThreads, describePlace, findLocalRank, parsePlace } from "./places.ts";

export interface ProcessGroupOptions {
  /** The device to train on. torchrun's processes are joined by it: cuda, or cuda-emulator. */
  device?: string;
  /** Seconds after which a call that waits for other ranks ends the process; default 600. */
  timeout?: number;
}

let joined: Communicator | null = null;

/**
 * Returns the communicator of the processes that mpirun, srun or torchrun has started; that of a
 * single process without a launcher, or if it started one process. The first call joins: all
 * ranks make it, before they open a device. Throws a UsageError if they cannot be connected: then
 * rank 0 (`launchedRank()`) prints it, and all exit with code 2.
 */
export function joinProcessGroup(options: ProcessGroupOptions = {}): Communicator {
  joined ??= join(options);
  return joined;
}

/** Returns the rank that the launcher assigned, before or without joining; 0 without a launcher. */
export function launchedRank(): number {
  return detectLauncher(process.env)?.rank ?? 0;
}

function join(options: ProcessGroupOptions): Communicator {
  const launch = detectLauncher(process.env);
  if (!launch || launch.size === 1) return singleProcess;
  if (!isMainThread) throw new Error("joinProcessGroup: only the main thread can join");
  const { timeout = 600 } = options;
  const device =
    options.device === undefined || options.device === "auto" ? "cuda" : options.device;
  const watch = (group: ProcessGroup) => group.watch(timeout, describeTimeout(launch, timeout));
  if (launch.localRank !== null) chooseGPU(launch.localRank);
  const isMPI = launch.libraries.length > 0;
  const joined = isMPI ? joinByMPI(launch, watch) : joinByTorchrun(launch, device, watch);
  const { group, rank } = joined;
  const places = gatherTexts(group, launch.size, describePlace()).map(parsePlace);
  const local = findLocalRank(launch, places, rank);
  chooseGPU(local.localRank);
  limitThreads(countThreads(places, rank));
  const membership = { rank, size: launch.size, engine: joined.engine, ...local };
  return new ProcessGroupCommunicator(group, membership, (communicator, chosen) => {
    if (isMPI) return connectDevice(communicator, chosen, watch);
    checkJoinedDevice(chosen, device);
    return null;
  });
}

/** Joins through the first MPI library that there is. */
function joinByMPI(launch: Launch, watch: (group: ProcessGroup) => void): Joined {
  const { size, launcher } = launch;
  const started = `started by ${launcher} as ${size} processes`;
  const addon = addonOf("cpu");
  if (typeof addon === "string")
    throw new UsageError(`${started}, which the C++ addon connects: ${addon}`);
  checkConnection(started);
  // While ranks wait for each other, they leave the processor to other programs: on a machine that
  // is shared, steps are twice as fast. Read by MPI_Init.
  process.env.OMPI_MCA_mpi_yield_when_idle ??= "1";
  // UCX, which MPICH sends by, tests its memory hooks by moving the end of the heap forth and back.
  // A thread that allocates meanwhile loses its memory. Read when the library is opened.
  process.env.UCX_MEM_EVENTS ??= "no";
  const group = addon.processGroup;
  watch(group);
  const engine = openLibrary(group, launch, started);
  try {
    return { group, engine, rank: group.join(size) };
  } catch (error) {
    throw new UsageError(`${started}, but ${(error as Error).message}; ${launch.advice}`);
  }
}

/**
 * MPICH's mpirun, and srun with pmi2, connect to a process by an open file, which programs between
 * them may close. Throws a UsageError then, because MPI would wait for an answer forever.
 */
function checkConnection(started: string): void {
  const { PMI_FD: file } = process.env;
  if (file === undefined || isSocket(Number(file))) return;
  throw new UsageError(
    `${started}, but a program in between, such as npx, has closed the launcher's connection; ` +
      `start node itself: node ${process.argv[1]}`,
  );
}

function isSocket(file: number): boolean {
  try {
    return fstatSync(file).isSocket();
  } catch {
    return false; // it is not open
  }
}

/** Opens the first MPI library that there is. Returns its name and version. */
function openLibrary(group: MPIGroup, launch: Launch, started: string): string {
  const reasons: string[] = [];
  for (const library of launch.libraries) {
    try {
      return group.open(library);
    } catch (error) {
      reasons.push((error as Error).message);
    }
  }
  throw new UsageError(
    `${started}, but no MPI library works: ${reasons.join("; ")}; ${launch.advice}`,
  );
}

/** Makes the device cuda take the GPU of this number, modulo the number of GPUs that it sees. */
function chooseGPU(localRank: number): void {
  process.env.TINYBARD_CUDA_DEVICE ??= String(localRank);
}

function describeTimeout({ rank, size }: Launch, timeout: number): string {
  return (
    `tinybard: rank ${rank} of ${size} (${hostname()}): another rank has not answered within ` +
    `${timeout} s, so the run ends; continue from the last checkpoint with --resume`
  );
}

/**
 * Connects the device that the ranks train on. Returns its own process group, or null if it has
 * none. Throws a UsageError if it cannot train with other processes.
 */
function connectDevice(
  communicator: Communicator,
  device: Device,
  watch: (group: ProcessGroup) => void,
): Joined | null {
  if (device.name === "cpu") return null;
  const { addon } = device;
  if (addon && "allocate" in addon) {
    watch(addon.processGroup);
    return joinGPUs(communicator, addon.processGroup);
  }
  throw new UsageError(
    `device ${device.name} cannot train with ${communicator.size} processes, expected cpu or cuda`,
  );
}

/** Throws a UsageError unless NCCL has joined the processes on this device. */
function checkJoinedDevice({ name }: Device, joinedDevice: string): void {
  if (name === joinedDevice) return;
  throw new UsageError(
    `device ${name} cannot train with processes of torchrun, which NCCL connects on ` +
      `${joinedDevice}: use --device cuda, or start the processes with mpirun`,
  );
}
