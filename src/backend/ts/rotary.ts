// Rotary position embeddings (Su et al., 2021), and the normalization of queries and keys, which
// are rotated in the same pass.

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
  const D = 2 * halfD;
  if (B * T * parts * H * D === 0) return;
  const past = getPast("rotary", length, T, capacity);
  const sign = inverse ? -1 : 1;
  forEachHead({ B, T, parts, H, D, past }, (o, part, position) => {
    rotateHead(x, part < rotatedParts ? table : null, y, o, D, position, sign);
  });
}

/**
 * y = R(x rstd), rstd = 1 / sqrt(mean(x^2) + eps), of each head of the first `normalizedParts`
 * parts; the others are copied. R rotates as rotary() does, or not at all if table is null.
 * x, y [B, T, parts, H, D]; table [capacity, D]
 */
export function qkNorm(
  x: Floats,
  table: Floats | null,
  length: Int32Array | null,
  y: Floats,
  B: number,
  T: number,
  parts: number,
  H: number,
  D: number,
  capacity: number,
  normalizedParts: number,
  eps: number,
): void {
  if (B * T * parts * H * D === 0) return;
  const past = table ? getPast("qkNorm", length, T, capacity) : 0;
  forEachHead({ B, T, parts, H, D, past }, (o, part, position) => {
    const isNormalized = part < normalizedParts;
    rotateHead(x, isNormalized ? table : null, y, o, D, position, 1);
    if (!isNormalized) return;
    const rstd = 1 / Math.sqrt(dot(x, x, o, D) / D + eps);
    for (let i = o; i < o + D; i++) y[i] *= rstd;
  });
}

/** With g = R^-1 dy: dx = rstd (g - x rstd^2 mean(g x)). dy, dx [B, T, parts, H, D] */
export function qkNormBackward(
  x: Floats,
  table: Floats | null,
  length: Int32Array | null,
  dy: Floats,
  dx: Floats,
  B: number,
  T: number,
  parts: number,
  H: number,
  D: number,
  capacity: number,
  normalizedParts: number,
  eps: number,
): void {
  if (B * T * parts * H * D === 0) return;
  const past = table ? getPast("qkNormBackward", length, T, capacity) : 0;
  forEachHead({ B, T, parts, H, D, past }, (o, part, position) => {
    const isNormalized = part < normalizedParts;
    rotateHead(dy, isNormalized ? table : null, dx, o, D, position, -1);
    if (!isNormalized) return;
    const rstd = 1 / Math.sqrt(dot(x, x, o, D) / D + eps);
    const factor = (rstd * rstd * dot(x, dx, o, D)) / D;
    for (let i = o; i < o + D; i++) dx[i] = rstd * (dx[i] - x[i] * factor);
  });
}

/** The sizes of a tensor of heads [B, T, parts, H, D], and the position of the first token. */
type Heads = Record<"B" | "T" | "parts" | "H" | "D" | "past", number>;

/** Calls f for each head: with the index of its first element, its part and its position. */
function forEachHead(
  { B, T, parts, H, D, past }: Heads,
  f: (o: number, part: number, position: number) => void,
): void {
  for (let head = 0; head < B * T * parts * H; head++) {
    const part = Math.floor(head / H);
    f(head * D, part % parts, past + (Math.floor(part / parts) % T));
  }
}

/** Returns the position of the first token. Throws unless the table has a row for each of T. */
function getPast(kernel: string, length: Int32Array | null, T: number, capacity: number): number {
  const past = length ? length[0] : 0;
  if (past >= 0 && past + T <= capacity) return past;
  throw new RangeError(`${kernel}: ${past} + ${T} tokens, expected at most ${capacity}`);
}

/**
 * Rotates the head of D elements at x[o] by the angles of a position, or back with sign -1; copies
 * it if table is null.
 */
function rotateHead(
  x: Floats,
  table: Floats | null,
  y: Floats,
  o: number,
  D: number,
  position: number,
  sign: number,
): void {
  const pairs = table ? Math.floor(D / 2) : 0;
  for (let i = 0; i < pairs; i++) {
    const a = x[o + i];
    const b = x[o + pairs + i];
    const cos = (table as Floats)[position * D + i];
    const sin = sign * (table as Floats)[position * D + pairs + i];
    y[o + i] = a * cos - b * sin;
    y[o + pairs + i] = a * sin + b * cos;
  }
  for (let i = 2 * pairs; i < D; i++) y[o + i] = x[o + i];
}

/** Returns the dot product of D elements of x and y from o on. */
function dot(x: Floats, y: Floats, o: number, D: number): number {
  let sum = 0;
  for (let i = o; i < o + D; i++) sum += x[i] * y[i];
  return sum;
}
