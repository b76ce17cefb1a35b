// Quantized matrices, and the ops that read them in their packed form. Quantization is symmetric:
// W = scale Q with integers Q from -127 to 127 and a scale for each row (8 bits), or from -8 to 7
// and a scale for each 32 columns (4 bits).

import type { Buffer, DType } from "../backend/device.ts";
import { checkOptions, describe, fail } from "../errors.ts";
import { formatShape, numel, type Shape } from "../shape.ts";
import { checkFloats, checkSameKind, checkTensor, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { arange, tensor } from "./creation.ts";
import { type Activation, activate, getFusedCode, linear } from "./linear.ts";

export type Bits = 8 | 4;

/** A quantized matrix W [rows, columns]. */
export interface QuantizedMatrix {
  /** Q, packed as the kernel interface describes: i32 [rows, columns bits / 32, rounded up]. */
  readonly weight: Tensor;
  /** The scales: f32 [rows, groups]. */
  readonly scale: Tensor;
  /** The number of columns. */
  readonly columns: number;
  /** The bits of an element: 8 or 4. */
  readonly bits: Bits;
}

const GROUP = 32; // the columns that share a scale in 4 bits

/** Returns the shapes of the packed integers and the scales of a matrix. */
export function quantizedShapes([rows, columns]: Shape, bits: Bits) {
  if (bits !== 8 && bits !== 4) fail(`quantize: bits is ${describe(bits)}, expected 8 or 4`);
  const groups = bits === 8 ? 1 : Math.ceil(columns / GROUP);
  return { weight: [rows, Math.ceil((columns * bits) / 32)], scale: [rows, groups] };
}

/**
 * Quantizes w [rows, columns] to 8 or 4 bits: each number becomes the nearest multiple of its
 * scale, so the error is at most half the scale. In 8 bits scale = max |w| / 127 over the row. In 4
 * bits it is the smallest for which that holds with integers from -8 to 7: max(-min w / 8.5, max w
 * / 7.5) over the group, or the negative of what this is for -w.
 * @example
 * const q = quantizeMatrix(randn([64, 64]), { bits: 8 });
 * console.log(q.bits); // 8
 */
export function quantizeMatrix(w: Tensor, options: { bits: Bits }): QuantizedMatrix {
  checkOptions("quantizeMatrix", options, ["bits"]);
  checkFloats("quantizeMatrix", "w", w);
  if (w.shape.length !== 2)
    fail(`quantizeMatrix: w has shape ${formatShape(w.shape)}, expected [rows, columns]`);
  const { bits } = options;
  const shapes = quantizedShapes(w.shape, bits);
  const [rows, columns] = w.shape;
  const wordsPerRow = shapes.weight[1];
  const groups = shapes.scale[1];
  const values = w.data();
  if (!values.every(Number.isFinite)) fail("quantizeMatrix: w has numbers that are not finite");
  const packed = new Int32Array(rows * wordsPerRow);
  const scales = new Float32Array(rows * groups);
  const groupSize = bits === 8 ? columns : GROUP;
  const valuesPerWord = 32 / bits;
  const maxQ = bits === 8 ? 127 : 7;
  for (let row = 0; row < rows; row++) {
    for (let group = 0; group < groups; group++) {
      const start = group * groupSize;
      const end = Math.min(start + groupSize, columns);
      const span = values.subarray(row * columns + start, row * columns + end);
      const scale = Math.fround(bits === 8 ? maxAbs(span) / 127 : smallestScale(span));
      scales[row * groups + group] = scale;
      if (scale === 0) continue;
      for (let k = start; k < end; k++) {
        const nearest = Math.round(span[k - start] / scale);
        const q = Math.max(Math.min(nearest, maxQ), -maxQ - 1); // the scale was rounded
        const lowBits = (q << (32 - bits)) >>> (32 - bits);
        const word = row * wordsPerRow + Math.floor(k / valuesPerWord);
        packed[word] |= lowBits << (bits * (k % valuesPerWord));
      }
    }
  }
  const { device } = w;
  return {
    weight: tensor(packed, { shape: shapes.weight, device }),
    scale: tensor(scales, { shape: shapes.scale, device }),
    columns,
    bits,
  };
}

function maxAbs(x: Buffer): number {
  let max = 0;
  for (const value of x) max = Math.max(max, Math.abs(value));
  return max;
}

/** Returns the scale of the smallest size, of either sign, with -8.5 <= x / scale <= 7.5. */
function smallestScale(x: Buffer): number {
  let min = 0;
  let max = 0;
  for (const value of x) {
    if (value < min) min = value;
    if (value > max) max = value;
  }
  const positive = Math.max(-min / 8.5, max / 7.5);
  const negative = Math.max(max / 8.5, -min / 7.5);
  return positive <= negative ? positive : -negative;
}

/**
 * Returns W as floats, in f32 or another dtype.
 * @example
 * const q = quantizeMatrix(randn([64, 64]), { bits: 8 });
 * console.log(dequantize(q).shape); // [ 64, 64 ]
 */
export function dequantize(q: QuantizedMatrix, options: { dtype?: DType } = {}): Tensor {
  checkMatrix("dequantize", q);
  return embeddingQuantized(arange(q.weight.shape[0], { device: q.weight.device }), q, options);
}

/**
 * y = f(x W^T + b), like linear(), with a quantized W. x [..., columns], b [rows], y [..., rows].
 * If x or b requires a gradient, W is converted to floats and linear() is called.
 * @example
 * const q = quantizeMatrix(randn([64, 64]), { bits: 4 });
 * console.log(linearQuantized(randn([2, 64]), q).shape); // [ 2, 64 ]
 */
export function linearQuantized(
  x: Tensor,
  q: QuantizedMatrix,
  b: Tensor | null = null,
  options: { activation?: Activation } = {},
): Tensor {
  const op = "linearQuantized";
  checkOptions(op, options, ["activation"]);
  const { activation = "none" } = options;
  const code = getFusedCode(op, activation);
  checkTensor(op, "x", x);
  const [N, K, groups] = checkQuantized(op, q, x);
  if (x.shape.at(-1) !== K)
    fail(`${op}: x has shape ${formatShape(x.shape)}, expected [..., ${K}]`);
  if (b !== null) checkWeight(op, "b", b, x, [N]);
  if (x.requiresGrad || b?.requiresGrad) return linear(x, dequantize(q), b, options);
  if (code === undefined) return activate(linearQuantized(x, q, b), activation);
  const rows = x.shape.slice(0, -1);
  const y = empty(x, [...rows, N]);
  x.device.kernels.linearQuantized(
    x.floats,
    q.weight.ints,
    q.scale.floats,
    b && b.floatsAs(x.dtype),
    y.floats,
    numel(rows),
    N,
    K,
    groups,
    q.bits,
    code,
  );
  return y;
}

/**
 * y[...] = W[idx[...]], like embedding(), with a quantized W. idx of i32, y [..., columns].
 * @example
 * const q = quantizeMatrix(randn([64, 64]), { bits: 8 });
 * console.log(embeddingQuantized(tensor([1, 2], { dtype: "i32" }), q).shape); // [ 2, 64 ]
 */
export function embeddingQuantized(
  idx: Tensor,
  q: QuantizedMatrix,
  options: { dtype?: DType } = {},
): Tensor {
  const op = "embeddingQuantized";
  checkOptions(op, options, ["dtype"]);
  checkTensor(op, "idx", idx);
  if (idx.dtype !== "i32") fail(`${op}: idx has dtype ${idx.dtype}, expected i32`);
  const [V, C, groups] = checkQuantized(op, q, idx);
  const dtype = options.dtype === "bf16" ? "bf16" : q.scale.dtype;
  const y = empty(idx, [...idx.shape, C], dtype);
  idx.device.kernels.embeddingQuantized(
    idx.ints,
    q.weight.ints,
    q.scale.floats,
    y.floats,
    idx.size,
    V,
    C,
    groups,
    q.bits,
  );
  return y;
}

/** Throws unless q is a quantized matrix on the device of x. Returns its sizes. */
function checkQuantized(
  op: string,
  q: QuantizedMatrix,
  x: Tensor,
): [rows: number, columns: number, groups: number] {
  checkMatrix(op, q);
  const { weight, scale, columns, bits } = q;
  const shapes = quantizedShapes([weight.shape[0], columns], bits);
  checkSameKind(op, "weight", weight, x, shapes.weight, ["i32"]);
  checkSameKind(op, "scale", scale, x, shapes.scale, ["f32", "f64"]);
  return [weight.shape[0], columns, shapes.scale[1]];
}

/** Throws unless q has the fields of a quantized matrix. */
export function checkMatrix(op: string, q: QuantizedMatrix): void {
  if (typeof q !== "object" || q === null || !("bits" in q))
    fail(`${op}: q is ${describe(q)}, expected a matrix; make one by quantizeMatrix(w, { bits })`);
  checkTensor(op, "weight", q.weight);
  checkTensor(op, "scale", q.scale);
}
