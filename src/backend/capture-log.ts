// What a step does besides calling kernels, recorded while it is captured: the objects that it
// changes, the values that it relies on, and its memory.

import { nextSite, rngState } from "../random.ts";
import type { Addon } from "./addon.ts";
import type { Memory } from "./buffers.ts";
import type { DType, Kernels } from "./kernels.ts";
import type { Storage } from "./memory.ts";
import type { Pool } from "./pool.ts";

/** The parts of a device that capture uses. */
export interface CaptureDevice {
  readonly addon: Addon | null;
  readonly memory: Memory;
  readonly pool: Pool;
  readonly kernels: Pick<Kernels, "copy">;
  /** A replay needs the precision of its capture. */
  readonly matmulPrecision: string;
  captureLog: CaptureLog | null;
  isInsideStep: boolean;
  empty(dtype: DType, length: number): Storage;
}

/** Objects whose state a step changes: a leaf, or a storage. */
export type Changing = { hasGrad: boolean } | { version: number };

/** The memory of a captured step, and what the step does besides calling kernels. */
export class CaptureLog {
  readonly pool: Pool;
  /** Key, step and site offset of the RNG, at one address; written before each replay. */
  readonly rngState: Storage;
  /** False once a kernel ran that cannot be replayed. */
  isComplete = true;
  /** The state of each changed object before the step. */
  readonly before = new Map<Changing, boolean | number>();
  readonly firstSite = nextSite(0);
  readonly #assumptions: (() => boolean)[] = [];

  constructor(device: CaptureDevice) {
    this.pool = device.pool.createStepPool();
    this.rngState = device.empty("i32", 4);
    this.rngState.registerFinalizer();
    const { matmulPrecision } = device;
    this.assume(() => device.matmulPrecision === matmulPrecision);
  }

  /** Makes the step be captured again once `isTrue()` is false: what it read has changed. */
  assume(isTrue: () => boolean): void {
    this.#assumptions.push(isTrue);
  }

  get isUpToDate(): boolean {
    return this.#assumptions.every((isTrue) => isTrue());
  }

  /** Records the state of an object; the caller is about to change it. */
  note(owner: Changing): void {
    if (!this.before.has(owner)) this.before.set(owner, getState(owner));
  }
}

/** Returns the state of an object that a step changes. */
export function getState(owner: Changing): boolean | number {
  return "version" in owner ? owner.version : owner.hasGrad;
}

/** Runs `fn` with the memory and the log of a captured step. */
export function withCaptureLog<T>(device: CaptureDevice, captureLog: CaptureLog, fn: () => T): T {
  device.captureLog = captureLog;
  try {
    device.memory.write(captureLog.rngState.buffer, rngState().state);
    return fn();
  } finally {
    device.captureLog = null;
  }
}
