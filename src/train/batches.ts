// Batches of training text: random pieces of a list of tokens, and the same pieces one token later.

import type { Device } from "../device.ts";
import { tensor } from "../ops/creation.ts";
import { type Place, words } from "../random.ts";
import type { Tensor } from "../tensor.ts";

/** The first nine tenths of the tokens are learned from, the rest tells how well. */
export function splitTokens(ids: readonly number[]): { train: Int32Array; val: Int32Array } {
  const cut = Math.floor(0.9 * ids.length);
  const all = Int32Array.from(ids);
  return { train: all.subarray(0, cut), val: all.subarray(cut) };
}

/**
 * B pieces of T tokens and, for each token, the one that follows it; x, y [B, T] of i32. Where they
 * begin is drawn from the place given: a 32-bit word w stands for the start floor(w starts / 2^32).
 */
export function drawBatch(
  tokens: Int32Array,
  B: number,
  T: number,
  place: Place,
  device: Device,
): { x: Tensor; y: Tensor } {
  const starts = tokens.length - T;
  const [x, y] = [new Int32Array(B * T), new Int32Array(B * T)];
  words(B, place).forEach((word, b) => {
    const start = Math.floor((word / 2 ** 32) * starts);
    x.set(tokens.subarray(start, start + T), b * T);
    y.set(tokens.subarray(start + 1, start + T + 1), b * T);
  });
  const options = { shape: [B, T], device };
  return { x: tensor(x, options), y: tensor(y, options) };
}
