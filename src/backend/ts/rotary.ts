// Rotary position embeddings (Su et al., 2021).

import type { Floats } from "../kernels.ts";

/**
 * Rotates each pair (x_i, x_{i + halfD}) of a head by the angle of its position and i; `inverse`
 * rotates back. x, y [B, T, parts, H, 2 halfD]; of the parts the first `rotatedParts` are rotated,
 * the others copied. table [capacity, 2 halfD] holds the cosines, then the sines; token t has
 * position length + t.
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
  halfD: number,
  capacity: number,
  rotatedParts: number,
  inverse: boolean,
): void {
  if (B * T * parts * H * halfD === 0) return;
  const past = length ? length[0] : 0;
  if (past < 0 || past + T > capacity) {
    throw new RangeError(`rotary: ${past} + ${T} tokens, expected at most ${capacity}`);
  }
  for (let row = 0, o = 0; row < B * T * parts * H; row++, o += 2 * halfD) {
    const isRotated = Math.floor(row / H) % parts < rotatedParts;
    const angles = (past + (Math.floor(row / (parts * H)) % T)) * 2 * halfD;
    for (let i = 0; i < halfD; i++) {
      const a = x[o + i];
      const b = x[o + halfD + i];
      const cos = isRotated ? table[angles + i] : 1;
      const sin = isRotated ? (inverse ? -1 : 1) * table[angles + halfD + i] : 0;
      y[o + i] = a * cos - b * sin;
      y[o + halfD + i] = a * sin + b * cos;
    }
  }
}
