// Capture and replay of a step. The first call runs the step as it is; the second captures the
// calls of its kernels; from then on they are replayed in one native call, without the JavaScript
// around them. Changes to JavaScript state, versions of storages and the existence of gradients,
// are logged at capture and repeated at replay. A captured step has memory of its own: no other
// tensor may use what a replay writes to.

import { nextSite, rngState } from "../random.ts";
import { keep, scope } from "../scope.ts";
import type { Addon, CapturedGraph } from "./addon.ts";
import type { Memory } from "./buffers.ts";
import type { DType, Kernels } from "./kernels.ts";
import { Pool, type Storage } from "./memory.ts";
import { collectTensors, isTensor, mapTensors, type TensorLike } from "./nested.ts";

/** The parts of a device that capture uses. */
interface CaptureDevice {
  readonly addon: Addon | null;
  readonly memory: Memory;
  readonly pool: Pool;
  readonly kernels: Pick<Kernels, "copy">;
  captureLog: CaptureLog | null;
  isInsideStep: boolean;
  empty(dtype: DType, length: number): Storage;
}

/**
 * A step that needs more of the host's memory is not captured: it takes long anyway, so a replay
 * would gain nothing, but it would need that memory a second time.
 */
const MAX_HOST_BYTES = 256e6;

/** Objects whose state a step changes: a leaf, or a storage. */
type Changing = { hasGrad: boolean } | { version: number };

/** The memory of a captured step, and what the step does besides calling kernels. */
export class CaptureLog {
  readonly pool: Pool;
  /** Key, step and site offset of the RNG, at one address; written before each replay. */
  readonly rngState: Int32Array;
  /** False once a kernel ran that cannot be replayed. */
  isComplete = true;
  /** The state of each changed object before the step. */
  readonly before = new Map<Changing, boolean | number>();
  readonly firstSite = nextSite(0);

  constructor(memory: Memory, pool: Pool) {
    this.pool = pool;
    this.rngState = memory.allocate("i32", 4) as Int32Array;
  }

  /** Records the state of an object; the caller is about to change it. */
  note(owner: Changing): void {
    if (!this.before.has(owner)) this.before.set(owner, getState(owner));
  }
}

/** Everything that a replay needs. */
interface Captured {
  graph: CapturedGraph;
  captureLog: CaptureLog;
  inputs: unknown[];
  result: unknown;
  after: Map<Changing, boolean | number>;
  sites: number; // how many RNG sites the step uses
  epoch: number;
}

let captureEpoch = 0;

/** Makes captured steps be captured again, after a change of a mode or of a tensor's storage. */
export function invalidateCaptures(): void {
  captureEpoch++;
}

/** Returns `step` with capture and replay; inside another captured step it is part of that one. */
export function captureStep<I extends unknown[], R>(
  device: CaptureDevice,
  step: (...inputs: I) => R,
): (...inputs: I) => R {
  const capture = new Capture(device, step);
  return (...inputs) => {
    const isNested = device.isInsideStep;
    device.isInsideStep = true;
    try {
      return device.addon && !isNested ? capture.run(inputs) : step(...inputs);
    } finally {
      device.isInsideStep = isNested;
    }
  };
}

/** Runs `step`, and replays it where possible. */
class Capture<I extends unknown[], R> {
  readonly #device: CaptureDevice;
  readonly #step: (...inputs: I) => R;
  readonly #pool: Pool;
  #captured: Captured | null = null;
  #bytes: number | null = null; // the memory that the step needs; null before the first run

  constructor(device: CaptureDevice, step: (...inputs: I) => R) {
    this.#device = device;
    this.#step = step;
    this.#pool = new Pool(device.memory);
  }

  run(inputs: I): R {
    if (this.#bytes === null) return this.#measure(inputs);
    const areConstants = inputs.every((x) => isTensor(x) && !x.requiresGrad);
    const limit = this.#device.memory.isHost ? MAX_HOST_BYTES : Number.MAX_VALUE;
    if (this.#bytes > limit || !areConstants) return this.#step(...inputs);
    const captured = this.#captured;
    return captured && isValid(captured, inputs)
      ? this.#replay(captured, inputs)
      : this.#capture(inputs);
  }

  /** The first run: makes the one-time allocations, and measures the memory of the step. */
  #measure(inputs: I): R {
    const { pool } = this.#device;
    const { liveBytes, peakBytes } = pool;
    pool.peakBytes = liveBytes;
    const result = this.#step(...inputs);
    this.#bytes = pool.peakBytes - liveBytes;
    pool.peakBytes = Math.max(pool.peakBytes, peakBytes);
    return result;
  }

  #capture(inputs: I): R {
    this.#discard();
    const device = this.#device;
    if (!device.memory.isHost) device.pool.trim(); // from here on the step has its own memory
    const captureLog = new CaptureLog(device.memory, this.#pool);
    const ownInputs = withCaptureLog(device, captureLog, () =>
      mapTensors(inputs, (x) => allocateLike(x, device)),
    ) as I;
    copyInputs(ownInputs, inputs, device);
    let result: unknown;
    let graph: CapturedGraph | undefined;
    device.addon?.beginCapture();
    try {
      result = withCaptureLog(device, captureLog, () => scope(() => this.#step(...ownInputs)));
    } finally {
      graph = device.addon?.endCapture();
    }
    result = mapTensors(result, (x) => keep(x.detach()));
    if (graph && captureLog.isComplete) {
      const owners = [...captureLog.before.keys()];
      this.#captured = {
        graph,
        captureLog,
        inputs: ownInputs,
        result,
        after: new Map(owners.map((owner) => [owner, getState(owner)])),
        sites: nextSite(0) - captureLog.firstSite,
        epoch: captureEpoch,
      };
    } else {
      this.#bytes = Number.POSITIVE_INFINITY; // it will never be complete: do not try again
    }
    return mapTensors(result, (x) => x.detach()) as R;
  }

  #discard(): void {
    const captured = this.#captured;
    if (!captured) return;
    for (const x of collectTensors([captured.inputs, captured.result])) x.storage.dispose();
    this.#captured = null;
  }

  #replay(captured: Captured, inputs: I): R {
    const { graph, captureLog, result, after, sites } = captured;
    const device = this.#device;
    copyInputs(captured.inputs, inputs, device);
    const { state } = rngState();
    state[3] = nextSite(sites) - captureLog.firstSite;
    device.memory.write(captureLog.rngState, state);
    device.addon?.replay(graph);
    for (const [owner, value] of after) {
      if ("version" in owner) {
        owner.version += (value as number) - (captureLog.before.get(owner) as number);
      } else {
        owner.hasGrad = value as boolean;
      }
    }
    return mapTensors(result, (x) => x.detach()) as R;
  }
}

/** Runs `fn` with the memory and the log of a captured step. */
function withCaptureLog<T>(device: CaptureDevice, captureLog: CaptureLog, fn: () => T): T {
  device.captureLog = captureLog;
  device.memory.write(captureLog.rngState, rngState().state);
  try {
    return fn();
  } finally {
    device.captureLog = null;
  }
}

/** Returns true if shapes, dtypes, modes and existing gradients are those of the capture. */
function isValid({ inputs: own, captureLog, epoch }: Captured, inputs: unknown[]): boolean {
  const describe = (x: unknown) => {
    const { shape, storage } = x as TensorLike;
    return `${storage.device} ${storage.dtype} ${shape}`;
  };
  if (epoch !== captureEpoch || own.length !== inputs.length) return false;
  if (inputs.some((x, i) => describe(x) !== describe(own[i]))) return false;
  for (const [owner, value] of captureLog.before) {
    if ("hasGrad" in owner && owner.hasGrad !== value) return false;
  }
  return true;
}

function getState(owner: Changing): boolean | number {
  return "version" in owner ? owner.version : owner.hasGrad;
}

/** Returns a persistent tensor like x with memory of its own and undefined content. */
function allocateLike(x: TensorLike, device: CaptureDevice): TensorLike {
  const own = x.detach();
  const { storage } = own;
  own.storage = device.empty(storage.dtype, storage.length);
  storage.release();
  return keep(own);
}

function copyInputs(own: unknown[], inputs: unknown[], device: CaptureDevice): void {
  for (const [i, x] of (inputs as TensorLike[]).entries()) {
    const source = x.storage;
    const target = (own[i] as TensorLike).storage;
    device.kernels.copy(source.buffer, target.buffer, source.length);
  }
}
