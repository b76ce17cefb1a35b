// Tables of position embeddings that are computed instead of learned.

import { fail } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The base of the frequencies f_i = BASE^(-2i / size). */
const BASE = 10_000;

/**
 * Sinusoidal position embeddings [positions, size]: sin(p f_i) at [p, 2i] and cos(p f_i) at
 * [p, 2i + 1], f_i = 10000^(-2i / size). Vaswani et al. (2017), section 3.5.
 * @example
 * console.log(nn.sinusoidalTable(16, 8).shape); // [ 16, 8 ]
 */
export function sinusoidalTable(positions: number, size: number): Tensor {
  const frequencies = getFrequencies(Math.ceil(size / 2), size);
  const wave = (p: number, c: number) => {
    const angle = p * frequencies[c >> 1];
    return c % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  };
  return table(positions, size, wave);
}

/**
 * The table of rotary() [positions, size], where size is that of a head: cos(p f_i) at [p, i] and
 * sin(p f_i) at [p, size / 2 + i], f_i = 10000^(-2i / size). Su et al. (2021).
 * @example
 * console.log(nn.rotaryTable(16, 8).shape); // [ 16, 8 ]
 */
export function rotaryTable(positions: number, size: number): Tensor {
  if (size % 2 !== 0) fail(`rotaryTable: size is ${size}, expected an even number`);
  const pairs = size / 2;
  const frequencies = getFrequencies(pairs, size);
  const value = (p: number, c: number) =>
    c < pairs ? Math.cos(p * frequencies[c]) : Math.sin(p * frequencies[c - pairs]);
  return table(positions, size, value);
}

function getFrequencies(pairs: number, size: number): Float64Array {
  return new Float64Array(pairs).map((_, i) => BASE ** ((-2 * i) / size));
}

function table(positions: number, size: number, f: (position: number, channel: number) => number) {
  const values = new Float32Array(positions * size);
  for (let i = 0; i < values.length; i++) values[i] = f(Math.floor(i / size), i % size);
  return tensor(values, { shape: [positions, size] });
}
