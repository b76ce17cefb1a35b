// One step of training, from sampling a batch to the optimizer's update.

import {
  type BatchOptions,
  type BatchSampler,
  makeTrainSampler,
  splitInputs,
} from "../data/sampler.ts";
import { zeros } from "../ops/creation.ts";
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
  config: BatchOptions & Pick<TrainConfig, "gradClip" | "seed" | "dtype" | "matmulPrecision">;
};

/**
 * Trains on gradAccum batches: forward, backward, clip, update. Each of `batches` has the inputs
 * from which the sampler makes a batch. Once a loss or a gradient norm is NaN or infinite,
 * `foundInf` stays 1 and the optimizer changes nothing.
 */
export function trainStep(
  run: Trained,
  sampler: BatchSampler,
  batches: Tensor[][],
  foundInf: Tensor,
) {
  const { model, optimizer, ema, device } = run;
  const { gradAccum, gradClip } = run.config;
  const losses: Tensor[] = [];
  for (const inputs of batches) {
    const [x, y] = sampler.sample(...inputs); // (B, T), (B, T)
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
  readonly #sampler: BatchSampler;
  readonly #step: (...inputs: Tensor[]) => { loss: Tensor; gradNorm: Tensor | null };
  readonly #losses: ScalarBuffer;
  readonly #gradNorms: ScalarBuffer;
  #pending: number[] = []; // the steps whose losses have not been read

  constructor(run: Trained) {
    const { device, optimizer } = run;
    const { gradAccum } = run.config;
    const sampler = makeTrainSampler(run.tokens.train, device, run.config);
    const foundInf = keep(zeros([], { device }));
    optimizer.foundInf = foundInf;
    this.#run = run;
    this.#generator = new Generator(run.config.seed);
    this.#sampler = sampler;
    this.#losses = new ScalarBuffer(BUFFER_SIZE, device);
    this.#gradNorms = new ScalarBuffer(BUFFER_SIZE, device);
    this.#step = device.capture((...inputs: Tensor[]) =>
      scope(() => trainStep(run, sampler, splitInputs(inputs, gradAccum), foundInf)),
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
    const { gradAccum } = this.#run.config;
    const losses = this.#losses.read();
    const gradNorms = this.#gradNorms.read();
    const steps = this.#pending;
    this.#pending = [];
    const results = steps.map((step, i) => ({ step, loss: losses[i], gradNorm: gradNorms[i] }));
    for (const result of results) {
      const { step, loss, gradNorm = 0 } = result; // no norm if all weights are frozen
      if (Number.isFinite(loss) && Number.isFinite(gradNorm)) continue;
      throw this.#atStep(step, (...inputs) =>
        describeDivergence(this.#run.model, this.#sampler, splitInputs(inputs, gradAccum), result),
      );
    }
    return results;
  }

  /**
   * Calls a function with the sampler's inputs for all batches of a step. Its random numbers and
   * its precision are those of this run, whatever else the process computes.
   */
  #atStep<T>(step: number, fn: (...inputs: Tensor[]) => T): T {
    const { config, device } = this.#run;
    const { gradAccum, seed } = config;
    return useGenerator(this.#generator, () => {
      beginStep(step);
      const batches = Array.from({ length: gradAccum }, (_, site) =>
        this.#sampler.prepare({ site, step, seed }),
      );
      return device.withMatmulPrecision(getMatmulPrecision(config), () => fn(...batches.flat()));
    });
  }
}
