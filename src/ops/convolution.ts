// Convolution and pooling, as matrix products and maxima of windows. The windows of an image are
// gathered by the kernel of embedding: the positions of the image are rows of a table whose columns
// are the batch, so that one list of indices serves all images.

import { checkOptions, describe, fail } from "../errors.ts";
import { formatShape, numel, type Shape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { add } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { cat, embedding, permute, reshape, transpose } from "./movement.ts";
import { uploadIntegers } from "./operands.ts";
import { max } from "./reductions.ts";

/** A size for both axes of an image, or [height, width]. */
export type Pair = number | readonly [number, number];

/** Options of conv1d() and conv2d(). */
export interface ConvolutionOptions<P = Pair> {
  /** The distance between windows, by default 1. */
  stride?: P;
  /** The number of zeros added at each border, by default 0. */
  padding?: P;
  /** The distance between the elements of a window, by default 1. */
  dilation?: P;
}

/**
 * y[b, o, i, j] = bias[o] + the sum over c, p, q of w[o, c, p, q] x[b, c, i stride + p - padding, j
 * stride + q - padding]. x [B, C, H, W], w [O, C, kH, kW], bias [O] or null, y [B, O, H', W'] with
 * H' = (H + 2 padding - dilation (kH - 1) - 1) / stride + 1, rounded down.
 * @example
 * console.log(conv2d(ones([1, 1, 4, 4]), ones([2, 1, 3, 3])).shape); // [ 1, 2, 2, 2 ]
 */
export function conv2d(
  x: Tensor,
  w: Tensor,
  bias: Tensor | null = null,
  options: ConvolutionOptions = {},
): Tensor {
  return convolve("conv2d", x, w, bias, options);
}

/**
 * conv2d() of sequences. x [B, C, T], w [O, C, k], bias [O] or null, y [B, O, T'].
 * @example
 * console.log(conv1d(tensor([[[1, 2, 3]]]), ones([1, 1, 2])).toArray()); // [ [ [ 3, 5 ] ] ]
 */
export function conv1d(
  x: Tensor,
  w: Tensor,
  bias: Tensor | null = null,
  options: ConvolutionOptions<number> = {},
): Tensor {
  checkTensor("conv1d", "x", x);
  checkTensor("conv1d", "w", w);
  if (x.shape.length !== 3) fail(`conv1d: x has shape ${formatShape(x.shape)}, expected [B, C, T]`);
  if (w.shape.length !== 3) fail(`conv1d: w has shape ${formatShape(w.shape)}, expected [O, C, k]`);
  checkOptions("conv1d", options, ["stride", "padding", "dilation"]);
  const { stride = 1, padding = 0, dilation = 1 } = options;
  const [B, C, T] = x.shape;
  const [O, inputs, k] = w.shape;
  const y = convolve("conv1d", reshape(x, [B, C, 1, T]), reshape(w, [O, inputs, 1, k]), bias, {
    stride: [1, stride],
    padding: [0, padding],
    dilation: [1, dilation],
  });
  return reshape(y, [B, O, y.shape[3]]);
}

function convolve(
  op: string,
  x: Tensor,
  w: Tensor,
  bias: Tensor | null,
  options: ConvolutionOptions,
): Tensor {
  checkTensor(op, "x", x);
  checkSameKind(op, "w", w, x);
  if (x.shape.length !== 4)
    fail(`${op}: x has shape ${formatShape(x.shape)}, expected [B, C, H, W]`);
  const [B, C] = x.shape;
  if (w.shape.length !== 4 || w.shape[1] !== C)
    fail(`${op}: w has shape ${formatShape(w.shape)}, expected [O, ${C}, kH, kW]`);
  const [O, , kH, kW] = w.shape;
  if (bias !== null) checkSameKind(op, "bias", bias, x, [O]);
  const grid = makeGrid(op, x.shape.slice(2), [kH, kW], options);
  const { windows, height, width } = gatherWindows(x, grid, 0); // [windows, elements, C, B]
  const K = kH * kW * C;
  const columns = reshape(permute(windows, [3, 0, 1, 2]), [B * height * width, K]);
  const weight = reshape(permute(w, [2, 3, 1, 0]), [K, O]);
  const y = matmul(columns, weight);
  const sums = bias ? add(y, bias) : y;
  return reshape(transpose(reshape(sums, [B, height * width, O]), 1, 2), [B, O, height, width]);
}

/**
 * y[b, c, i, j] = the maximum of a window of x. x [B, C, H, W], y [B, C, H', W']; the stride is by
 * default the size of the window. maxPool2d(x, 2) or maxPool2d(x, [2, 2], { stride, padding })
 * @example
 * console.log(maxPool2d(tensor([[[[1, 2], [3, 4]]]]), 2).item()); // 4
 */
export function maxPool2d(
  x: Tensor,
  kernelSize: Pair,
  options: { stride?: Pair; padding?: Pair } = {},
): Tensor {
  checkTensor("maxPool2d", "x", x);
  checkOptions("maxPool2d", options, ["stride", "padding"]);
  if (x.shape.length !== 4)
    fail(`maxPool2d: x has shape ${formatShape(x.shape)}, expected [B, C, H, W]`);
  const [B, C] = x.shape;
  const size = readPair("maxPool2d", "kernelSize", kernelSize, 1);
  const grid = makeGrid("maxPool2d", x.shape.slice(2), size, { stride: size, ...options });
  const [padH, padW] = grid.padding;
  if (padH > size[0] / 2 || padW > size[1] / 2)
    fail(`maxPool2d: padding is ${formatShape(grid.padding)}, expected at most half of the window`);
  const { windows, height, width } = gatherWindows(x, grid, -Infinity);
  const y = permute(max(windows, 1), [2, 1, 0]); // [B, C, windows]
  return reshape(y, [B, C, height, width]);
}

/** The windows of an image: all pairs are [vertical, horizontal]. */
interface Grid {
  image: Shape;
  size: Shape;
  stride: Shape;
  padding: Shape;
  dilation: Shape;
  /** The number of windows. */
  counts: Shape;
}

function makeGrid(op: string, image: Shape, size: Shape, options: ConvolutionOptions): Grid {
  checkOptions(op, options, ["stride", "padding", "dilation"]);
  const stride = readPair(op, "stride", options.stride ?? 1, 1);
  const padding = readPair(op, "padding", options.padding ?? 0, 0);
  const dilation = readPair(op, "dilation", options.dilation ?? 1, 1);
  const counts = size.map((k, i) => {
    const room = image[i] + 2 * padding[i] - dilation[i] * (k - 1) - 1;
    if (k < 1 || room < 0)
      fail(`${op}: the window has size ${formatShape(size)}, expected one within the image`);
    return Math.floor(room / stride[i]) + 1;
  });
  return { image, size, stride, padding, dilation, counts };
}

/** Returns the elements of all windows, with `outside` for those outside of the image. */
function gatherWindows(x: Tensor, { image, size, counts, ...grid }: Grid, outside: number) {
  const [H, W] = image;
  const [height, width] = counts;
  const [B, C] = x.shape;
  const { stride, padding, dilation } = grid;
  const perWindow = numel(size);
  const places = Int32Array.from({ length: height * width * perWindow }, (_, i) => {
    const at = Math.floor(i / perWindow);
    const element = i % perWindow;
    const row = Math.floor(at / width) * stride[0] - padding[0];
    const column = (at % width) * stride[1] - padding[1];
    const h = row + Math.floor(element / size[1]) * dilation[0];
    const w = column + (element % size[1]) * dilation[1];
    return h >= 0 && h < H && w >= 0 && w < W ? h * W + w : H * W;
  });
  const table = permute(reshape(x, [B, C, H * W]), [2, 1, 0]); // [position, C, B]
  const rows = cat([reshape(table, [H * W, C * B]), empty(x, [1, C * B]).fill(outside)]);
  const gathered = embedding(uploadIntegers(x, places, [places.length]), rows);
  return { windows: reshape(gathered, [height * width, perWindow, C, B]), height, width };
}

/** Returns one number twice, or two numbers. Throws unless they are whole numbers from min up. */
export function readPair(op: string, name: string, value: Pair, min: number): [number, number] {
  const pair = typeof value === "number" ? [value, value] : value;
  const isValid = (n: number) => Number.isInteger(n) && n >= min;
  if (!Array.isArray(pair) || pair.length !== 2 || !pair.every(isValid))
    fail(`${op}: ${name} is ${describe(value)}, expected one or two whole numbers from ${min} up`);
  return pair as [number, number];
}
