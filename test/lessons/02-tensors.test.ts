import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/02-tensors.js";
import { assertClose } from "../support/support.ts";
import { told } from "./told.ts";

const test = suite("lesson 2");

test("the same gradients from values and from tensors, with a hundredth of the nodes", async () => {
  const { neuron, values, together, apart, sums } = await told(lesson);
  assertClose(neuron, [-1.5, 0.5, 1, 0, 0.5], { rtol: 1e-5, atol: 1e-6 });
  assertClose([together.loss], [values.loss], { rtol: 1e-6 });
  assert.ok(apart < 1e-6, `gradients ${apart} apart`);
  assert.ok(values.made > 38_000 && values.made < 45_000, `${values.made} values`);
  assert.ok(together.made < 100, `${together.made} tensors`);
  assert.equal(sums, [1111, 1111, 1111]);
});

test.run();
