// Rotary position embeddings (Su et al., 2021).

import type { Floats } from "../kernels.ts";

/**
 * Rotates each pair (x_i, x_{i + half}) of a head by the angle of its position and i; `inverse`
 * rotates back. x, y [B, T, parts, H, 2 half]; of the parts the first `turned` are rotated, the
 * others copied. table [capacity, 2 half] holds the cosines, then the sines; token t has position
 * length + t.
 */
export function rotary(
  x: Floats,
  table: Floats,
  length: Int32Array | null,
  y: Floats,
  B: number,
  T: number,
  parts: number,
  H: number,
  half: number,
  capacity: number,
  turned: number,
  inverse: boolean,
): void {
  const past = length ? length[0] : 0;
  if (past < 0 || past + T > capacity) {
    throw new RangeError(`rotary: ${past} + ${T} tokens, expected at most ${capacity}`);
  }
  for (let row = 0, o = 0; row < B * T * parts * H; row++, o += 2 * half) {
    const isTurned = Math.floor(row / H) % parts < turned;
    const angles = (past + (Math.floor(row / (parts * H)) % T)) * 2 * half;
    for (let i = 0; i < half; i++) {
      const a = x[o + i];
      const b = x[o + half + i];
      const cos = isTurned ? table[angles + i] : 1;
      const sin = isTurned ? (inverse ? -1 : 1) * table[angles + half + i] : 0;
      y[o + i] = a * cos - b * sin;
      y[o + half + i] = a * sin + b * cos;
    }
  }
}
