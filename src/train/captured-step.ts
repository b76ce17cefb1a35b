// The captured step of training, and the losses that stay on the device until they are read.

import { type BatchSampler, makeTrainSampler, splitInputs } from "../data/sampler.ts";
import { type Share, wholeStep } from "../distributed/share.ts";
import { zeros } from "../ops/creation.ts";
import { beginStep, Generator, useGenerator } from "../random.ts";
import { keep, scope } from "../scope.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { describeDivergence } from "./divergence.ts";
import { getMatmulPrecision } from "./precision.ts";
import { ScalarBuffer } from "./scalar-buffer.ts";
import { type Trained, trainStep } from "./step.ts";

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
  readonly #share: Share;
  readonly #generator: Generator;
  readonly #sampler: BatchSampler;
  readonly #step: (...inputs: Tensor[]) => { loss: Tensor; gradNorm: Tensor | null };
  readonly #losses: ScalarBuffer;
  readonly #gradNorms: ScalarBuffer;
  #pending: number[] = []; // the steps whose losses have not been read

  /** `share` is the part of each step that this process computes, by default all of it. */
  constructor(run: Trained, share: Share = wholeStep(run.config)) {
    const { device, optimizer } = run;
    const sampler = makeTrainSampler(run.tokens.train, device, run.config, share);
    const foundInf = keep(zeros([], { device }));
    optimizer.foundInf = foundInf;
    this.#run = run;
    this.#share = share;
    this.#generator = new Generator(run.config.seed);
    this.#sampler = sampler;
    this.#losses = new ScalarBuffer(BUFFER_SIZE, device);
    this.#gradNorms = new ScalarBuffer(BUFFER_SIZE, device);
    this.#step = device.capture((...inputs: Tensor[]) =>
      scope(() =>
        trainStep(run, sampler, splitInputs(inputs, share.batches.count), foundInf, share),
      ),
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
      throw this.#atStep(step, (...inputs) => {
        const batches = splitInputs(inputs, this.#share.batches.count);
        return describeDivergence(this.#run.model, this.#sampler, batches, result, this.#share);
      });
    }
    return results;
  }

  /**
   * Calls a function with the sampler's inputs for all batches of a step. Its random numbers and
   * its precision are those of this run, whatever else the process computes.
   */
  #atStep<T>(step: number, fn: (...inputs: Tensor[]) => T): T {
    const { config, device } = this.#run;
    const { seed } = config;
    const { first, count } = this.#share.batches;
    return useGenerator(this.#generator, () => {
      beginStep(step);
      const batches = Array.from({ length: count }, (_, i) =>
        this.#sampler.prepare({ site: first + i, step, seed }),
      );
      return device.withMatmulPrecision(getMatmulPrecision(config), () => fn(...batches.flat()));
    });
  }
}
