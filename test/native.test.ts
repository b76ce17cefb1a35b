// Every kernel of the C++ addon, at odd sizes and at sizes for many threads: what it gives is what
// the reference gives in double precision, and the same bits with any number of threads.
// test/simd.test.ts runs this page again for each instruction set.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf, type CpuAddon } from "#src/kernels/addon.js";
import { reference } from "#src/kernels/reference/index.js";
import { normal } from "#src/random.js";
import { argumentsOf, type Numbers, type Values, wordsOf } from "./calls.js";

const test = suite("native");
const addon = addonOf("cpu");

type Args = unknown[];
type Kernels = Record<string, (...args: Args) => unknown>;

const odd = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65];

/** Sizes drawn from `from` for all words of a kernel, such that they go together. */
function drawSizes(signature: string, from: number[], seed: number): Values {
  const words = wordsOf(signature).filter(({ kind }) => kind === "size" || kind === "flag");
  const draws = normal(words.length, { site: seed, stream: "sample", seed: 1 });
  const drawn = words.map(({ name, kind }, i): [string, number | boolean] => {
    const at = Math.floor(Math.abs(draws[i]) * 1e4);
    return [name, kind === "flag" ? at % 2 === 1 : from[at % from.length]];
  });
  const values = Object.fromEntries(drawn) as Record<string, number>;
  const { n, start, count, B, H, T, capacity } = values;
  if ("B" in values) Object.assign(values, { B: 1 + (B % 3), H: 1 + (H % 3) });
  if ("count" in values) values.n = start + count + n;
  if ("capacity" in values) values.capacity = T + capacity;
  if ("stream" in values) values.n = T + n;
  values.activation = seed % 4;
  if ("aStep" in values) values.aStep = values.aStep > 8 ? values.M * values.K : 0;
  if ("bStep" in values) values.bStep = values.bStep > 8 ? values.K * values.N : 0;
  return values;
}

/** Sizes at which several threads work, and the matrix product packs its operands. */
// biome-ignore format: a few kernels a row
function* largeSizes(signature: string): Generator<Values> {
  const names = new Set(wordsOf(signature).map(({ name }) => name));
  const n = names.has("rows") ? 257 : names.has("outer") ? 61 : 40_001;
  const sizes = {
    n, na: n, nb: 7, nc: 3, batch: 1, M: 200, N: 330, K: 830, outer: 30, inner: 37, rows: 301, V: 50,
    C: 91, count: 40, start: 9, heads: 7, Tq: 67, Tk: 81, D: 33, B: 3, T: 45, H: 5, capacity: 99,
    activation: 2,
    ...(names.has("q") && names.has("inner") && { p: 31, q: 33 }),
  };
  const others: Values[] = [
    { transA: true }, { transB: true }, { transA: true, transB: true }, { transB: true, M: 3 },
    { batch: 3, K: 20 }, { causal: false }, { inner: 1 }, { outer: 1 },
    { inner: 1, outer: 1, n: 20_000 }, { inner: 1, outer: 1, p: 301, q: 203 },
  ];
  yield sizes;
  for (const other of others)
    if (Object.keys(other).every((name) => names.has(name))) yield { ...sizes, ...other };
}

function define({ kernels, signatures, threads }: CpuAddon): void {
  const native = kernels as unknown as Kernels;
  const inDoubles = (x: unknown): unknown => {
    if (Array.isArray(x)) return x.map(inDoubles);
    return x instanceof Float32Array ? Float64Array.from(x) : structuredClone(x);
  };

  const bytesOf = (x: Numbers) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

  /** A kernel with a number of threads on copies of the arguments: all its buffers afterwards. */
  const run = (kernel: string, args: Args, count: number) => {
    const own = structuredClone(args);
    threads(count);
    native[kernel](...own);
    return own.flat().filter(ArrayBuffer.isView) as Numbers[];
  };

  /** `nulls`: which of the arguments that may be null are, a bit for each. */
  const check = (kernel: string, values: Values, lists: number[], nulls = 0) => {
    const what = `${kernel} ${JSON.stringify(values)}, nulls ${nulls}`;
    const args = argumentsOf({ signatures }, kernel, values, { lists });
    for (const [i, { kind, name }] of wordsOf(signatures[kernel]).entries()) {
      if (!/^maybe(In|Out)$/.test(kind)) continue;
      if (nulls % 2 === 1 || (name === "h" && !values.activation)) args[i] = null;
      nulls >>= 1;
    }
    const actual = run(kernel, args, 1);
    const doubles = args.map(inDoubles);
    (reference as unknown as Kernels)[kernel](...doubles);
    const expected = doubles.flat().filter(ArrayBuffer.isView) as Numbers[];
    for (const [i, x] of actual.entries()) {
      let most = 1e-6;
      for (const y of expected[i]) most = Math.max(most, Math.abs(y));
      const wrong = x.findIndex((y, j) => !(Math.abs(y - expected[i][j]) <= 1e-5 * most));
      assert.is(wrong, -1, `${what}: ${x[wrong]}, expected ${expected[i][wrong]}`);
    }
    for (const count of [2, 3, 7, 7])
      for (const [i, x] of run(kernel, args, count).entries())
        assert.ok(
          Buffer.compare(bytesOf(x), bytesOf(actual[i])) === 0,
          `${what}: ${count} threads`,
        );
  };
  const before = threads();
  test.after(() => {
    threads(before);
  });
  for (const [kernel, signature] of Object.entries(signatures)) {
    test(`${kernel}: as in doubles, and the same bits with 1, 2, 3 and 7 threads`, () => {
      for (const [seed, size] of odd.entries()) {
        const lists = [size, 1, odd[odd.length - 1 - seed]];
        check(kernel, drawSizes(signature, odd, seed), lists, seed);
      }
      for (const values of largeSizes(signature)) check(kernel, values, [20_000, 7, 50_001]);
    });
  }
}

if (typeof addon === "string") {
  console.log(`skipped: native: ${addon}`);
  test.skip("needs the C++ addon");
} else define(addon);
test.run();
