// Rotary position embeddings.

import { record } from "../autograd.ts";
import { checkOptions, fail } from "../errors.ts";
import { checkRank, formatShape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { add, mul, sub } from "./elementwise.ts";
import { cat, permute, reshape, slice } from "./movement.ts";

/**
 * Rotary position embeddings: rotates queries and keys by angles proportional to their positions,
 * so that a score depends on the distance of two tokens alone. x [B, T, parts nHead D]: one part,
 * or queries, keys and values, of which the last part is not rotated. `table` [positions, D] comes
 * from rotaryTable(); token t has the position length + t, where length is a [] of i32, by default
 * 0. Su et al. (2021).
 * @example
 * const table = nn.rotaryTable(4, 8);
 * const y = rotary(randn([1, 4, 16]), table, { nHead: 2 }); // 2 heads of size 8
 * console.log(y.shape); // [ 1, 4, 16 ]
 */
export function rotary(
  x: Tensor,
  table: Tensor,
  options: { nHead: number; length?: Tensor | null },
): Tensor {
  checkOptions("rotary", options, ["nHead", "length"]);
  const { nHead, length } = options;
  checkTensor("rotary", "x", x);
  checkRank("rotary", "x", x.shape, "BTC");
  checkSameKind("rotary", "table", table, x, undefined, [x.accumulateDType]);
  const [B, T, width] = x.shape;
  const [capacity, D = 0] = table.shape;
  const parts = width / (nHead * D);
  if (table.shape.length !== 2 || D % 2 !== 0 || !Number.isInteger(parts) || parts < 1)
    fail(
      `rotary: x has shape ${formatShape(x.shape)}, ` +
        `expected [B, T, parts nHead D] with nHead ${nHead}, ` +
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
      nHead,
      D / 2,
      capacity,
      Math.max(1, parts - 1), // how many parts are rotated
      inverse,
    );
    return output;
  };
  return record("rotary", rotate(x, false), [x], (dy) => [rotate(dy, true)]);
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
