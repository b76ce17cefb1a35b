// What tests share: suites for every device, comparison of numbers, and the harness that holds an
// op to its reference, its derivative and its meaning.

import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import {
  checkGradient,
  type Device,
  type DeviceName,
  device,
  devices,
  manualSeed,
  randn,
  setDefaultDevice,
  sum,
  type Tensor,
  tensor,
} from "tinybard";
import { suite, type Test } from "uvu";
import * as assert from "uvu/assert";
import { replay } from "#src/random.js";

/**
 * Runs one body of tests on every device that works here, or on the one that the runner was told.
 * The emulator takes long, and works only when it is told.
 */
export function eachDevice(name: string, body: (test: Test, on: Device) => void): void {
  const asked = process.env.TINYBARD_TEST_DEVICE as DeviceName | undefined;
  const names = asked
    ? [asked]
    : devices()
        .filter((d) => d.available && d.name !== "cuda-emulator")
        .map((d) => d.name);
  for (const each of names) {
    const test = suite(`${name} on ${each}`);
    test.before.each(() => {
      setDefaultDevice(each);
      manualSeed(1);
    });
    body(test, device(each));
    test.run();
  }
}

/** Asserts |a - e| <= atol + rtol |e| for all elements; NaN equals NaN, an infinity itself. */
export function assertClose(
  actual: Tensor | ArrayLike<number>,
  expected: Tensor | ArrayLike<number>,
  { rtol = 1e-6, atol = 1e-7, what = "values" } = {},
): void {
  const [a, e] = [actual, expected].map((x) => Array.from("data" in x ? x.data() : x));
  assert.is(a.length, e.length, `${what}: ${a.length} elements, expected ${e.length}`);
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], e[i]) || a[i] === e[i]) continue;
    const near = Math.abs(a[i] - e[i]) <= atol + rtol * Math.abs(e[i]);
    assert.ok(
      near,
      `${what}: element ${i} is ${a[i]}, expected ${e[i]} (rtol ${rtol}, atol ${atol})`,
    );
  }
}

/** An op on a line: how to call it, on which shapes, and what else is known of it. */
export interface OpRow {
  name: string;
  f: (...inputs: Tensor[]) => Tensor;
  /** Lists of input shapes; a shape by itself is that of a single input. */
  shapes: (number[] | number[][])[];
  /** The same in small ops. */
  spec?: (...inputs: Tensor[]) => Tensor;
  /** Moves random numbers into the function's domain, away from its kinks. */
  domain?: (x: number) => number;
  /** For f32 against f64. */
  rtol?: number;
  atol?: number;
}

/**
 * Holds an op on a device to the f64 reference, its derivative to differences, both to the meaning.
 */
export function testOp(test: Test, on: Device, row: OpRow): void {
  const { name, f, spec, domain = (x) => x, rtol = 1e-5, atol = 2e-6 } = row;
  for (const shapes of row.shapes) {
    const list = (Array.isArray(shapes[0]) ? shapes : [shapes]) as number[][];
    test(`${name} ${JSON.stringify(list)}`, () => {
      const doubles = list.map((shape) => {
        const values = randn(shape, { dtype: "f64", device: "ts" }).data().map(domain);
        return tensor(values, { shape, device: "ts", requiresGrad: true });
      });
      const singles = doubles.map((x) =>
        tensor(Float32Array.from(x.data()), { shape: x.shape, device: on, requiresGrad: true }),
      );
      const exact = sameSingles(doubles, singles);
      const [y, z] = [replay(() => f(...singles)), replay(() => f(...exact))]; // the same draws
      assert.equal(y.shape, z.shape);
      assertClose(y, z, { rtol, atol, what: `${name} against f64` });
      const dz = randn(z.shape, { dtype: "f64", device: "ts" });
      y.backward(tensor(Float32Array.from(dz.data()), { shape: y.shape, device: on }));
      z.backward(
        tensor(Float64Array.from(Float32Array.from(dz.data())), { shape: z.shape, device: "ts" }),
      );
      for (const [i, x] of singles.entries()) {
        const what = `gradient ${i} of ${name} against f64`;
        assertClose(gradOf(x), gradOf(exact[i]), { rtol: 10 * rtol, atol: 10 * atol, what });
      }
      const check = checkGradient(f, doubles);
      assert.ok(check.ok, `${name}: gradient differs from differences: ${JSON.stringify(check)}`);
      if (spec) assertSame(name, f, spec, doubles, dz);
    });
  }
}

/** f64 copies of f32 values, so that only the arithmetic differs. */
function sameSingles(doubles: Tensor[], singles: Tensor[]): Tensor[] {
  return singles.map((x, i) => {
    const values = Float64Array.from(x.data());
    return tensor(values, { shape: doubles[i].shape, device: "ts", requiresGrad: true });
  });
}

function gradOf(x: Tensor): Tensor {
  return x.grad ?? tensor(new Float64Array(x.size), { shape: x.shape, device: "ts" });
}

/** Asserts that two functions have the same values and gradients, in f64. */
export function assertSame(
  name: string,
  f: (...inputs: Tensor[]) => Tensor,
  spec: (...inputs: Tensor[]) => Tensor,
  inputs: Tensor[],
  dy: Tensor,
): void {
  const run = (g: typeof f) => {
    const copies = inputs.map((x) =>
      tensor(x.data(), { shape: x.shape, device: "ts", requiresGrad: true }),
    );
    manualSeed(2);
    const y = g(...copies);
    const values = y.data();
    sum(y.mul(dy)).backward();
    return [values, ...copies.map((x) => gradOf(x).data())];
  };
  const [ours, meant] = [run(f), run(spec)];
  ours.forEach((values, i) => {
    const what = `${name} against its meaning, ${i ? `gradient ${i - 1}` : "value"}`;
    assertClose(values, meant[i], { rtol: 1e-9, atol: 1e-10, what });
  });
}

/** Is this the error that was meant? A string alone would be no expectation for assert.throws(). */
export function hasMessage(message: string): (error: Error) => boolean {
  return (error) => {
    assert.is(error.message, message);
    return true;
  };
}

/** Where test data lies, in the sources. */
export function fixturePath(path: string): string {
  return fileURLToPath(new URL(`../../test/golden/${path}`, import.meta.url));
}

/** Tiny Shakespeare, or null with a line that says what is skipped. */
export function loadShakespeare(what: string): string | null {
  const file = process.env.TINYBARD_DATA;
  if (file && existsSync(file)) {
    const text = readFileSync(file, "utf8");
    if (text.length === 1115394) return text;
  }
  console.log(`skipped: ${what}: TINYBARD_DATA does not name Tiny Shakespeare`);
  return null;
}
