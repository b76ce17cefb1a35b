// Compares the result and the gradients of each op with PyTorch's, which were computed in double
// precision.

import { readFileSync } from "node:fs";
import * as tinybard from "tinybard";
import { loadSafetensors, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

interface Case {
  op: string;
  params: Record<string, unknown>;
  inputs: Record<string, number[]>;
}

const cases: Case[] = JSON.parse(readFileSync(fixturePath("ops.json"), "utf8"));

/** Calls the op of a case: its tensors, then its positional parameters, then its options. */
function call({ op, params }: Case, inputs: Tensor[]): Tensor {
  const ops = tinybard as unknown as Record<string, (...args: unknown[]) => Tensor>;
  const { exponent, cap, dim0, dim1, dims, shape, mask, value, ...options } = params;
  if (op === "cat") return tinybard.cat(inputs, options);
  if (op === "maskedFill") {
    assert.is(mask, "strictly upper triangle");
    const T = inputs[0].shape.at(-1) as number;
    const rows = Array.from({ length: T }, (_, i) =>
      Array.from({ length: T }, (_, j) => Number(j > i)),
    );
    return tinybard.maskedFill(
      inputs[0],
      tensor(rows, { dtype: "i32", device: inputs[0].device }),
      value as number,
    );
  }
  if (options.table === "rotaryTable") {
    const [{ shape, device }] = inputs;
    const D = shape[2] / 3 / (options.nHead as number);
    options.table = tinybard.nn.rotaryTable(shape[1], D).to(device);
  }
  const positional = [exponent, cap, dim0, dim1, dims, shape];
  const args: unknown[] = positional.filter((arg) => arg !== undefined);
  if (Object.keys(options).length > 0) args.push(options);
  return ops[op](...inputs, ...args);
}

eachDevice("golden ops", (test, on) => {
  const all = loadSafetensors(fixturePath("ops.safetensors"));
  cases.forEach((goldenCase, i) => {
    const { op, params, inputs: shapes } = goldenCase;
    test(`${i} ${op} ${JSON.stringify(params)} ${JSON.stringify(shapes)}`, () => {
      const names = Object.keys(shapes);
      const inputs = names.map((name) => {
        const x = all[`${i}.in.${name}`];
        return tensor(x.data(), { shape: x.shape, device: on, requiresGrad: x.dtype === "f32" });
      });
      const y = call(goldenCase, inputs);
      assert.equal(y.shape, all[`${i}.out`].shape);
      assertClose(y, all[`${i}.out`], { rtol: 2e-6, atol: 2e-6, what: "value" });
      y.backward(all[`${i}.dout`].to(on));
      let checked = 0;
      names.forEach((name, j) => {
        const expected = all[`${i}.grad.${name}`];
        if (!expected) return;
        assertClose(inputs[j].grad as Tensor, expected, {
          rtol: 1e-5,
          atol: 5e-6,
          what: `gradient of ${name}`,
        });
        checked++;
      });
      assert.ok(checked > 0, "no gradient was compared");
    });
  });
});
