// Capture and replay of a step. The first call runs the step as it is; the second captures the
// calls of its kernels; from then on they are replayed in one native call, without the JavaScript
// around them. Changes to JavaScript state, versions of storages and the existence of gradients,
// are logged at capture and repeated at replay. A captured step has memory of its own: no other
// tensor may use what a replay writes to.

import { nextSite, rngState } from "../random.ts";
import { keep, scope } from "../scope.ts";
import type { CapturedGraph } from "./addon.ts";
import {
  type CaptureDevice,
  CaptureLog,
  type Changing,
  getState,
  withCaptureLog,
} from "./capture-log.ts";
import type { Storage } from "./memory.ts";
import { collectTensors, isTensor, mapTensors, type TensorLike } from "./nested.ts";

/**
 * A step that needs more of the host's memory is not captured: it takes long anyway, so a replay
 * would gain nothing, but it would need that memory a second time.
 */
const MAX_HOST_BYTES = 256e6;

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
  #captured: Captured | null = null;
  #bytes: number | null = null; // the memory that the step needs; null before the first run

  constructor(device: CaptureDevice, step: (...inputs: I) => R) {
    this.#device = device;
    this.#step = step;
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
    try {
      const result = this.#step(...inputs);
      this.#bytes = pool.peakBytes - liveBytes;
      return result;
    } finally {
      pool.peakBytes = Math.max(pool.peakBytes, peakBytes);
    }
  }

  #capture(inputs: I): R {
    const device = this.#device;
    if (!device.memory.isHost) device.pool.trim(); // from here on the step has its own memory
    this.#discard();
    const captureLog = new CaptureLog(device);
    const own: TensorLike[] = []; // the inputs
    try {
      const { graph, result } = this.#runCaptured(captureLog, inputs as TensorLike[], own);
      if (graph && captureLog.isComplete) {
        const owners = [...captureLog.before.keys()];
        this.#captured = {
          graph,
          captureLog,
          inputs: own,
          result,
          after: new Map(owners.map((owner) => [owner, getState(owner)])),
          sites: nextSite(0) - captureLog.firstSite,
          epoch: captureEpoch,
        };
      } else {
        if (graph) device.addon?.releaseGraph(graph);
        this.#bytes = Number.POSITIVE_INFINITY; // it will never be complete: do not try again
      }
      return mapTensors(result, (x) => x.detach()) as R;
    } finally {
      if (!this.#captured) dispose([...own.map((x) => x.storage), captureLog.rngState]);
      captureLog.pool.close(); // the graph keeps what it uses
    }
  }

  /** Captures the calls of the step with inputs of its own, which are added to `own`. */
  #runCaptured(captureLog: CaptureLog, inputs: TensorLike[], own: TensorLike[]) {
    const device = this.#device;
    return withCaptureLog(device, captureLog, () => {
      for (const x of inputs) own.push(allocateLike(x, device));
      copyInputs(own, inputs, device);
      device.addon?.beginCapture();
      let graph: CapturedGraph | undefined;
      let result: unknown;
      try {
        result = scope(() => this.#step(...(own as unknown as I)));
      } finally {
        graph = device.addon?.endCapture();
      }
      return { graph, result: mapTensors(result, (x) => keep(x.detach())) };
    });
  }

  #discard(): void {
    const captured = this.#captured;
    if (!captured) return;
    const { graph, captureLog, inputs, result } = captured;
    this.#captured = null;
    this.#device.addon?.releaseGraph(graph);
    const storages = collectTensors([inputs, result]).map((x) => x.storage);
    // a result may be a parameter, which is not the step's
    dispose(storages.filter((storage) => storage.pool === captureLog.pool));
    captureLog.rngState.dispose();
  }

  #replay(captured: Captured, inputs: I): R {
    const { graph, captureLog, result, after, sites } = captured;
    const device = this.#device;
    copyInputs(captured.inputs, inputs, device);
    const { state } = rngState();
    state[3] = nextSite(sites) - captureLog.firstSite;
    device.memory.write(captureLog.rngState.buffer, state);
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

/** Returns true if shapes, dtypes, modes and existing gradients are those of the capture. */
function isValid({ inputs: own, captureLog, epoch }: Captured, inputs: unknown[]): boolean {
  const describe = (x: unknown) => {
    const { shape, storage } = x as TensorLike;
    return `${storage.device} ${storage.dtype} ${shape}`;
  };
  if (epoch !== captureEpoch || own.length !== inputs.length) return false;
  if (!captureLog.isUpToDate) return false;
  if (inputs.some((x, i) => describe(x) !== describe(own[i]))) return false;
  for (const [owner, value] of captureLog.before) {
    if ("hasGrad" in owner && owner.hasGrad !== value) return false;
  }
  return true;
}

/** Returns a persistent tensor like x with memory of its own and undefined content. */
function allocateLike(x: TensorLike, device: CaptureDevice): TensorLike {
  const storage = device.empty(x.storage.dtype, x.storage.length); // first: it may throw
  const own = x.detach();
  own.storage.release();
  own.storage = storage;
  return keep(own);
}

function dispose(storages: Storage[]): void {
  for (const storage of storages) storage.dispose();
}

function copyInputs(own: unknown[], inputs: unknown[], device: CaptureDevice): void {
  for (const [i, x] of (inputs as TensorLike[]).entries()) {
    const source = x.storage;
    const target = (own[i] as TensorLike).storage;
    device.kernels.copy(source.buffer, target.buffer, source.length);
  }
}
