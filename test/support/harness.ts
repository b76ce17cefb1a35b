// Shared test support: suites that run on every device, comparison of numbers, and the harness that
// compares an op with the reference backend, with finite differences and with its spec.

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

/** True in the build of the emulator that checks each memory access, which takes 20 times as long. */
export const isChecked = process.env.TINYBARD_TEST_CHECKED === "1";

/**
 * Defines the same tests for every available device, or for the one that the runner was called
 * with. The emulator is slow, so it is used only if it is requested.
 */
export function eachDevice(name: string, body: (test: Test, on: Device) => void): void {
  const requested = process.env.TINYBARD_TEST_DEVICE as DeviceName | undefined;
  const names = requested
    ? [requested]
    : devices()
        .filter((d) => d.available && d.name !== "cuda-emulator")
        .map((d) => d.name);
  for (const deviceName of names) {
    const test = suite(`${name} on ${deviceName}`);
    test.before.each(() => {
      setDefaultDevice(deviceName);
      manualSeed(1);
    });
    body(test, device(deviceName));
    test.run();
  }
}

/**
 * Asserts |a - e| <= atol + rtol |e| for all elements, actual a and expected e. NaN equals NaN, and
 * an infinity equals itself.
 */
export function assertClose(
  actual: Tensor | ArrayLike<number>,
  expected: Tensor | ArrayLike<number>,
  { rtol = 1e-6, atol = 1e-7, what = "values" } = {},
): void {
  const a = toNumbers(actual);
  const e = toNumbers(expected);
  assert.is(a.length, e.length, `${what}: ${a.length} elements, expected ${e.length}`);
  for (let i = 0; i < a.length; i++) {
    if (Object.is(a[i], e[i]) || a[i] === e[i]) continue;
    const isClose = Math.abs(a[i] - e[i]) <= atol + rtol * Math.abs(e[i]);
    assert.ok(
      isClose,
      `${what}: element ${i} is ${a[i]}, expected ${e[i]} (rtol ${rtol}, atol ${atol})`,
    );
  }
}

function toNumbers(x: Tensor | ArrayLike<number>): number[] {
  return Array.from("data" in x ? x.data() : x);
}

/** A test of an op: how to call it, for which shapes, and its tolerances. */
export interface OpRow {
  name: string;
  f: (...inputs: Tensor[]) => Tensor;
  /** Lists of input shapes. A plain shape stands for a single input. */
  shapes: (number[] | number[][])[];
  /** The composite of small ops that it equals. */
  spec?: (...inputs: Tensor[]) => Tensor;
  /** Maps random numbers into the domain of the function, away from its kinks. */
  domain?: (x: number) => number;
  /** Tolerances of f32 results compared with f64 results. */
  rtol?: number;
  atol?: number;
}

/**
 * Tests an op on a device: its value and gradients against the f64 reference, its gradients against
 * finite differences, and both against the spec.
 */
export function testOp(test: Test, on: Device, row: OpRow): void {
  const { name, f, spec, domain = (x) => x, rtol = 1e-5, atol = 2e-6 } = row;
  for (const shapes of row.shapes) {
    const inputShapes = (Array.isArray(shapes[0]) ? shapes : [shapes]) as number[][];
    test(`${name} ${JSON.stringify(inputShapes)}`, () => {
      const doubles = inputShapes.map((shape) => {
        const values = randn(shape, { dtype: "f64", device: "ts" }).data().map(domain);
        return tensor(values, { shape, device: "ts", requiresGrad: true });
      });
      const singles = doubles.map((x) =>
        tensor(Float32Array.from(x.data()), { shape: x.shape, device: on, requiresGrad: true }),
      );
      const exact = toDoubles(singles);
      const y = replay(() => f(...singles)); // replay: both use the same random numbers
      const z = replay(() => f(...exact));
      assert.equal(y.shape, z.shape);
      assertClose(y, z, { rtol, atol, what: `${name} against f64` });
      const dz = randn(z.shape, { dtype: "f64", device: "ts" });
      y.backward(tensor(Float32Array.from(dz.data()), { shape: y.shape, device: on }));
      z.backward(
        tensor(Float64Array.from(Float32Array.from(dz.data())), { shape: z.shape, device: "ts" }),
      );
      for (const [i, x] of singles.entries()) {
        const what = `gradient ${i} of ${name} against f64`;
        assertClose(getGrad(x), getGrad(exact[i]), { rtol: 10 * rtol, atol: 10 * atol, what });
      }
      const check = checkGradient(f, doubles);
      assert.ok(
        check.ok,
        `${name}: gradient differs from finite differences: ${JSON.stringify(check)}`,
      );
      if (spec) assertSame(name, f, spec, doubles, dz);
    });
  }
}

/** Returns f64 copies of f32 tensors, so that only the arithmetic differs. */
function toDoubles(singles: Tensor[]): Tensor[] {
  return singles.map((x) => {
    const values = Float64Array.from(x.data());
    return tensor(values, { shape: x.shape, device: "ts", requiresGrad: true });
  });
}

/** Returns the gradient of a tensor, zeros if it has none. */
function getGrad(x: Tensor): Tensor {
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
    return [values, ...copies.map((x) => getGrad(x).data())];
  };
  const actual = run(f);
  const expected = run(spec);
  actual.forEach((values, i) => {
    const what = `${name} against its spec, ${i ? `gradient ${i - 1}` : "value"}`;
    assertClose(values, expected[i], { rtol: 1e-9, atol: 1e-10, what });
  });
}

/**
 * Returns a predicate for assert.throws() that compares the whole message. assert.throws() would
 * use a string as the description of the assertion.
 */
export function hasMessage(message: string): (error: Error) => boolean {
  return (error) => {
    assert.is(error.message, message);
    return true;
  };
}

/** Returns the path of a file in test/golden. */
export function fixturePath(path: string): string {
  return fileURLToPath(new URL(`../../test/golden/${path}`, import.meta.url));
}

/** Returns Tiny Shakespeare, or null after it has printed that `what` is skipped. */
export function loadShakespeare(what: string): string | null {
  const file = process.env.TINYBARD_DATA;
  if (file && existsSync(file)) {
    const text = readFileSync(file, "utf8");
    if (text.length === 1115394) return text;
  }
  console.log(`skipped: ${what}: TINYBARD_DATA does not name Tiny Shakespeare`);
  return null;
}
