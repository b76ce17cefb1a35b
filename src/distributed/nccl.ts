// Joins GPUs by NCCL: those of processes that MPI connects already, or those that torchrun started.

import type { NCCLGroup } from "../backend/addon.ts";
import { addonOf } from "../backend/platform/node.ts";
import { UsageError } from "../errors.ts";
import type { Joined } from "./collectives.ts";
import type { Communicator } from "./communicator.ts";
import { runOnEveryRank } from "./every-rank.ts";
import type { Launch } from "./launcher.ts";

/** NCCL's sums in network switches have other bits from call to call; read when it is opened. */
function requestSameBits(): void {
  process.env.NCCL_NVLS_ENABLE ??= "0";
}

/**
 * Joins the GPUs of a communicator's ranks, so that their kernel `allReduce` sums over all ranks.
 * Throws a UsageError on every rank if one of them has no NCCL.
 */
export function joinGPUs(communicator: Communicator, group: NCCLGroup): Joined {
  const { rank, size } = communicator;
  requestSameBits();
  const engine = useOnEveryRank(communicator, () => group.open());
  const ownId = useOnEveryRank(communicator, () => (rank === 0 ? group.createId() : null));
  const id = communicator.broadcast(ownId);
  useOnEveryRank(communicator, () => group.join(id, size, rank));
  return { group, rank, engine };
}

/**
 * Joins the processes of torchrun: NCCL itself exchanges the id, at the port after torchrun's own.
 * Throws a UsageError if NCCL is missing.
 */
export function joinByTorchrun(
  { rank, size, launcher, advice }: Launch,
  deviceName: string,
  watch: (group: NCCLGroup) => void,
): Joined {
  const started = `started by ${launcher} as ${size} processes`;
  if (deviceName !== "cuda" && deviceName !== "cuda-emulator")
    throw new UsageError(
      `${started}, which NCCL connects on cuda, not on ${deviceName}; ${advice}`,
    );
  const addon = addonOf(deviceName);
  if (typeof addon === "string") throw new UsageError(`${started}, but ${addon}; ${advice}`);
  const { MASTER_ADDR: host = "", MASTER_PORT: port = "29500" } = process.env;
  process.env.NCCL_COMM_ID ??= `${host.includes(":") ? `[${host}]` : host}:${Number(port) + 1}`;
  requestSameBits();
  const group = addon.processGroup;
  watch(group);
  try {
    const engine = group.open();
    group.join(group.createId(), size, rank);
    return { group, rank, engine };
  } catch (error) {
    throw new UsageError(`${started}, but ${(error as Error).message}`);
  }
}

/** Calls `fn` on every rank. Throws the same UsageError on all if it throws on one. */
function useOnEveryRank<T>(communicator: Communicator, fn: () => T): T {
  return runOnEveryRank(
    communicator,
    fn,
    ({ rank, message }) =>
      new UsageError(`rank ${rank} of ${communicator.size} cannot use NCCL: ${message}`),
  );
}
