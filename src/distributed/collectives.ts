// The communicator of several processes: everything is built on two collective calls of an addon,
// broadcast and allGather.

import type { ProcessGroup } from "../backend/addon.ts";
import type { Device } from "../backend/device.ts";
import { setWorldSize } from "../backend/ts/all-reduce.ts";
import { UsageError } from "../errors.ts";
import type { Communicator } from "./communicator.ts";
import { describeRank } from "./places.ts";

/** A process group that this process has joined. */
export interface Joined {
  readonly group: ProcessGroup;
  readonly rank: number;
  /** The name and version of the library. */
  readonly engine: string;
}

/** The place of this process among the others. */
export interface Membership {
  readonly rank: number;
  readonly size: number;
  readonly localRank: number;
  readonly localSize: number;
  readonly engine: string;
}

const MAX_SUM = 1 << 16; // values that are gathered at once, from each rank

export class ProcessGroupCommunicator implements Communicator {
  readonly rank: number;
  readonly size: number;
  readonly localRank: number;
  readonly localSize: number;
  engine: string;
  readonly #group: ProcessGroup;
  readonly #connectDevice: (communicator: Communicator, device: Device) => Joined | null;
  #deviceGroup: ProcessGroup | null = null; // of GPUs
  #isOpen = true;

  /** `connectDevice` returns the device's own group, or throws a UsageError on every rank. */
  constructor(
    group: ProcessGroup,
    membership: Membership,
    connectDevice: (communicator: Communicator, device: Device) => Joined | null,
  ) {
    this.#group = group;
    this.rank = membership.rank;
    this.size = membership.size;
    this.localRank = membership.localRank;
    this.localSize = membership.localSize;
    this.engine = membership.engine;
    this.#connectDevice = connectDevice;
    setWorldSize(this.size);
    process.on("beforeExit", (code) => {
      if (code === 0) this.close(); // a program of the user's has come to its end
    });
    // Node would print the error after the handlers of "exit", when this process has ended already
    process.on("uncaughtExceptionMonitor", ({ stack }) => this.#report(String(stack)));
    process.on("exit", (code) => this.#endOthers(code));
  }

  useDevice(device: Device): void {
    const names = this.gather(device.name);
    const other = names.findIndex((name) => name !== names[0]);
    if (other > 0)
      throw new UsageError(
        `rank ${other} of ${this.size} has device ${names[other]}, rank 0 has ${names[0]}; ` +
          "all must have the same: choose one with --device",
      );
    if (this.#deviceGroup) return;
    const joined = this.#connectDevice(this, device);
    if (!joined) return;
    this.#deviceGroup = joined.group;
    this.engine += `, ${joined.engine}`;
  }

  any(value: boolean): boolean {
    return this.#gatherBytes(Uint8Array.of(value ? 1 : 0)).includes(1);
  }

  broadcast(bytes: Uint8Array | null): Uint8Array {
    if (this.rank === 0 && !bytes)
      throw new TypeError("broadcast: bytes is null, expected bytes on rank 0");
    const own = this.rank === 0 ? (bytes as Uint8Array) : null;
    const length = Float64Array.of(own?.length ?? 0);
    this.broadcastInto(length);
    const result = own ?? new Uint8Array(length[0]);
    this.broadcastInto(result);
    return result;
  }

  broadcastInto(target: Float32Array | Float64Array | Int32Array | Uint8Array): void {
    this.#openGroup.broadcast(bytesOf(target), 0);
  }

  sum(values: Float64Array | Float32Array): void {
    for (let begin = 0; begin < values.length; begin += MAX_SUM) {
      const part = values.subarray(begin, begin + MAX_SUM);
      const own = Float64Array.from(part);
      const all = new Float64Array(this.#gatherBytes(bytesOf(own)).buffer);
      for (let i = 0; i < part.length; i++) {
        let sum = all[i];
        for (let rank = 1; rank < this.size; rank++) sum += all[rank * part.length + i];
        part[i] = sum;
      }
    }
  }

  gather(text: string): string[] {
    return gatherTexts(this.#openGroup, this.size, text);
  }

  barrier(): void {
    this.any(false);
  }

  abort(exitCode: number): never {
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#group.abort(exitCode);
    }
    return process.exit(exitCode);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    try {
      this.#deviceGroup?.leave();
    } finally {
      this.#group.leave();
      setWorldSize(1);
    }
  }

  get #openGroup(): ProcessGroup {
    if (!this.#isOpen) throw new Error("the communicator is closed");
    return this.#group;
  }

  #gatherBytes(own: Uint8Array): Uint8Array<ArrayBuffer> {
    return gatherBytes(this.#openGroup, this.size, own);
  }

  #report(message: string): void {
    if (!this.#isOpen) return;
    console.error(`tinybard: ${describeRank(this)}: ${message}`);
  }

  /** At the exit of this process without close(): the others would wait for it forever. */
  #endOthers(exitCode: number): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#group.abort(exitCode & 255 || 1); // process.exit(-1) ends with code 255
  }
}

/** Returns the bytes of all ranks, by rank. */
function gatherBytes(group: ProcessGroup, size: number, own: Uint8Array): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(own.length * size);
  group.allGather(own, all);
  return all;
}

/** Returns the text of each rank, by rank. */
export function gatherTexts(group: ProcessGroup, size: number, text: string): string[] {
  const bytes = new TextEncoder().encode(text);
  const ownLength = bytesOf(Float64Array.of(bytes.length));
  const lengths = new Float64Array(gatherBytes(group, size, ownLength).buffer);
  const longest = Math.max(...lengths);
  const padded = new Uint8Array(longest);
  padded.set(bytes);
  const all = gatherBytes(group, size, padded);
  return Array.from(lengths, (length, rank) =>
    new TextDecoder().decode(all.subarray(rank * longest, rank * longest + length)),
  );
}

function bytesOf(array: NodeJS.TypedArray): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
