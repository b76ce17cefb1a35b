// Tables of position embeddings that are computed instead of learned.

import { checkOptions, checkSize, fail } from "../errors.ts";
import { tensor } from "../ops/creation.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The base of the frequencies f_i = theta^(-2i / size) in both papers. */
const THETA = 10_000;

/** Options of rotaryTable(). */
export interface RotaryOptions {
  /** The base of the frequencies. */
  theta?: number;
  /**
   * Divides the frequencies of wavelengths above 8192 positions by this factor, leaves those below
   * 2048 as they are, and interpolates between the two, as Llama 3.1 and 3.2 do.
   */
  scaling?: number;
}

/**
 * Sinusoidal position embeddings [positions, size]: sin(p f_i) at [p, 2i] and cos(p f_i) at
 * [p, 2i + 1], f_i = 10000^(-2i / size). Vaswani et al. (2017), section 3.5.
 * @example
 * console.log(nn.sinusoidalTable(16, 8).shape); // [ 16, 8 ]
 */
export function sinusoidalTable(positions: number, size: number): Tensor {
  checkSize("sinusoidalTable", "positions", positions);
  checkSize("sinusoidalTable", "size", size);
  const frequencies = getFrequencies(Math.ceil(size / 2), size);
  const wave = (p: number, c: number) => {
    const angle = p * frequencies[c >> 1];
    return c % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
  };
  return table(positions, size, wave);
}

/**
 * The table of rotary() [positions, size], where size is that of a head: cos(p f_i) at [p, i] and
 * sin(p f_i) at [p, size / 2 + i], f_i = theta^(-2i / size), theta 10000. Su et al. (2021).
 * @example
 * console.log(nn.rotaryTable(16, 8).shape); // [ 16, 8 ]
 */
export function rotaryTable(positions: number, size: number, options: RotaryOptions = {}): Tensor {
  checkOptions("rotaryTable", options, ["theta", "scaling"]);
  const { theta = THETA, scaling = 1 } = options;
  for (const [name, value] of Object.entries({ theta, scaling }))
    if (!(value > 0 && Number.isFinite(value)))
      fail(`rotaryTable: ${name} is ${value}, expected a number above 0`);
  checkSize("rotaryTable", "positions", positions);
  checkSize("rotaryTable", "size", size);
  if (size % 2 !== 0) fail(`rotaryTable: size is ${size}, expected an even number`);
  const pairs = size / 2;
  const frequencies = getFrequencies(pairs, size, theta).map((f) => scaleFrequency(f, scaling));
  const value = (p: number, c: number) =>
    c < pairs ? Math.cos(p * frequencies[c]) : Math.sin(p * frequencies[c - pairs]);
  return table(positions, size, value);
}

function getFrequencies(pairs: number, size: number, theta = THETA): Float64Array {
  return new Float64Array(pairs).map((_, i) => theta ** ((-2 * i) / size));
}

/** The longest context that Llama 3 was trained on before its frequencies were scaled. */
const LLAMA3_CONTEXT = 8192;

/** Scales a frequency in radians per position; see RotaryOptions. */
function scaleFrequency(frequency: number, scaling: number): number {
  if (scaling === 1) return frequency;
  const periods = (LLAMA3_CONTEXT * frequency) / (2 * Math.PI); // in the original context
  const share = Math.min(1, Math.max(0, (periods - 1) / 3)); // 0: all scaled, 1: unchanged
  return frequency * (share + (1 - share) / scaling);
}

function table(positions: number, size: number, f: (position: number, channel: number) => number) {
  const values = new Float32Array(positions * size);
  for (let i = 0; i < values.length; i++) values[i] = f(Math.floor(i / size), i % size);
  return tensor(values, { shape: [positions, size] });
}
