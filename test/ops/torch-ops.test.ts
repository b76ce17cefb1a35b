// Results and gradients of ops that are composites, as PyTorch computes them: NaN, infinities, ties,
// scalars, empty tensors and integers included. test/golden/torch-ops.py has computed the values. An
// op that is also a method of Tensor is called both ways.

import { readFileSync } from "node:fs";
import * as tinybard from "tinybard";
import { type Device, Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

type Number = number | string;
type Values = { shape: number[]; values: Number[]; dtype: "f32" | "i32" };
type Argument = Values | { list: Values[] } | { value: unknown };

interface Case {
  op: string;
  args: Argument[];
  y: Values | Values[];
  dys?: Values[];
  grads?: (Values | null)[];
}

const cases: Case[] = JSON.parse(readFileSync(fixturePath("torch-ops.json"), "utf8"));
const special: Record<string, number> = { nan: NaN, inf: Infinity, "-inf": -Infinity, "-0.0": -0 };
const toNumber = (x: Number): number => (typeof x === "string" ? special[x] : x);

/** Makes the tensors of a case; floats require a gradient, so `inputs` collects them. */
function makeArguments(args: Argument[], on: Device, inputs: Tensor[]): unknown[] {
  const make = ({ values, shape, dtype }: Values) => {
    const numbers = Float64Array.from(values, toNumber);
    const x = tensor(numbers, { shape, dtype, device: on, requiresGrad: dtype === "f32" });
    inputs.push(x);
    return x;
  };
  return args.map((arg) => {
    if ("list" in arg) return arg.list.map(make);
    if (!("value" in arg)) return make(arg);
    return typeof arg.value === "string" && arg.value in special ? special[arg.value] : arg.value;
  });
}

/** The tensors of a result: one, a list, or an object such as that of sort. */
function toList(y: Tensor | Tensor[] | Record<string, Tensor>): Tensor[] {
  return y instanceof Tensor ? [y] : Object.values(y);
}

function check({ op, y, dys, grads }: Case, results: Tensor[], inputs: Tensor[], on: Device): void {
  const expected = Array.isArray(y) ? y : [y];
  assert.is(results.length, expected.length);
  for (const [i, { shape, values, dtype }] of expected.entries()) {
    assert.equal(results[i].shape, shape);
    assert.is(results[i].dtype, dtype);
    assertClose(results[i], values.map(toNumber), { rtol: 3e-6, atol: 2e-6, what: op });
  }
  if (!dys || !grads) return;
  const floats = results.filter((x) => x.requiresGrad);
  assert.is(floats.length, dys.length, `${op}: results with a gradient`);
  const loss = floats.map((x, i) => {
    const dy = tensor(Float32Array.from(dys[i].values, toNumber), { shape: x.shape, device: on });
    return tinybard.record("loss", tinybard.zeros([], { device: on }), [x], () => [dy]);
  });
  tinybard.stack(loss).sum().backward();
  for (const [i, expectedGrad] of grads.entries()) {
    if (!expectedGrad) continue;
    const grad = inputs[i].grad ?? tinybard.zeros(inputs[i].shape, { device: on });
    const what = `gradient ${i} of ${op}`;
    assertClose(grad, expectedGrad.values.map(toNumber), { rtol: 1e-5, atol: 5e-6, what });
  }
}

eachDevice("ops of PyTorch", (test, on) => {
  const functions = tinybard as unknown as Record<string, (...args: unknown[]) => never>;
  cases.forEach((goldenCase, i) => {
    const { op, args } = goldenCase;
    const options = args
      .map((arg) => ("value" in arg ? JSON.stringify(arg.value) : "x"))
      .join(", ");
    const inputs: Tensor[] = [];
    test(`${i} ${op}(${options})`, () => {
      const values = makeArguments(args, on, inputs);
      check(goldenCase, toList(functions[op](...values)), inputs, on);
      if (!(op in Tensor.prototype) || !(values[0] instanceof Tensor)) return;
      inputs.length = 0;
      const [x, ...rest] = makeArguments(args, on, inputs) as [
        Record<string, (typeof functions)[0]>,
      ];
      check(goldenCase, toList(x[op](...rest)), inputs, on);
    });
  });
});
