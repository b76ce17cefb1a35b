// Batches of training text: random pieces of a list of tokens, and the same pieces one token later.
// The text lies on the device, and batches are drawn there.

import type { Device } from "../device.ts";
import { tensor } from "../ops/creation.ts";
import { type Place, placeState, streams } from "../random.ts";
import { empty, type Tensor } from "../tensor.ts";

/** The first nine tenths of the tokens are learned from, the rest tells how well. */
export function splitTokens(ids: readonly number[]): { train: Int32Array; val: Int32Array } {
  const cut = Math.floor(0.9 * ids.length);
  const all = Int32Array.from(ids);
  return { train: all.subarray(0, cut), val: all.subarray(cut) };
}

/** What is drawn, and by which numbers, as a tensor: [4] of i32. */
export function placeOf(place: Omit<Place, "stream">, device: Device): Tensor {
  return tensor(placeState(place), { device });
}

/**
 * B pieces of T tokens and, for each token, the one that follows it; x, y [B, T] of i32. Where they
 * begin is drawn from the place given: a 32-bit word w stands for the start floor(w starts / 2^32).
 */
export function drawBatch(
  tokens: Tensor,
  place: Tensor,
  stream: Place["stream"],
  [B, T]: readonly [B: number, T: number],
): [x: Tensor, y: Tensor] {
  const [x, y] = [empty(tokens, [B, T]), empty(tokens, [B, T])];
  const { drawBatch: draw } = tokens.device.kernels;
  draw(tokens.ints, place.ints, x.ints, y.ints, tokens.size, B, T, streams[stream]);
  return [x, y];
}
