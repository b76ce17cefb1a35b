// Rounding to bf16, for matmuls of precision "medium" on the device ts.

import type { Floats } from "../kernels.ts";

let isOn = false;

/** Chooses whether matmuls of f32 round their operands to bf16. */
export function setBf16(isBf16: boolean): void {
  isOn = isBf16;
}

/**
 * Returns true if the operands of a product of M rows are rounded. Those of a few rows are not,
 * as in native/cpu, and f64 is never rounded.
 */
export function usesBf16(x: Floats, M: number): boolean {
  return isOn && M > 4 && x instanceof Float32Array;
}

/** Returns a copy of x in which each number is the nearest one in bf16, ties to even. */
export function roundToBf16(x: Floats): Float32Array {
  const rounded = Float32Array.from(x);
  const bits = new Uint32Array(rounded.buffer);
  for (let i = 0; i < bits.length; i++) {
    if (Number.isNaN(x[i])) continue;
    // Carries into the upper half, which is the bf16, if the lower half is above the middle, or on
    // it and the bf16 would be odd.
    bits[i] += 0x7fff + ((bits[i] >>> 16) & 1);
    bits[i] &= 0xffff0000;
  }
  return rounded;
}

const one = new Float32Array(1);

/** Rounds a number. */
export function roundNumberToBf16(x: number): number {
  one[0] = x;
  return roundToBf16(one)[0];
}
