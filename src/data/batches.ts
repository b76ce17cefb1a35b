// Batches of training text: random pieces of a list of tokens, and the same pieces one token later.
// The text lies on the device, and batches are drawn there.

import type { Device } from "../backend/device.ts";
import { tensor } from "../ops/creation.ts";
import { type Place, placeState, streams } from "../random.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import type { Tokenizer } from "../tokenizers/tokenizer.ts";

/**
 * The first nine tenths of a text are learned from, the rest tells how well. It is cut by its
 * characters (code points) as nanoGPT does it, so that the parts are the same for every tokenizer.
 */
export function splitText(text: string): { train: string; val: string } {
  const wanted = Math.floor(0.9 * lengthOf(text));
  let cut = 0;
  for (let n = 0; n < wanted; n++) cut += isPair(text, cut) ? 2 : 1;
  return { train: text.slice(0, cut), val: text.slice(cut) };
}

/** How many characters a text has. */
export function lengthOf(text: string): number {
  let pairs = 0;
  for (let i = 0; i < text.length; i++) if (isPair(text, i)) pairs++;
  return text.length - pairs;
}

/** Is there a character that takes two of JavaScript's? */
function isPair(text: string, at: number): boolean {
  return (text.codePointAt(at) as number) > 0xffff;
}

/** The tokens of both parts of a text. */
export function splitTokens(
  text: string,
  tokenizer: Tokenizer,
): { train: Int32Array; val: Int32Array } {
  const { train, val } = splitText(text);
  return {
    train: Int32Array.from(tokenizer.encode(train)),
    val: Int32Array.from(tokenizer.encode(val)),
  };
}

/** What is drawn, and by which numbers, as a tensor: [4] of i32. */
export function placeOf(place: Omit<Place, "stream">, device: Device): Tensor {
  return tensor(placeState(place), { device });
}

/**
 * B pieces of T tokens and, for each token, the one that follows it; x, y [B, T] of i32. Where they
 * begin is drawn from the place given: a 32-bit word w stands for the start floor(w starts / 2^32).
 */
export function sampleBatch(
  tokens: Tensor,
  place: Tensor,
  stream: Place["stream"],
  [B, T]: readonly [B: number, T: number],
): [x: Tensor, y: Tensor] {
  const [x, y] = [empty(tokens, [B, T]), empty(tokens, [B, T])];
  const { sampleBatch: draw } = tokens.device.kernels;
  draw(tokens.ints, place.ints, x.ints, y.ints, tokens.size, B, T, streams[stream]);
  return [x, y];
}
