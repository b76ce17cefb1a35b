// Matrices of a few bits for each number, and the ops that read them as they lie. Rounding is
// symmetric: W = scale Q, the whole numbers Q from -127 to 127 with a scale for each row (8 bits),
// or from -8 to 7 with one for each 32 columns (4 bits).

import type { Buffer, DType } from "../backend/device.ts";
import { checkOptions, fail } from "../errors.ts";
import { type Shape, show, sizeOf } from "../shape.ts";
import { checkSameKind, checkTensor, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { arange, tensor } from "./creation.ts";
import { type Activation, activate, getFusedCode, linear } from "./linear.ts";

export type Bits = 8 | 4;

/** A matrix W [rows, columns] in few bits. */
export interface QuantizedMatrix {
  /** Q, packed into words as the contract has it: i32 [rows, columns bits / 32, rounded up]. */
  readonly weight: Tensor;
  /** What 1 stands for: f32 [rows, groups]. */
  readonly scale: Tensor;
  readonly columns: number;
  readonly bits: Bits;
}

const GROUP = 32; // columns that have a scale in common, in 4 bits

/** The shapes that the words and the scales of a matrix have. */
export function quantizedShapes([rows, columns]: Shape, bits: Bits) {
  if (bits !== 8 && bits !== 4) fail(`quantize: bits is ${bits}, expected 8 or 4`);
  const groups = bits === 8 ? 1 : Math.ceil(columns / GROUP);
  return { weight: [rows, Math.ceil((columns * bits) / 32)], scale: [rows, groups] };
}

/**
 * w [rows, columns] in 8 bits a number, or in 4: each becomes the nearest multiple of its scale,
 * and so is off by half of it at most. In 8 bits scale = max |w| / 127 over the row. In 4 it is
 * the smallest for which that holds with numbers from -8 to 7: max(-min w / 8.5, max w / 7.5) over
 * the group, or what that is for -w, negative.
 * @example
 * const q = quantizeMatrix(randn([64, 64]), { bits: 8 });
 * console.log(q.bits); // 8
 */
export function quantizeMatrix(w: Tensor, options: { bits: Bits }): QuantizedMatrix {
  checkOptions("quantize", options, ["bits"]);
  checkTensor("quantize", "w", w);
  if (w.dtype === "i32") fail("quantize: w has dtype i32, expected floats");
  if (w.shape.length !== 2)
    fail(`quantize: w has shape ${show(w.shape)}, expected [rows, columns]`);
  const { bits } = options;
  const shapes = quantizedShapes(w.shape, bits);
  const [[rows, columns], [, words], [, groups]] = [w.shape, shapes.weight, shapes.scale];
  const values = w.data();
  if (!values.every(Number.isFinite)) fail("quantize: w has numbers that are not finite");
  const packed = new Int32Array(rows * words);
  const scales = new Float32Array(rows * groups);
  const [size, perWord, greatest] = [bits === 8 ? columns : GROUP, 32 / bits, bits === 8 ? 127 : 7];
  for (let row = 0; row < rows; row++) {
    for (let first = 0, group = row * groups; first < columns; first += size, group++) {
      const end = Math.min(first + size, columns);
      const span = values.subarray(row * columns + first, row * columns + end);
      const scale = Math.fround(bits === 8 ? widest(span) / 127 : finest(span));
      scales[group] = scale;
      for (let k = first; scale !== 0 && k < end; k++) {
        const nearest = Math.round(span[k - first] / scale);
        const q = Math.max(Math.min(nearest, greatest), -greatest - 1); // scale was rounded
        const low = (q << (32 - bits)) >>> (32 - bits); // its lowest bits
        packed[row * words + Math.floor(k / perWord)] |= low << (bits * (k % perWord));
      }
    }
  }
  const there = (of: Buffer, shape: Shape) => tensor(of, { shape, device: w.device });
  const [weight, scale] = [there(packed, shapes.weight), there(scales, shapes.scale)];
  return { weight, scale, columns, bits };
}

/** max |x| */
function widest(x: Buffer): number {
  let most = 0;
  for (const each of x) most = Math.max(most, Math.abs(each));
  return most;
}

/** The smallest scale for which x / scale lies between -8.5 and 7.5; of either sign. */
function finest(x: Buffer): number {
  let [least, most] = [0, 0];
  for (const each of x) {
    if (each < least) least = each;
    if (each > most) most = each;
  }
  const [up, down] = [Math.max(-least / 8.5, most / 7.5), Math.max(most / 8.5, -least / 7.5)];
  return up <= down ? up : -down;
}

/**
 * W itself, in f32 or in another dtype.
 * @example
 * const q = quantizeMatrix(randn([64, 64]), { bits: 8 });
 * console.log(dequantize(q).shape); // [ 64, 64 ]
 */
export function dequantize(q: QuantizedMatrix, options: { dtype?: DType } = {}): Tensor {
  return embeddingQuantized(arange(q.weight.shape[0], { device: q.weight.device }), q, options);
}

/**
 * y = f(x W^T + b), as linear(), with W in few bits.  x [..., columns], b [rows], y [..., rows].
 * Where a gradient of x or b is wanted, W is made floats for the time being, and linear() called.
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
  if (x.shape.at(-1) !== K) fail(`${op}: x has shape ${show(x.shape)}, expected [..., ${K}]`);
  if (b !== null) checkWeight(op, "b", b, x, [N]);
  if (x.requiresGrad || b?.requiresGrad) return linear(x, dequantize(q), b, options);
  if (code === undefined) return activate(linearQuantized(x, q, b), activation);
  const rows = x.shape.slice(0, -1);
  const y = empty(x, [...rows, N]);
  const inputs = [x.floats, q.weight.ints, q.scale.floats, b && b.floatsAs(x.dtype)] as const;
  x.device.kernels.linearQuantized(...inputs, y.floats, sizeOf(rows), N, K, groups, q.bits, code);
  return y;
}

/**
 * y[...] = W[idx[...]], as embedding(), with W in few bits.  idx of i32, y [..., columns]
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
  const inputs = [idx.ints, q.weight.ints, q.scale.floats] as const;
  idx.device.kernels.embeddingQuantized(...inputs, y.floats, idx.size, V, C, groups, q.bits);
  return y;
}

/** Throws unless q is a matrix beside x; gives its rows, columns, and scales of a row. */
function checkQuantized(op: string, q: QuantizedMatrix, x: Tensor): [number, number, number] {
  const { weight, scale, columns, bits } = q;
  checkTensor(op, "weight", weight);
  const shapes = quantizedShapes([weight.shape[0], columns], bits);
  checkSameKind(op, "weight", weight, x, shapes.weight, ["i32"]);
  checkSameKind(op, "scale", scale, x, shapes.scale, ["f32", "f64"]);
  return [weight.shape[0], columns, shapes.scale[1]];
}
