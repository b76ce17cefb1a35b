// Every kernel of the C++ addon and of the WebAssembly module, at odd sizes and at sizes for many threads: its results match those
// of the reference kernel in double precision, and have the same bits with any number of threads.
// test/backend/simd.test.ts runs this file again for each instruction set.

import { suite, type Test } from "uvu";
import * as assert from "uvu/assert";
import type { CpuAddon, WasmAddon } from "#src/backend/addon.js";
import { addonOf } from "#src/backend/platform/node.js";
import { reference } from "#src/backend/ts/index.js";
import {
  createArguments,
  isOptional,
  largeSizes,
  type NumericArray,
  oddSizes,
  parseSignature,
  sampleSizes,
  type Values,
} from "../support/kernel-calls.js";

/** Sizes for which kernels add blocks of a long sum. */
// biome-ignore format: a kernel a row
const longSums: Record<string, Values[]> = {
  sum: [{ outer: 1, n: 20_011, inner: 3 }, { outer: 2, n: 9001, inner: 9 }],
  softmax: [{ rows: 2, n: 9001 }], softmaxBackward: [{ rows: 2, n: 9001 }],
  layerNorm: [{ rows: 2, n: 9001 }], layerNormBackward: [{ rows: 9001, n: 5 }],
  crossEntropy: [{ rows: 9001, n: 5 }, { rows: 2, n: 9001 }],
  linearBackward: [{ M: 9001, N: 5, K: 7, activation: 1 }],
  embeddingBackward: [{ rows: 9001, V: 70, C: 9 }, { rows: 2000, V: 4, C: 5 }],
  matmul: [
    { batch: 1, M: 9, N: 5, K: 60_001, transA: true }, { batch: 1, M: 3, N: 5, K: 20_001, transB: true },
    { batch: 1, M: 70, N: 90, K: 3000 },
  ],
  linearQuantized: [
    { M: 1, N: 3, K: 9024, bits: 4, groups: 282 }, { M: 2, N: 3, K: 9024, bits: 4, groups: 1 },
    { M: 3, N: 3, K: 9024, bits: 8, groups: 282 }, { M: 5, N: 3, K: 60_000, bits: 8, groups: 1 },
  ],
};

/** Copies the buffers among the arguments into memory of the device. */
function copyArgument(addon: CpuAddon | WasmAddon, x: unknown): unknown {
  if (Array.isArray(x)) return x.map((element) => copyArgument(addon, element));
  if (!("make" in addon) || !ArrayBuffer.isView(x)) return structuredClone(x);
  const values = x as NumericArray;
  const copy = addon.make(values instanceof Int32Array ? "i32" : "f32", values.length);
  copy?.set(values);
  return copy;
}

type Args = unknown[];
type Kernels = Record<string, (...args: Args) => unknown>;

function define(test: Test, addon: CpuAddon | WasmAddon): void {
  const { kernels, signatures, threads } = addon;
  const native = kernels as unknown as Kernels;
  const toDoubles = (x: unknown): unknown => {
    if (Array.isArray(x)) return x.map(toDoubles);
    return x instanceof Float32Array ? Float64Array.from(x) : structuredClone(x);
  };

  const toBytes = (x: NumericArray) => new Uint8Array(x.buffer, x.byteOffset, x.byteLength);

  /** Runs a kernel on copies of the arguments; returns all buffers afterwards. */
  const run = (kernel: string, args: Args, count: number) => {
    const copies = args.map((x) => copyArgument(addon, x));
    threads(count);
    native[kernel](...copies);
    return copies.flat().filter(ArrayBuffer.isView) as NumericArray[];
  };

  /** Checks one call. Bit i of `nulls` makes the i-th optional argument null. */
  const check = (kernel: string, values: Values, lists: number[], nulls = 0) => {
    const call = `${kernel} ${JSON.stringify(values)}, nulls ${nulls}`;
    const args = createArguments({ signatures }, kernel, values, { lists });
    for (const [i, { kind, name }] of parseSignature(signatures[kernel]).entries()) {
      if (!isOptional(kind)) continue;
      const isUnused = name === "h" && !values.activation;
      const isRequired = kernel === "linearBackward" && name === "h"; // with an activation
      if (isUnused || (nulls % 2 === 1 && !isRequired)) args[i] = null;
      nulls >>= 1;
    }
    const actual = run(kernel, args, 1);
    const doubles = args.map(toDoubles);
    (reference as unknown as Kernels)[kernel](...doubles);
    const expected = doubles.flat().filter(ArrayBuffer.isView) as NumericArray[];
    for (const [i, x] of actual.entries()) {
      let scale = 1e-6;
      for (const y of expected[i]) scale = Math.max(scale, Math.abs(y));
      const wrong = x.findIndex((y, j) => !(Math.abs(y - expected[i][j]) <= 1e-5 * scale));
      assert.is(wrong, -1, `${call}: ${x[wrong]}, expected ${expected[i][wrong]}`);
    }
    for (const count of [2, 3, 7, 7])
      for (const [i, x] of run(kernel, args, count).entries())
        assert.ok(
          Buffer.compare(toBytes(x), toBytes(actual[i])) === 0,
          `${call}: ${count} threads`,
        );
  };

  const before = threads();
  test.after(() => {
    threads(before);
  });

  for (const [kernel, signature] of Object.entries(signatures)) {
    test(`${kernel}: matches f64, and has the same bits with 1, 2, 3 and 7 threads`, () => {
      for (const [seed, size] of oddSizes.entries()) {
        const lists = [size, 1, oddSizes[oddSizes.length - 1 - seed]];
        check(kernel, sampleSizes(signature, seed), lists, seed);
      }
      for (const values of [...largeSizes(signature), ...(longSums[kernel] ?? [])])
        check(kernel, values, [20_000, 7, 50_001]);
    });
  }
}

for (const name of ["cpu", "wasm"] as const) {
  const requested = process.env.TINYBARD_TEST_DEVICE;
  if (requested && requested !== name) continue;
  const test = suite(`native on ${name}`);
  const addon = addonOf(name);
  if (typeof addon === "string") {
    console.log(`skipped: native on ${name}: ${addon}`);
    test.skip("needs compiled kernels");
  } else define(test, addon);
  test.run();
}
