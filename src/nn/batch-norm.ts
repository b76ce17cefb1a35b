// Normalization over the batch.

import { checkCount, checkNumber, checkOptions, fail } from "../errors.ts";
import { compose } from "../ops/compose.ts";
import { ones, zeros } from "../ops/creation.ts";
import { add, div, mul, sqrt, sub } from "../ops/elementwise.ts";
import { reshape, to } from "../ops/movement.ts";
import { mean, variance } from "../ops/reductions.ts";
import { formatShape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { buffer, Module, parameter } from "./module.ts";

/** Options of BatchNorm1d: PyTorch's. */
export interface BatchNormOptions {
  /** Added to the variance; default 1e-5. */
  eps?: number;
  /** The weight of a batch in the running mean and variance; default 0.1. */
  momentum?: number;
  /** With weight (1) and bias (0); default true. */
  affine?: boolean;
  /** With a running mean (0) and variance (1), which eval mode uses; default true. Without them,
   *  eval mode uses those of the batch. */
  trackRunningStats?: boolean;
}

/**
 * y = (x - mean) / sqrt(var + eps) * weight + bias, with the mean and the biased variance of each
 * channel over the batch, or in eval mode their running averages (of the unbiased variance). The
 * buffers have PyTorch's names, without num_batches_tracked: delete it from a state dict of PyTorch
 * before loading that. Ioffe and Szegedy (2015).
 * @example
 * const layer = new nn.BatchNorm1d(4);
 * console.log(layer.forward(randn([8, 4])).shape); // [ 8, 4 ]
 */
export class BatchNorm1d extends Module {
  /** [C], 1 at first; null if `affine` is false. */
  readonly weight: Tensor | null;
  /** [C], 0 at first; null if `affine` is false. */
  readonly bias: Tensor | null;
  /** The running mean [C], a buffer; null if it is not tracked. */
  readonly running_mean: Tensor | null;
  /** The running variance [C], a buffer; null if it is not tracked. */
  readonly running_var: Tensor | null;
  /** The number of channels, C. */
  readonly channels: number;
  /** The number that is added to the variance. */
  readonly eps: number;
  /** The weight of a batch in the running mean and variance. */
  readonly momentum: number;

  constructor(channels: number, options: BatchNormOptions = {}) {
    super();
    checkOptions("BatchNorm1d", options, ["eps", "momentum", "affine", "trackRunningStats"]);
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true } = options;
    checkCount("BatchNorm1d", "channels", channels);
    checkNumber("BatchNorm1d", "eps", eps, 0);
    if (typeof momentum !== "number" || !(momentum >= 0 && momentum <= 1))
      fail(`BatchNorm1d: momentum is ${momentum}, expected a number in [0, 1]`);
    this.channels = channels;
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? parameter(ones([channels])) : null;
    this.bias = affine ? parameter(zeros([channels])) : null;
    this.running_mean = trackRunningStats ? buffer(zeros([channels])) : null;
    this.running_var = trackRunningStats ? buffer(ones([channels])) : null;
  }

  /** x [B, C] or [B, C, T], of the same shape as the result. */
  forward(x: Tensor): Tensor {
    const { weight, bias, running_mean, running_var, channels, eps, training } = this;
    checkTensor("BatchNorm1d", "x", x);
    if (x.dtype === "bf16") return to(this.forward(to(x, "f32")), "bf16");
    const { shape } = x;
    if (![2, 3].includes(shape.length) || shape[1] !== channels)
      fail(
        `BatchNorm1d: x has shape ${formatShape(shape)}, expected [B, ${channels}] or ` +
          `[B, ${channels}, T]`,
      );
    const align = (values: Tensor) =>
      shape.length === 2 ? values : reshape(values, [channels, 1]);
    const isRunning = !training && running_mean && running_var;
    const [center, spread] = isRunning ? [running_mean, running_var] : this.measure(x);
    let y = div(sub(x, align(center)), sqrt(add(align(spread), eps)));
    if (weight) y = mul(y, align(weight));
    return bias ? add(y, align(bias)) : y;
  }

  /** Returns the mean and variance [C] of a batch, and updates the running ones in train mode. */
  private measure(x: Tensor): [mean: Tensor, variance: Tensor] {
    const { running_mean, running_var, channels, momentum, training } = this;
    const count = x.size / channels;
    if (count < 2) fail(`BatchNorm1d: x has ${count} values per channel, expected at least 2`);
    const dim = x.shape.length === 2 ? [0] : [0, 2];
    const center = mean(x, { dim });
    const spread = variance(x, { dim });
    if (training && running_mean && running_var) {
      compose(() => {
        const update = (running: Tensor, value: Tensor) =>
          running.assign(add(mul(running, 1 - momentum), mul(value, momentum)));
        update(running_mean, center);
        update(running_var, mul(spread, count / (count - 1)));
      });
    }
    return [center, spread];
  }
}
