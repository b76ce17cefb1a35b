// One step of training, from sampling a batch to the optimizer's update.

import { sampleBatch, toCounterTensor } from "../data/batches.ts";
import { tensor, zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { clipGradients, type EMA } from "../optim/index.ts";
import { beginStep, Generator, useGenerator } from "../random.ts";
import type { Run } from "../runs/run.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { TrainConfig } from "./config.ts";
import { describeDivergence } from "./divergence.ts";
import { getMatmulPrecision } from "./precision.ts";
import { ScalarBuffer } from "./scalar-buffer.ts";

/** The fields of a run that a step uses. */
export type Trained = Pick<Run, "device" | "model" | "optimizer" | "tokens"> & {
  /** The average of the weights that follows them. */
  ema?: EMA | null;
  config: Pick<
    TrainConfig,
    "batchSize" | "blockSize" | "gradAccum" | "gradClip" | "seed" | "dtype" | "matmulPrecision"
  >;
};

/**
 * Trains on gradAccum batches: forward, backward, clip, update. `tokens` is the training text on
 * the device; each of `counters` is an RNG counter [4] from which a batch is sampled. Once a loss
 * or a gradient norm is NaN or infinite, `foundInf` stays 1 and the optimizer changes nothing.
 */
export function trainStep(run: Trained, tokens: Tensor, counters: Tensor[], foundInf: Tensor) {
  const { model, optimizer, ema, device } = run;
  const { batchSize: B, blockSize: T, gradAccum, gradClip } = run.config;
  const losses: Tensor[] = [];
  for (const counter of counters) {
    const [x, y] = sampleBatch(tokens, counter, "batch", [B, T]); // (B, T), (B, T)
    const loss = model.forward(x, y, { logits: false }).loss as Tensor; // forward
    const scaled = gradAccum > 1 ? mul(loss, 1 / gradAccum) : loss;
    scaled.backward(); // backward: adds to the gradients of the parameters
    losses.push(scaled.detach());
  }
  const loss = losses.reduce((sum, scaled) => add(sum, scaled));
  const gradNorm = clipGradients(model.parameters(), gradClip || Infinity);
  for (const x of gradNorm ? [loss, gradNorm] : [loss])
    device.kernels.checkFinite(x.floats, foundInf.floats);
  foundInf.storage.bumpVersion();
  optimizer.step();
  ema?.update();
  optimizer.zeroGrad();
  return { loss, gradNorm };
}

/** The results of a step on the host; gradNorm is the norm of all gradients before clipping. */
export interface StepResult {
  step: number;
  loss: number;
  gradNorm: number;
}

/** The most steps whose losses stay on the device before they are read. */
const BUFFER_SIZE = 256;

/**
 * Runs trainStep(), captured, so that a GPU replays it as one graph, and collects the losses on the
 * device until flush() reads them.
 */
export class TrainStep {
  readonly #run: Trained;
  readonly #generator: Generator;
  readonly #tokens: Tensor;
  readonly #step: (...counters: Tensor[]) => { loss: Tensor; gradNorm: Tensor | null };
  readonly #losses: ScalarBuffer;
  readonly #gradNorms: ScalarBuffer;
  #pending: number[] = []; // the steps whose losses have not been read

  constructor(run: Trained) {
    const { device, optimizer } = run;
    const tokens = keep(tensor(run.tokens.train, { device }));
    const foundInf = keep(zeros([], { device }));
    optimizer.foundInf = foundInf;
    this.#run = run;
    this.#generator = new Generator(run.config.seed);
    this.#tokens = tokens;
    this.#losses = new ScalarBuffer(BUFFER_SIZE, device);
    this.#gradNorms = new ScalarBuffer(BUFFER_SIZE, device);
    this.#step = device.capture((...counters: Tensor[]) =>
      scope(() => trainStep(run, tokens, counters, foundInf)),
    );
  }

  /** Takes a step without synchronizing with the device. */
  run(step: number): void {
    scope(() => {
      const { loss, gradNorm } = this.#atStep(step, this.#step);
      this.#losses.push(loss);
      if (gradNorm) this.#gradNorms.push(gradNorm);
    });
    this.#pending.push(step);
  }

  /** True if flush() must be called before the next step, or costs nothing, as on a host device. */
  get shouldFlush(): boolean {
    return this.#run.device.memory.isHost || this.#losses.isFull;
  }

  /**
   * Waits for the device and returns the results of all steps since the last call. Throws a
   * DivergedError if a loss or a gradient norm is NaN or infinite.
   */
  flush(): StepResult[] {
    const losses = this.#losses.read();
    const gradNorms = this.#gradNorms.read();
    const steps = this.#pending;
    this.#pending = [];
    const results = steps.map((step, i) => ({ step, loss: losses[i], gradNorm: gradNorms[i] }));
    for (const result of results) {
      const { step, loss, gradNorm = 0 } = result; // no norm if all weights are frozen
      if (Number.isFinite(loss) && Number.isFinite(gradNorm)) continue;
      throw this.#atStep(step, (...counters) =>
        describeDivergence(this.#run, this.#tokens, counters, result),
      );
    }
    return results;
  }

  /**
   * Calls a function with the RNG counters of a step's batches. Its random numbers and its
   * precision are those of this run, whatever else the process computes.
   */
  #atStep<T>(step: number, fn: (...counters: Tensor[]) => T): T {
    const { config, device } = this.#run;
    const { gradAccum, seed } = config;
    return useGenerator(this.#generator, () => {
      beginStep(step);
      const counters = Array.from({ length: gradAccum }, (_, site) =>
        toCounterTensor({ site, step, seed }, device),
      );
      return device.withMatmulPrecision(getMatmulPrecision(config), () => fn(...counters));
    });
  }
}
