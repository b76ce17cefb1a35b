import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/02-tensors.js";
import { assertClose } from "../support/harness.ts";
import { runLesson } from "./run-lesson.ts";

const test = suite("lesson 2");

test("values and tensors have the same gradients, with far fewer nodes for tensors", async () => {
  const { neuron, withValues, withTensors, difference, biasGrad } = await runLesson(lesson);
  assertClose(neuron, [-1.5, 0.5, 1, 0, 0.5], { rtol: 1e-5, atol: 1e-6 });
  assertClose([withTensors.loss], [withValues.loss], { rtol: 1e-6 });
  assert.ok(difference < 1e-6, `gradients differ by ${difference}`);
  assert.ok(withValues.nodes > 38_000 && withValues.nodes < 45_000, `${withValues.nodes} values`);
  assert.ok(withTensors.nodes < 100, `${withTensors.nodes} tensors`);
  assert.equal(biasGrad, [1111, 1111, 1111]);
});

test.run();
