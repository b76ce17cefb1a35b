// Tables that tell where a token stands, computed instead of learned.

import { fail } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The last pair of channels turns slower than the first by nearly this. */
const SLOWEST = 10_000;

/**
 * Waves of all lengths, to be added to the tokens: sin(p f_i) at [p, 2i] and cos(p f_i) at
 * [p, 2i + 1], f_i = 10000^(-2i / size). Gives [places, size]. Vaswani et al. (2017), section 3.5.
 * @example
 * console.log(nn.sinusoidalTable(16, 8).shape); // [ 16, 8 ]
 */
export function sinusoidalTable(places: number, size: number): Tensor {
  const wave = (p: number, c: number) => {
    const angle = angleOf(p, c >> 1, size);
    return c % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  };
  return table(places, size, wave);
}

/**
 * The angles of rotary(), as their cosines and sines: cos(p f_i) at [p, i], sin(p f_i) at
 * [p, size / 2 + i], f_i as above; size is that of a head. Gives [places, size]. Su et al. (2021).
 * @example
 * console.log(nn.rotaryTable(16, 8).shape); // [ 16, 8 ]
 */
export function rotaryTable(places: number, size: number): Tensor {
  if (size % 2 !== 0) fail(`rotaryTable: size is ${size}, expected an even number`);
  const half = size / 2;
  const turn = (p: number, c: number) =>
    c < half ? Math.cos(angleOf(p, c, size)) : Math.sin(angleOf(p, c - half, size));
  return table(places, size, turn);
}

function angleOf(place: number, pair: number, size: number): number {
  return place * SLOWEST ** ((-2 * pair) / size);
}

function table(places: number, size: number, f: (place: number, channel: number) => number) {
  const values = new Float64Array(places * size).map((_, i) => f(Math.floor(i / size), i % size));
  return tensor(Float32Array.from(values), { shape: [places, size] });
}
