// A captured step: after its first run the calls of its kernels are recorded while it runs once
// more, and from then on replayed in one native call, without any of the work around them. What a
// step changes on this side of the kernels, versions and who has a gradient, is noted and done
// again too. The step has memory of its own: nothing else may take what a replay writes to.

import { nextSite, rngState } from "../random.ts";
import { type Disposable, keep, scope } from "../scope.ts";
import type { CapturedGraph } from "./addon.ts";
import type { Device } from "./device.ts";
import { Pool, type Storage } from "./memory.ts";

/** What a capture needs of a tensor. */
interface TensorLike extends Disposable {
  storage: Storage;
  readonly shape: readonly number[];
  readonly requiresGrad: boolean;
  detach(): TensorLike;
}

/**
 * Steps that need more of the host's memory run long: a replay would win nothing, and cost all of
 * it again.
 */
const MOST_BYTES = 256e6;

/** Something whose state a step changes: a leaf's `hasGrad`, a storage's `version`. */
type Changing = { hasGrad: boolean } | { version: number };

/** What is noted while a step is recorded. */
export class CaptureLog {
  readonly pool: Pool;
  /** Key, step and first site of random draws, at one address: set anew before each replay. */
  readonly rngState: Int32Array;
  /** False once a kernel has run that cannot be replayed. */
  isComplete = true;
  readonly before = new Map<Changing, boolean | number>();
  readonly firstSite = nextSite(0);

  constructor(device: Device, pool: Pool) {
    this.pool = pool;
    this.rngState = device.place(new Int32Array(4));
  }

  /** To be called before the state of something changes. */
  note(owner: Changing): void {
    if (!this.before.has(owner)) this.before.set(owner, stateOf(owner));
  }
}

/** All that a replay needs. */
interface Recorded {
  calls: CapturedGraph;
  captureLog: CaptureLog;
  inputs: unknown[];
  result: unknown;
  after: Map<Changing, boolean | number>;
  sites: number; // of random draws
  captureEpoch: number;
}

/** Runs `step`, and replays it when it can. */
export class Capture<I extends unknown[], R> {
  readonly #device: Device;
  readonly #step: (...inputs: I) => R;
  readonly #pool: Pool;
  #recorded: Recorded | null = null;
  #bytes: number | null = null; // that the step needs, once it is known

  constructor(device: Device, step: (...inputs: I) => R) {
    this.#device = device;
    this.#step = step;
    this.#pool = new Pool(device.memory);
  }

  run(inputs: I, captureEpoch: number): R {
    if (this.#bytes === null) return this.#measure(inputs);
    const isPlain = inputs.every((x) => isTensor(x) && !x.requiresGrad);
    const most = this.#device.memory.isHost ? MOST_BYTES : Number.MAX_VALUE;
    if (this.#bytes > most || !isPlain) return this.#step(...inputs);
    const recorded = this.#recorded;
    return recorded?.captureEpoch === captureEpoch && isSame(recorded, inputs)
      ? this.#replay(recorded, inputs)
      : this.#record(inputs, captureEpoch);
  }

  /** The first run: everything that is made once is made, and the memory is known. */
  #measure(inputs: I): R {
    const { pool } = this.#device;
    const { liveBytes, peakBytes } = pool;
    pool.peakBytes = liveBytes;
    const result = this.#step(...inputs);
    this.#bytes = pool.peakBytes - liveBytes;
    pool.peakBytes = Math.max(pool.peakBytes, peakBytes);
    return result;
  }

  #record(inputs: I, captureEpoch: number): R {
    const { inputs: old, result: past } = this.#recorded ?? {};
    for (const x of tensorsOf([old, past])) x.storage.dispose();
    this.#recorded = null;
    const device = this.#device;
    if (!device.memory.isHost) device.pool.trim(); // the step has memory of its own from here on
    const captureLog = new CaptureLog(device, this.#pool);
    const own = device.withCaptureLog(captureLog, () =>
      mapTensors(inputs, (x) => copyOf(x, device)),
    ) as I;
    copyInto(own, inputs, device);
    let result: unknown;
    device.addon?.beginCapture();
    let calls: CapturedGraph | undefined;
    try {
      result = device.withCaptureLog(captureLog, () => scope(() => this.#step(...own)));
    } finally {
      calls = device.addon?.endCapture();
    }
    result = mapTensors(result, (x) => keep(x.detach()));
    if (calls && captureLog.isComplete) {
      const after = new Map([...captureLog.before.keys()].map((owner) => [owner, stateOf(owner)]));
      const sites = nextSite(0) - captureLog.firstSite;
      this.#recorded = { calls, captureLog, inputs: own, result, after, sites, captureEpoch };
    } else {
      this.#bytes = Number.POSITIVE_INFINITY; // it never will be complete
    }
    return mapTensors(result, (x) => x.detach()) as R;
  }

  #replay({ calls, captureLog, inputs: own, result, after, sites }: Recorded, inputs: I): R {
    const device = this.#device;
    copyInto(own, inputs, device);
    const state = rngState().state;
    state[3] = nextSite(sites) - captureLog.firstSite;
    device.memory.write(captureLog.rngState, state);
    device.addon?.replay(calls);
    for (const [owner, state] of after)
      if ("version" in owner)
        owner.version += (state as number) - (captureLog.before.get(owner) as number);
      else owner.hasGrad = state as boolean;
    return mapTensors(result, (x) => x.detach()) as R;
  }
}

/** Do the inputs have the shapes, and leaves their gradients, as when the step was recorded? */
function isSame({ inputs: own, captureLog }: Recorded, inputs: unknown[]): boolean {
  const kindOf = (x: unknown) => {
    const { shape, storage } = x as TensorLike;
    return `${storage.device} ${storage.dtype} ${shape}`;
  };
  if (own.length !== inputs.length) return false;
  for (const [i, x] of inputs.entries()) if (kindOf(x) !== kindOf(own[i])) return false;
  for (const [owner, state] of captureLog.before)
    if ("hasGrad" in owner && owner.hasGrad !== state) return false;
  return true;
}

function stateOf(owner: Changing): boolean | number {
  return "version" in owner ? owner.version : owner.hasGrad;
}

function isTensor(x: unknown): x is TensorLike {
  return typeof x === "object" && x !== null && "storage" in x && "detach" in x;
}

/** A tensor like x, on memory of its own, that nothing ends. */
function copyOf(x: TensorLike, device: Device): TensorLike {
  const own = x.detach();
  const { storage } = own;
  own.storage = device.empty(storage.dtype, storage.length);
  storage.release();
  return keep(own);
}

function copyInto(own: unknown[], inputs: unknown[], device: Device): void {
  for (const [i, x] of (inputs as TensorLike[]).entries()) {
    const [from, to] = [x.storage, (own[i] as TensorLike).storage];
    device.kernels.copy(from.buffer, to.buffer, from.length);
  }
}

/** The same value with other tensors: through arrays and plain objects. */
function mapTensors(value: unknown, f: (x: TensorLike) => TensorLike): unknown {
  if (isTensor(value)) return f(value);
  if (Array.isArray(value)) return value.map((each) => mapTensors(each, f));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) => [key, mapTensors(each, f)]);
  return Object.fromEntries(entries);
}

function tensorsOf(value: unknown): TensorLike[] {
  const found: TensorLike[] = [];
  mapTensors(value, (x) => {
    found.push(x);
    return x;
  });
  return found;
}
