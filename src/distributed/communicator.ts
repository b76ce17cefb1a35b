// The communicator: how the processes that train together exchange values. A process that was
// started alone has one of size 1, which does nothing. process-group.ts joins the processes.

import type { Device } from "../backend/device.ts";

/**
 * The processes that train together, numbered by rank. All methods except `abort` are collective:
 * every rank calls the same ones in the same order, and waits for the others in each. Throws an
 * Error if the connection is lost.
 */
export interface Communicator {
  /** The number of this process, from 0 to size - 1. */
  readonly rank: number;
  /** The number of processes: the world size. */
  readonly size: number;
  /** The number of this process among those of its host. */
  readonly localRank: number;
  /** The number of processes on this host. */
  readonly localSize: number;
  /** The library that connects the processes, such as "Open MPI 4.1.4". */
  readonly engine: string;
  /**
   * Prepares the kernel `allReduce` of the device that the ranks train on. Throws a UsageError on
   * every rank if the device cannot, or if the ranks have different devices.
   */
  useDevice(device: Device): void;
  /** Returns true on every rank if `value` is true on at least one. */
  any(value: boolean): boolean;
  /** Returns rank 0's bytes. The argument of other ranks is ignored. */
  broadcast(bytes: Uint8Array | null): Uint8Array;
  /** Overwrites an array, of the same type and length on every rank, with that of rank 0. */
  broadcastInto(target: Float32Array | Float64Array | Int32Array | Uint8Array): void;
  /**
   * Replaces each value by its sum over all ranks. The terms are added in double precision in the
   * order of ranks, so every rank has the same bits. The length is the same on every rank.
   */
  sum(values: Float64Array | Float32Array): void;
  /** Returns the text of each rank, by rank, on every rank. */
  gather(text: string): string[];
  /** Returns when every rank has called it. */
  barrier(): void;
  /** Ends all ranks at once. `exitCode` should not be 0. */
  abort(exitCode: number): never;
  /** Leaves in order: the last call of every rank. Does nothing the second time. */
  close(): void;
}

/** The communicator of a process that was started alone. */
export const singleProcess: Communicator = {
  rank: 0,
  size: 1,
  localRank: 0,
  localSize: 1,
  engine: "single process",
  useDevice() {},
  any: (value) => value,
  broadcast(bytes) {
    if (!bytes) throw new TypeError("broadcast: bytes is null, expected bytes on rank 0");
    return bytes;
  },
  broadcastInto() {},
  sum() {},
  gather: (text) => [text],
  barrier() {},
  abort: (exitCode) => process.exit(exitCode),
  close() {},
};
