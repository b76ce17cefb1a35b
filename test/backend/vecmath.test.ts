// The functions of native/cpu/vecmath.h, through their kernels, against double precision: over all
// floats, the largest errors are those that the comments there state. test/backend/simd.test.ts
// runs this file again for each instruction set.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CpuAddon } from "#src/backend/addon.js";
import type { Kernels } from "#src/backend/kernels.js";
import { addonOf } from "#src/backend/platform/node.js";
import { reference } from "#src/backend/ts/index.js";

const test = suite("vecmath");
const addon = addonOf("cpu");

/** Returns the bits of every `step`th float from `first` to `last`, with both signs. */
function bitPatterns(first: number, last: number, step: number): number[] {
  const [from, to] = new Uint32Array(Float32Array.of(first, last).buffer);
  const positive = Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);
  return positive.flatMap((bits) => [bits, bits + 2 ** 31]);
}
const bits = [...bitPatterns(0, Number.NaN, 4099), ...bitPatterns(1 / 256, 128, 257)]; // 2 million
const floats = new Float32Array(Uint32Array.from(bits).buffer);
const LARGEST = 3.4028234663852886e38;
// biome-ignore format: by kind
const edgeCases = [
  0, 1, 0.625, 88.72283, 88.73, 89, 103.97, 104, 1e20, LARGEST, Number.POSITIVE_INFINITY,
  2 ** -149, 2 ** -127, 2 ** -126, 1 - 2 ** -24, 1 + 2 ** -23, Math.SQRT1_2, Math.SQRT2,
];

/** A kernel, its exact function, and its largest documented error in ulp. */
interface Row {
  name: keyof Kernels;
  f: (x: number) => number;
  ulp: number;
  /** Returns true if the bound applies to y = f(x); without it, the bound applies everywhere. */
  applies?: (x: number, y: number) => boolean;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const geluTanh = (x: number) => x * sigmoid(Math.sqrt(8 / Math.PI) * (x + 0.044715 * x ** 3));
const one = new Float64Array(1);
const gelu = (x: number) => {
  reference.gelu(Float64Array.of(x), one, 1);
  return one[0];
};
const isNotTiny = (_: number, y: number) => Math.abs(y) >= 1e-36;

const rows: Row[] = [
  { name: "exp", f: Math.exp, ulp: 1.1 },
  { name: "log", f: Math.log, ulp: 1 },
  { name: "sigmoid", f: sigmoid, ulp: 2.5 },
  { name: "tanh", f: Math.tanh, ulp: 1.4 },
  { name: "silu", f: (x) => x * sigmoid(x), ulp: 3.3, applies: isNotTiny },
  { name: "gelu", f: gelu, ulp: 8, applies: isNotTiny },
  { name: "geluTanh", f: geluTanh, ulp: 210, applies: isNotTiny },
  { name: "geluTanh", f: geluTanh, ulp: 4, applies: (x, y) => x >= -1 && isNotTiny(x, y) },
];

/** The largest documented absolute errors of derivatives. */
const derivatives = { siluBackward: 1e-6, geluBackward: 3e-7, geluTanhBackward: 2e-6 };

const rounded = new Float32Array(1);
const roundedBits = new Int32Array(rounded.buffer);

/** Returns the distance between the floats next to y. */
function toUlp(y: number): number {
  rounded[0] = Math.abs(y);
  return 2 ** (Math.max(roundedBits[0] >> 23, 1) - 150);
}

/** Returns the error of y in ulp. Infinities and NaN must be exact. */
function errorInUlp(y: number, exact: number): number {
  if (Object.is(y, Math.fround(exact))) return 0;
  if (!Number.isFinite(y) || !Number.isFinite(Math.fround(exact))) return Number.POSITIVE_INFINITY;
  return Math.abs(y - exact) / toUlp(exact);
}

function define({ kernels }: CpuAddon): void {
  const native = kernels as Record<string, (...args: unknown[]) => void>;
  const ts = reference as unknown as typeof native;

  for (const { name, f, ulp, applies = () => true } of rows) {
    test(`${name}: the largest error is ${ulp} ulp`, () => {
      const y = new Float32Array(floats.length);
      native[name](floats, y, floats.length);
      let worst = 0;
      let worstX = 0;
      for (let i = 0; i < y.length; i++) {
        const exact = f(floats[i]);
        if (exact === 0 && y[i] === 0) continue; // of either sign
        if (exact !== 0 && !applies(floats[i], exact) && Number.isFinite(exact)) continue;
        const error = errorInUlp(y[i], exact);
        if (error > worst) {
          worst = error;
          worstX = floats[i];
        }
      }
      assert.ok(worst <= ulp, `${name}(${worstX}): error ${worst} ulp, documented ${ulp}`);
      assert.ok(worst > ulp * 0.7, `${name}: documented ${ulp} ulp, largest ${worst}`);
    });
  }

  for (const [name, bound] of Object.entries(derivatives)) {
    test(`${name}: errors are at most ${bound}`, () => {
      const n = floats.length;
      const dx = new Float32Array(n);
      const exact = new Float64Array(n);
      native[name](floats, new Float32Array(n).fill(1), dx, n);
      ts[name](Float64Array.from(floats), new Float64Array(n).fill(1), exact, n);
      for (let i = 0; i < n; i++) {
        const isClose = Math.abs(dx[i] - exact[i]) <= bound || Object.is(dx[i], exact[i]);
        if (!isClose) assert.unreachable(`at ${floats[i]}: ${dx[i]}, expected ${exact[i]}`);
      }
    });
  }

  test("zeros of both signs, infinities, NaN and range limits match the reference", () => {
    const x = Float32Array.of(...edgeCases, ...edgeCases.map((value) => -value), Number.NaN);
    for (const { name, ulp } of rows) {
      const y = new Float32Array(x.length);
      const exact = new Float64Array(x.length);
      native[name](x, y, x.length);
      ts[name](Float64Array.from(x), exact, x.length);
      for (let i = 0; i < x.length; i++)
        assert.ok(
          errorInUlp(y[i], exact[i]) <= Math.max(ulp, 60),
          `${name}(${x[i]}) is ${y[i]}, expected ${exact[i]}`,
        );
    }
  });
}

if (typeof addon === "string") {
  console.log(`skipped: vecmath: ${addon}`);
  test.skip("needs the C++ addon");
} else define(addon);
test.run();
