import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson, MLP, Value } from "#lessons/01-value.js";
import { assertClose } from "../support/harness.ts";
import { runLesson } from "./run-lesson.ts";

const test = suite("lesson 1");

test("gradients match finite differences, and the MLP separates the moons", async () => {
  const { activation, checks, composite, reused, losses, correct } = await runLesson(lesson);
  assertClose([activation], [Math.SQRT1_2]);
  assertClose(
    checks.map(({ gradient }) => gradient),
    [-1.5, 0.5, 1, 0, 0.5],
  );
  for (const { gradient, numerical } of checks) assert.ok(Math.abs(gradient - numerical) < 1e-5);
  assertClose([composite, reused], [0.5, 2]);
  assert.ok(losses[0] > 0.8 && losses[0] < 1.1, `first loss ${losses[0]}`);
  assert.ok((losses.at(-1) as number) < 0.05, `last loss ${losses.at(-1)}`);
  assert.is(correct, 60);
});

test("the gradient of every op of Value matches a central difference", () => {
  const ops: ((x: Value) => Value)[] = [
    (x) => x.pow(3),
    (x) => x.exp(),
    (x) => x.tanh(),
    (x) => x.relu(),
    (x) => x.mul(x).add(x.mul(-2)), // x is used three times
  ];
  for (const op of ops) {
    const x = new Value(0.7);
    const h = 1e-6;
    op(x).backward();
    const numerical = (op(new Value(0.7 + h)).data - op(new Value(0.7 - h)).data) / (2 * h);
    assertClose([x.grad], [numerical], { rtol: 1e-7 });
  }
});

test("backward() handles a chain of 100,000 values without recursion", () => {
  const x = new Value(1);
  let y = x;
  for (let i = 0; i < 100_000; i++) y = y.add(0);
  y.backward();
  assert.is(x.grad, 1);
});

test("an MLP has a weight per connection and a bias per neuron", () => {
  assert.is(new MLP(2, 8, 8, 1).parameters().length, 2 * 8 + 8 + 8 * 8 + 8 + 8 + 1);
});

test.run();
