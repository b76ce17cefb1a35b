// The functions of native/cpu/vecmath.h, through their kernels, against double precision: over all
// floats, the largest errors are those that the comments there state. test/backend/simd.test.ts runs this page again
// for each instruction set.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf, type CpuAddon } from "#src/backend/addon.js";
import type { Kernels } from "#src/backend/kernels.js";
import { reference } from "#src/backend/ts/index.js";

const test = suite("vecmath");
const addon = addonOf("cpu");

/** Every `step`th pattern of 32 bits from that of `first` to that of `last`, with both signs. */
function patterns(first: number, last: number, step: number): number[] {
  const [from, to] = new Uint32Array(Float32Array.of(first, last).buffer);
  const positive = Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => from + i * step);
  return positive.flatMap((bits) => [bits, bits + 2 ** 31]);
}
const bits = [...patterns(0, Number.NaN, 4099), ...patterns(1 / 256, 128, 257)]; // 2 million
const floats = new Float32Array(Uint32Array.from(bits).buffer);
const biggest = 3.4028234663852886e38;
const specials = Float32Array.of(
  ...[0, 1, 0.625, 88.72283, 88.73, 89, 103.97, 104, 1e20, biggest, Number.POSITIVE_INFINITY],
  ...[2 ** -149, 2 ** -127, 2 ** -126, 1 - 2 ** -24, 1 + 2 ** -23, Math.SQRT1_2, Math.SQRT2],
);

/** What is computed, and the largest error stated of it, in ulp, where `holds` or everywhere. */
interface Row {
  name: keyof Kernels;
  f: (x: number) => number;
  ulp: number;
  holds?: (x: number, y: number) => boolean;
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
  { name: "silu", f: (x) => x * sigmoid(x), ulp: 3.3, holds: isNotTiny },
  { name: "gelu", f: gelu, ulp: 8, holds: isNotTiny },
  { name: "geluTanh", f: geluTanh, ulp: 210, holds: isNotTiny },
  { name: "geluTanh", f: geluTanh, ulp: 4, holds: (x, y) => x >= -1 && isNotTiny(x, y) },
];

/** The largest absolute errors stated of derivatives. */
const slopes = { siluBackward: 1e-6, geluBackward: 3e-7, geluTanhBackward: 2e-6 };

const rounded = new Float32Array(1);
const roundedBits = new Int32Array(rounded.buffer);

/** The distance between the floats around y. */
function ulpOf(y: number): number {
  rounded[0] = Math.abs(y);
  return 2 ** (Math.max(roundedBits[0] >> 23, 1) - 150);
}

/** How far y is from the exact value, in ulp; what is no finite number must be exact. */
function errorOf(y: number, exact: number): number {
  if (Object.is(y, Math.fround(exact))) return 0;
  if (!Number.isFinite(y) || !Number.isFinite(Math.fround(exact))) return Number.POSITIVE_INFINITY;
  return Math.abs(y - exact) / ulpOf(exact);
}

function define({ kernels }: CpuAddon): void {
  const native = kernels as Record<string, (...args: unknown[]) => void>;
  const ts = reference as unknown as typeof native;

  for (const { name, f, ulp, holds = () => true } of rows) {
    test(`${name}: errors up to ${ulp} ulp`, () => {
      const y = new Float32Array(floats.length);
      native[name](floats, y, floats.length);
      let [worst, at] = [0, 0];
      for (let i = 0; i < y.length; i++) {
        const exact = f(floats[i]);
        if (exact === 0 ? y[i] === 0 : !holds(floats[i], exact) && Number.isFinite(exact)) continue;
        const error = errorOf(y[i], exact);
        if (error > worst) [worst, at] = [error, floats[i]];
      }
      assert.ok(worst <= ulp, `${name}(${at}) is wrong by ${worst} ulp, stated are ${ulp}`);
      assert.ok(worst > ulp * 0.7, `${name}: stated are ${ulp} ulp, more than its ${worst}`);
    });
  }

  for (const [name, bound] of Object.entries(slopes)) {
    test(`${name}: no error above ${bound}`, () => {
      const n = floats.length;
      const dx = new Float32Array(n);
      const exact = new Float64Array(n);
      native[name](floats, new Float32Array(n).fill(1), dx, n);
      ts[name](Float64Array.from(floats), new Float64Array(n).fill(1), exact, n);
      for (let i = 0; i < n; i++) {
        const isRight = Math.abs(dx[i] - exact[i]) <= bound || Object.is(dx[i], exact[i]);
        if (!isRight) assert.unreachable(`at ${floats[i]}: ${dx[i]}, expected ${exact[i]}`);
      }
    });
  }

  test("zeros, infinities, NaN and the ends of ranges: as the reference, signs of 0 included", () => {
    const x = Float32Array.of(...specials, ...specials.map((each) => -each), Number.NaN);
    for (const { name, ulp } of rows) {
      const y = new Float32Array(x.length);
      const exact = new Float64Array(x.length);
      native[name](x, y, x.length);
      ts[name](Float64Array.from(x), exact, x.length);
      for (let i = 0; i < x.length; i++)
        assert.ok(
          errorOf(y[i], exact[i]) <= Math.max(ulp, 60),
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
