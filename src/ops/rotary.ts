// Rotary position embeddings, and the normalization of queries and keys.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { checkRank, formatShape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { add, mul, sub } from "./elementwise.ts";
import { cat, permute, reshape, slice, split } from "./movement.ts";
import { rmsNormSpec } from "./normalization.ts";

/**
 * Rotary position embeddings: rotates queries and keys by angles proportional to their positions,
 * so that a score depends on the distance of two tokens alone. x [B, T, parts nHead D]: one part,
 * or queries, keys and values, of which the last part is not rotated. `table` [positions, D] comes
 * from rotaryTable(); token t has the position length + t, where length is a [] of i32, by default
 * 0. With nKvHead, x is a projection of grouped queries [B, T, (nHead + 2 nKvHead) D]. Su et al.
 * (2021).
 * @example
 * const table = nn.rotaryTable(4, 8);
 * const y = rotary(randn([1, 4, 16]), table, { nHead: 2 }); // 2 heads of size 8
 * console.log(y.shape); // [ 1, 4, 16 ]
 */
export function rotary(
  x: Tensor,
  table: Tensor,
  options: { nHead: number; nKvHead?: number; length?: Tensor | null },
): Tensor {
  checkOptions("rotary", options, ["nHead", "nKvHead", "length"]);
  const { nHead, nKvHead, length } = options;
  checkTensor("rotary", "x", x);
  checkRank("rotary", "x", x.shape, "BTC");
  checkSameKind("rotary", "table", table, x, undefined, [x.accumulateDType]);
  const [B, T, width] = x.shape;
  const [capacity, D = 0] = table.shape;
  const { parts, heads, changed } = partsOf(width, D, nHead, nKvHead);
  if (table.shape.length !== 2 || D % 2 !== 0 || !(parts >= 1 && width === parts * heads * D))
    fail(
      `rotary: x has shape ${formatShape(x.shape)}, ` +
        `expected ${describeHeads("parts", nHead, nKvHead)}, ` +
        `D even as in table ${formatShape(table.shape)}`,
    );
  const rotate = (input: Tensor, inverse: boolean) => {
    const output = empty(x);
    x.device.kernels.rotary(
      input.floats,
      table.floats,
      length ? length.ints : null,
      output.floats,
      B,
      T,
      parts,
      heads,
      D / 2,
      capacity,
      changed,
      inverse,
    );
    return output;
  };
  return record("rotary", rotate(x, false), [x], (dy) => [rotate(dy, true)]);
}

/**
 * Returns how many parts of how many heads the kernels read, and how many of the parts they change:
 * all but the values. In a projection of grouped queries each head is a part.
 */
function partsOf(width: number, D: number, nHead: number, nKvHead: number | undefined) {
  if (nKvHead !== undefined && nKvHead !== nHead)
    return { parts: nHead + 2 * nKvHead, heads: 1, changed: nHead + nKvHead };
  const parts = nKvHead === undefined ? Math.floor(width / (nHead * D)) : 3;
  return { parts, heads: nHead, changed: Math.max(1, parts - 1) };
}

/** Describes the shape of x in an error. */
function describeHeads(parts: string, nHead: number, nKvHead: number | undefined): string {
  return nKvHead === undefined
    ? `[B, T, ${parts} nHead D] with nHead ${nHead}`
    : `[B, T, (nHead + 2 nKvHead) D] with nHead ${nHead}, nKvHead ${nKvHead}`;
}

/** The reference for rotary() of one part from position 0, composed of small ops. */
export function rotarySpec(x: Tensor, table: Tensor, options: { nHead: number }): Tensor {
  const [B, T] = x.shape;
  const D = table.shape[1];
  const first = { dim: -1, start: 0, end: D / 2 };
  const second = { dim: -1, start: D / 2 };
  const heads = permute(reshape(x, [B, T, options.nHead, D]), [0, 2, 1, 3]); // (B, H, T, D)
  const a = slice(heads, first);
  const b = slice(heads, second);
  const angles = slice(table, { dim: 0, end: T });
  const cos = slice(angles, first); // (T, D / 2)
  const sin = slice(angles, second); // (T, D / 2)
  const rotated = [sub(mul(a, cos), mul(b, sin)), add(mul(a, sin), mul(b, cos))];
  return reshape(permute(cat(rotated, { dim: -1 }), [0, 2, 1, 3]), x.shape);
}

/**
 * QK-norm: divides the queries and keys of each head by their root mean square, so that a score
 * cannot grow with their length; then rotates them as rotary() does if `table` is set. x [B, T,
 * parts nHead D]: one part, or several, of which the last, the values, is left as it is. Without a
 * gain; y = x / sqrt(mean(x^2) + eps). With nKvHead, x is a projection of grouped queries
 * [B, T, (nHead + 2 nKvHead) D]. Henry et al. (2020), Dehghani et al. (2023).
 * @example
 * const qkv = randn([1, 4, 48]); // queries, keys and values of 2 heads of size 8
 * console.log(qkNorm(qkv, { nHead: 2 }).shape); // [ 1, 4, 48 ]
 */
export function qkNorm(
  x: Tensor,
  options: {
    nHead: number;
    nKvHead?: number;
    parts?: number;
    table?: Tensor | null;
    length?: Tensor | null;
    eps?: number;
  },
): Tensor {
  checkOptions("qkNorm", options, ["nHead", "nKvHead", "parts", "table", "length", "eps"]);
  const { nHead, nKvHead, table = null, length, eps = 1e-5 } = options;
  checkTensor("qkNorm", "x", x);
  checkRank("qkNorm", "x", x.shape, "BTC");
  checkNumber("qkNorm", "eps", eps, 0);
  const [B, T, width] = x.shape;
  const isGrouped = nKvHead !== undefined && nKvHead !== nHead;
  const parts = isGrouped ? nHead + 2 * nKvHead : (options.parts ?? 3);
  const heads = isGrouped ? 1 : nHead;
  const D = width / (heads * parts);
  if (!(nHead > 0 && parts > 0 && Number.isInteger(D) && Number.isInteger(nHead * D)))
    fail(
      `qkNorm: x has shape ${formatShape(x.shape)}, expected ` +
        describeHeads("parts", nHead, nKvHead) +
        (isGrouped ? "" : `, parts ${parts}`),
    );
  if (table) checkTable(x, table, D);
  const sizes = [B, T, parts, heads, D, table ? table.shape[0] : 0] as const;
  const normalizedParts = isGrouped ? nHead + nKvHead : Math.max(1, parts - 1);
  const y = empty(x);
  x.device.kernels.qkNorm(
    x.floats,
    table && table.floats,
    length ? length.ints : null,
    y.floats,
    ...sizes,
    normalizedParts,
    eps,
  );
  const backward = (dy: Tensor) => {
    const dx = empty(x);
    x.device.kernels.qkNormBackward(
      x.floats,
      table && table.floats,
      length ? length.ints : null,
      dy.floats,
      dx.floats,
      ...sizes,
      normalizedParts,
      eps,
    );
    return [dx];
  };
  return record("qkNorm", y, [x], backward);
}

function checkTable(x: Tensor, table: Tensor, D: number): void {
  checkSameKind("qkNorm", "table", table, x, undefined, [x.accumulateDType]);
  if (table.shape.length !== 2 || table.shape[1] !== D || D % 2 !== 0)
    fail(`qkNorm: table has shape ${formatShape(table.shape)}, expected [positions, ${D}], even`);
}

/** The reference for qkNorm() from position 0, composed of small ops; w [D] is all ones. */
export function qkNormSpec(
  x: Tensor,
  w: Tensor,
  options: { nHead: number; parts: number; table?: Tensor | null },
): Tensor {
  const { nHead, parts, table } = options;
  const [B, T, width] = x.shape;
  const normalize = (part: Tensor) => {
    const heads = reshape(part, [B, T, nHead, w.size]);
    const y = reshape(rmsNormSpec(heads, w), part.shape);
    return table ? rotarySpec(y, table, { nHead }) : y;
  };
  const isLeft = (i: number) => parts > 1 && i === parts - 1;
  const all = split(x, width / parts, { dim: 2 });
  return cat(
    all.map((part, i) => (isLeft(i) ? part : normalize(part))),
    { dim: 2 },
  );
}
