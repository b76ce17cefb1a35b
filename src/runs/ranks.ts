// Opens a run on all ranks that train it together. Only rank 0 reads and writes the run's folder
// and the text; the others get configuration, tokenizer, tokens and weights from it, so that the
// hosts need no shared file system. Token shards are too large to send: each rank opens its copy.

import { hostname } from "node:os";
import type { Device, DeviceName } from "../backend/device.ts";
import { device as getDevice } from "../backend/devices.ts";
import type { OnPrepareProgress } from "../data/prepare/job.ts";
import { openCopy } from "../data/shards/open.ts";
import type { SplitTokens } from "../data/tokens.ts";
import { checkSameOnAllRanks } from "../distributed/agreement.ts";
import type { Communicator } from "../distributed/communicator.ts";
import { onEveryRank } from "../distributed/every-rank.ts";
import { type StepSize, shareOf } from "../distributed/share.ts";
import { isShared, markShared, withSharedErrors } from "../distributed/shared-errors.ts";
import { UsageError } from "../errors.ts";
import { readVersion } from "../installation.ts";
import { tensor } from "../ops/creation.ts";
import { scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { tokenizerFromJSON } from "../tokenizers/registry.ts";
import { StepPlan } from "../train/step-plan.ts";
import { buildEMA, buildModel, buildOptimizer } from "./build.ts";
import type { OpenCallbacks } from "./open-callbacks.ts";
import type { Run } from "./run.ts";

/** The serializable part of a run. */
type RunDescription = Pick<Run, "out" | "config" | "corpus" | "state"> & {
  tokenizer: unknown;
  plan: string | null;
  shards: { place: string; sha256: string } | null;
  /** The numbers of tokens of a text. */
  lengths: { train: number; val: number };
  matmulTable: string | null;
};

/** The messages of rank 0 while it opens a run. */
type Message =
  | ({ kind: "check"; device: DeviceName } & StepSize)
  | { kind: "preparing" }
  | { kind: "failed" }
  | { kind: "run"; run: RunDescription };

/** The milliseconds between two messages that a text is still being encoded. */
const PREPARING_INTERVAL = 1000;

/**
 * Prepares on rank 0, while the others wait in receiveRun(). If that fails, ends the others in
 * order.
 */
export async function prepareOnFirstRank<T>(
  communicator: Communicator,
  prepare: () => Promise<T>,
): Promise<T> {
  try {
    return await prepare();
  } catch (error) {
    if (!isShared(error)) reportFailure(communicator);
    throw markShared(error as Error);
  }
}

/** Lets the other ranks, which wait in receiveRun(), know that there will be no run. */
export function reportFailure(communicator: Communicator): void {
  if (communicator.size > 1) communicator.broadcast(encode({ kind: "failed" }));
}

/** Opens a run on rank 0. Whatever prevents it ends the other ranks, too. */
export function openOnFirstRank(
  communicator: Communicator,
  open: (callbacks: OpenCallbacks) => Promise<Run>,
  onProgress?: OnPrepareProgress,
): Promise<Run> {
  const send = (message: Message) => communicator.broadcast(encode(message));
  let lastMessage = performance.now();
  const callbacks: OpenCallbacks = {
    check(config, device) {
      const { gradAccum, batchSize } = config;
      send({ kind: "check", device: device.name, gradAccum, batchSize });
      checkRanks(communicator, device.name, config);
    },
    preparing(progress) {
      onProgress?.(progress);
      if (performance.now() - lastMessage < PREPARING_INTERVAL) return;
      lastMessage = performance.now();
      send({ kind: "preparing" }); // the others do not take rank 0 for dead
    },
  };
  return prepareOnFirstRank(communicator, () => open(callbacks));
}

/** Sends a run from rank 0, which has opened it, to the others, which call receiveRun(). */
export function sendRun(communicator: Communicator, run: Run): void {
  const { out, config, corpus, state, plan, shards, tokens, tokenizer, device } = run;
  const description: RunDescription = {
    out,
    config,
    corpus,
    state,
    tokenizer: tokenizer.toJSON(),
    plan: plan && String(plan),
    shards: shards && { place: shards.place, sha256: shards.shardsSha256 },
    lengths: { train: tokens.train.length, val: tokens.val.length },
    matmulTable: device.tuning?.table ?? null,
  };
  communicator.broadcast(encode({ kind: "run", run: description }));
  if (!shards) broadcastTokens(communicator, tokens);
  onEveryRank(communicator, () => {}); // while the others build the run
  broadcastState(communicator, run);
}

/**
 * Receives the run that rank 0 opens. `data` is this rank's own place of token shards. Throws if
 * rank 0 has failed, or if this rank cannot build the run.
 */
export function receiveRun(communicator: Communicator, data?: string): Run {
  for (;;) {
    const message = decode(communicator.broadcast(null));
    if (message.kind === "check") checkRanks(communicator, message.device, message);
    if (message.kind === "failed") throw markShared(new Error("rank 0 could not open the run"));
    if (message.kind !== "run") continue;
    const { shards, lengths } = message.run;
    const train = new Int32Array(shards ? 0 : lengths.train);
    const val = new Int32Array(shards ? 0 : lengths.val);
    if (!shards) broadcastTokens(communicator, { train, val });
    const build = () => buildRun(message.run, { train, val }, data);
    const run = onEveryRank(communicator, build);
    broadcastState(communicator, run);
    return run;
  }
}

/** Throws a UsageError on every rank unless all can train on the device, and share the step. */
function checkRanks(communicator: Communicator, name: DeviceName, step: StepSize): void {
  withSharedErrors(() => {
    shareOf(step, communicator);
    const device = onEveryRank(communicator, () => openDevice(name));
    communicator.useDevice(device);
    const { addon } = device;
    const simd = addon && "simd" in addon ? addon.simd : "none";
    checkSameOnAllRanks(communicator, hostname(), { version: readVersion(), simd });
  });
}

function openDevice(name: DeviceName): Device {
  try {
    return getDevice(name);
  } catch (error) {
    throw new UsageError((error as Error).message, { cause: error });
  }
}

/** Builds the run that rank 0 describes, but for its weights. */
function buildRun(description: RunDescription, text: SplitTokens, data: string | undefined): Run {
  const { out, config, corpus, state, matmulTable } = description;
  if (config.maxIters === null) config.maxIters = Infinity; // which JSON does not have
  const device = getDevice(config.device);
  if (matmulTable !== null) device.tuning?.use(matmulTable);
  const tokenizer = tokenizerFromJSON(description.tokenizer);
  const shards = description.shards && openCopy(description.shards, data);
  const tokens = shards ? shards.open(tokenizer.vocabSize) : text;
  const model = buildModel(config, tokenizer.vocabSize, device, null, { initWeights: false });
  const optimizer = buildOptimizer(config, model);
  const ema = buildEMA(config, model);
  const plan = description.plan === null ? null : new StepPlan(description.plan);
  const folder = { path: out, check() {}, release() {}, discard() {} };
  const inputs = { corpus, text: "", shards, tokens, tokenizer };
  const built = { device, model, optimizer, ema, plan, state };
  return { out, folder, config, ...inputs, ...built, processes: 1 };
}

function broadcastTokens(communicator: Communicator, { train, val }: SplitTokens): void {
  communicator.broadcastInto(train as Int32Array);
  communicator.broadcastInto(val as Int32Array);
}

/**
 * Replaces weights, optimizer state and averages by those of rank 0, one tensor at a time: a copy
 * of all of them might not fit into the memory of the device.
 */
function broadcastState(communicator: Communicator, { model, optimizer, ema }: Run): void {
  scope(() => {
    for (const part of [model, optimizer, ...(ema ? [ema] : [])])
      for (const x of Object.values(part.stateDict())) broadcastTensor(communicator, x);
  });
}

function broadcastTensor(communicator: Communicator, x: Tensor): void {
  scope(() => {
    const values = x.data();
    communicator.broadcastInto(values);
    if (communicator.rank > 0) x.assign(tensor(values, { shape: x.shape, device: x.device }));
  });
}

function encode(message: Message): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(message));
}

function decode(bytes: Uint8Array): Message {
  return JSON.parse(new TextDecoder().decode(bytes)) as Message;
}
