// The table of special values: where NaN, infinities, -0, subnormal and huge numbers, and rows of no
// elements go, in every op and its gradient. The expected values are PyTorch's, computed by
// test/golden/special-values.py, and every device must return them.

import { readFileSync } from "node:fs";
import * as tinybard from "tinybard";
import { type Device, optim, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, fixturePath } from "../support/harness.js";

interface Case {
  op: string;
  params: Record<string, number | string>;
  inputs: Record<string, number>; // indices of arrays
  ints: string[]; // the inputs of i32
  y: number;
  dy?: number; // ones if undefined
  grads?: Record<string, number>;
}

interface Golden {
  arrays: { shape: number[]; values: (number | string)[] }[];
  cases: Case[];
}

const golden: Golden = JSON.parse(readFileSync(fixturePath("special-values.json"), "utf8"));
const names: Record<string, number> = { nan: NaN, inf: Infinity, "-inf": -Infinity, "-0.0": -0 };
const toNumber = (x: number | string) => (typeof x === "string" ? names[x] : x);
const arrays = golden.arrays.map(({ shape, values }) => ({ shape, values: values.map(toNumber) }));

/** Calls the op of a case. */
function call({ op, params }: Case, inputs: Tensor[]): Tensor {
  const ops = tinybard as unknown as Record<string, (...args: unknown[]) => Tensor>;
  const numbers = Object.entries(params).map(([key, x]) => [key, names[x] ?? x]);
  const { exponent, value, ...options } = Object.fromEntries(numbers);
  const args = [exponent, value].filter((x) => x !== undefined);
  if (op === "var") return inputs[0].var(options);
  if (Object.keys(options).length > 0) args.push(options);
  return ops[op](...inputs, ...args);
}

/** Returns the weights after three steps of an optimizer. */
function optimize({ op, params, inputs }: Case, on: Device): Tensor {
  const [w, g] = [inputs.w, inputs.g].map((i) => arrays[i]);
  const x = tensor(w.values, { shape: w.shape, device: on, requiresGrad: true });
  const optimizer = new optim[op as "SGD" | "Adam" | "AdamW"]([x], params as { lr: number });
  for (let step = 0; step < 3; step++) {
    x.grad = tensor(g.values, { shape: g.shape, device: on });
    optimizer.step();
  }
  return x.detach();
}

/** Returns the norm of a gradient, and then the clipped gradient. */
function clip({ params, inputs }: Case, on: Device): number[] {
  const { shape, values } = arrays[inputs.g];
  const x = tensor(values, { shape, device: on, requiresGrad: true });
  x.grad = tensor(values, { shape, device: on });
  const norm = optim.clipGradNorm([x], params.maxNorm as number);
  return [norm, ...(x.grad as Tensor).data()];
}

/** Ops that compute exactly or round once: the sign of 0 and subnormal results are compared. */
const exact =
  /^(neg|abs|relu|sqrt|add|sub|mul|div|where|maskedFill|max|argmax|embedding|clipGradNorm)$/;
/** Other functions of one number, where the sign of 0 is compared. */
const unary = /^(exp|log|sin|cos|tanh|sigmoid|silu|gelu|relu2|pow)$/;

/**
 * Asserts that values are the expected ones: NaN and infinities exactly, the others within rounding.
 * Where the sign of 0 is compared, a number may still underflow to a 0 of its sign.
 */
function assertValues(op: string, what: string, actual: ArrayLike<number>, i: number): void {
  const expected = arrays[i].values;
  const hasSigns = what === "y" && (exact.test(op) || unary.test(op));
  const atol = exact.test(op) ? 3e-45 : unary.test(op) && what === "y" ? 1e-36 : 2e-6;
  const rtol = /^(gelu|layerNorm|rmsNorm)$/.test(op) ? 5e-5 : 5e-6;
  assert.is(actual.length, expected.length, what);
  for (const [j, e] of expected.entries()) {
    const a = actual[j];
    const isClose = Number.isFinite(e) && Math.abs(a - e) <= atol + rtol * Math.abs(e);
    const isWrongZero = hasSigns && a === 0 && e === 0 && !Object.is(a, e);
    if (!Object.is(a, e) && (!isClose || isWrongZero))
      assert.unreachable(`${what}[${j}] is ${show(a)}, PyTorch: ${show(e)}`);
  }
}

const show = (x: number) => (Object.is(x, -0) ? "-0" : String(x));

eachDevice("special values", (test, on) => {
  for (const [number, row] of golden.cases.entries()) {
    const shapes = Object.values(row.inputs).map((i) => JSON.stringify(arrays[i].shape));
    test(`${number} ${row.op} ${JSON.stringify(row.params)} ${shapes}`, () => {
      if (row.op === "clipGradNorm") return assertValues(row.op, "norm, dx", clip(row, on), row.y);
      if (row.op in optim) return assertValues(row.op, "w", optimize(row, on).data(), row.y);
      const inputs = Object.entries(row.inputs).map(([name, i]) => {
        const isInt = row.ints.includes(name);
        const dtype = isInt ? "i32" : "f32";
        const { shape, values } = arrays[i];
        const requiresGrad = row.grads !== undefined && name in row.grads;
        return tensor(values, { shape, dtype, device: on, requiresGrad });
      });
      const y = call(row, inputs);
      assert.equal(y.shape, arrays[row.y].shape);
      assertValues(row.op, "y", y.data(), row.y);
      if (!row.grads) return;
      const dy = row.dy === undefined ? y.data().map(() => 1) : arrays[row.dy].values;
      y.backward(tensor(dy, { shape: y.shape, device: on }));
      Object.keys(row.inputs).forEach((name, i) => {
        const expected = row.grads?.[name];
        if (expected === undefined) return;
        assertValues(row.op, `d${name}`, (inputs[i].grad as Tensor).data(), expected);
      });
    });
  }
});

eachDevice("special values, moved", (test, on) => {
  const values = Float32Array.from(arrays[golden.cases[0].inputs.x].values); // 37 of all kinds
  const moves: Record<string, (x: Tensor) => Tensor> = {
    reshape: (x) => x.reshape([37, 2]),
    transpose: (x) => x.transpose(0, 1),
    permute: (x) => x.reshape([2, 37, 1]).permute([2, 1, 0]),
    slice: (x) => x.slice({ dim: 1, start: 1, end: 36 }),
    cat: (x) => tinybard.cat([x, x.slice({ dim: 1, start: 0, end: 5 })], { dim: 1 }),
    stack: (x) => tinybard.stack([x, x]),
    split: (x) => tinybard.split(x, 20, { dim: 1 })[1],
  };
  for (const [name, move] of Object.entries(moves)) {
    test(`${name} copies every bit`, () => {
      const compute = (device: Device | "ts") => {
        const x = tensor([...values, ...values], { shape: [2, 37], device, requiresGrad: true });
        const y = move(x);
        const dy = Float32Array.from({ length: y.size }, (_, i) => values[i % 37]);
        y.backward(tensor(dy, { shape: y.shape, device }));
        return [y.data(), (x.grad as Tensor).data()];
      };
      const [y, dx] = compute(on);
      const [expectedY, expectedDx] = compute("ts");
      for (let i = 0; i < y.length; i++) assert.ok(Object.is(y[i], expectedY[i]), `y[${i}]`);
      for (let i = 0; i < dx.length; i++) assert.ok(Object.is(dx[i], expectedDx[i]), `dx[${i}]`);
    });
  }

  test("rows of no elements", () => {
    const x = tinybard.zeros([2, 0], { device: on });
    const w = tinybard.zeros([0], { device: on });
    for (const y of [tinybard.layerNorm(x, w, w), tinybard.rmsNorm(x, w), tinybard.gelu(x)])
      assert.equal(y.shape, [2, 0]);
    assert.throws(() => tinybard.max(x, { dim: 1 }), /at least one element/);
    assert.throws(() => tinybard.argmax(x, { dim: 1 }), /at least one element/);
  });
});
