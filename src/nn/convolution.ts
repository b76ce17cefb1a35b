// Layers of networks for images and sequences.

import { checkCount, checkOptions } from "../errors.ts";
import {
  type ConvolutionOptions,
  conv1d,
  conv2d,
  maxPool2d,
  type Pair,
  readPair,
} from "../ops/convolution.ts";
import { formatFields } from "../printing.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { uniformParameter } from "./layers.ts";
import { Module } from "./module.ts";

/**
 * conv2d() with weight [out, in, kH, kW] and bias [out], uniform in +-1 / sqrt(in kH kW) at first.
 * @example
 * const layer = new nn.Conv2d(1, 8, 3, { padding: 1 });
 * console.log(layer.forward(randn([2, 1, 5, 5])).shape); // [ 2, 8, 5, 5 ]
 */
export class Conv2d extends Module {
  /** [out, in, kH, kW]. */
  readonly weight: Tensor;
  /** [out]; null if there is none. */
  readonly bias: Tensor | null;
  /** Stride, padding and dilation. */
  readonly options: ConvolutionOptions;

  constructor(
    inputs: number,
    outputs: number,
    kernelSize: Pair,
    options: ConvolutionOptions & { bias?: boolean } = {},
  ) {
    super();
    checkOptions("Conv2d", options, ["bias", "stride", "padding", "dilation"]);
    const { bias = true, ...others } = options;
    checkCount("Conv2d", "inputs", inputs);
    checkCount("Conv2d", "outputs", outputs);
    const [kH, kW] = readPair("Conv2d", "kernelSize", kernelSize, 1);
    const bound = 1 / Math.sqrt(inputs * kH * kW);
    this.weight = uniformParameter([outputs, inputs, kH, kW], bound);
    this.bias = bias ? uniformParameter([outputs], bound) : null;
    this.options = others;
  }

  override extraRepr(): string {
    return formatConvolution(this.weight.shape, this.bias !== null, this.options);
  }

  /** x [B, in, H, W] to [B, out, H', W']. */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.options);
  }
}

/**
 * conv1d() with weight [out, in, k] and bias [out], uniform in +-1 / sqrt(in k) at first.
 * @example
 * const layer = new nn.Conv1d(4, 8, 3, { padding: 1 });
 * console.log(layer.forward(randn([2, 4, 10])).shape); // [ 2, 8, 10 ]
 */
export class Conv1d extends Module {
  /** [out, in, k]. */
  readonly weight: Tensor;
  /** [out]; null if there is none. */
  readonly bias: Tensor | null;
  /** Stride, padding and dilation. */
  readonly options: ConvolutionOptions<number>;

  constructor(
    inputs: number,
    outputs: number,
    kernelSize: number,
    options: ConvolutionOptions<number> & { bias?: boolean } = {},
  ) {
    super();
    checkOptions("Conv1d", options, ["bias", "stride", "padding", "dilation"]);
    const { bias = true, ...others } = options;
    checkCount("Conv1d", "inputs", inputs);
    checkCount("Conv1d", "outputs", outputs);
    checkCount("Conv1d", "kernelSize", kernelSize);
    const bound = 1 / Math.sqrt(inputs * kernelSize);
    this.weight = uniformParameter([outputs, inputs, kernelSize], bound);
    this.bias = bias ? uniformParameter([outputs], bound) : null;
    this.options = others;
  }

  override extraRepr(): string {
    return formatConvolution(this.weight.shape, this.bias !== null, this.options);
  }

  /** x [B, in, T] to [B, out, T']. */
  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, this.bias, this.options);
  }
}

/** Formats the sizes and options of a convolution. */
function formatConvolution(shape: Shape, bias: boolean, options: object): string {
  const [outputs, inputs, ...kernelSize] = shape;
  return `${inputs} -> ${outputs}, ${formatFields({ kernelSize, ...options, bias })}`;
}

/**
 * maxPool2d(x, kernelSize)
 * @example
 * console.log(new nn.MaxPool2d(2).forward(randn([1, 3, 8, 8])).shape); // [ 1, 3, 4, 4 ]
 */
export class MaxPool2d extends Module {
  /** The size of a window. */
  readonly kernelSize: Pair;
  /** Stride and padding. */
  readonly options: { stride?: Pair; padding?: Pair };

  constructor(kernelSize: Pair, options: { stride?: Pair; padding?: Pair } = {}) {
    super();
    checkOptions("MaxPool2d", options, ["stride", "padding"]);
    this.kernelSize = readPair("MaxPool2d", "kernelSize", kernelSize, 1);
    this.options = options;
  }

  /** x [B, C, H, W] to [B, C, H', W']. */
  forward(x: Tensor): Tensor {
    return maxPool2d(x, this.kernelSize, this.options);
  }
}
