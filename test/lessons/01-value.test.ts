import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson, MLP, Value } from "#lessons/01-value.js";
import { assertClose } from "../support/support.ts";
import { told } from "./told.ts";

const test = suite("lesson 1");

test("gradients are what moving the numbers shows, and an MLP tells the moons apart", async () => {
  const { activation, nudged, brokenUp, twice, losses, right } = await told(lesson);
  assertClose([activation], [Math.SQRT1_2]);
  assertClose(
    nudged.map(({ gradient }) => gradient),
    [-1.5, 0.5, 1, 0, 0.5],
  );
  for (const { gradient, slope } of nudged) assert.ok(Math.abs(gradient - slope) < 1e-5);
  assertClose([brokenUp, twice], [0.5, 2]);
  assert.ok(losses[0] > 0.8 && losses[0] < 1.1, `first loss ${losses[0]}`);
  assert.ok((losses.at(-1) as number) < 0.05, `last loss ${losses.at(-1)}`);
  assert.is(right, 60);
});

test("every op of Value has the slope that moving its input shows", () => {
  const ops: ((x: Value) => Value)[] = [
    (x) => x.pow(3),
    (x) => x.exp(),
    (x) => x.tanh(),
    (x) => x.relu(),
    (x) => x.mul(x).add(x.mul(-2)), // used four times
  ];
  for (const op of ops) {
    const [x, h] = [new Value(0.7), 1e-6];
    op(x).backward();
    const slope = (op(new Value(0.7 + h)).data - op(new Value(0.7 - h)).data) / (2 * h);
    assertClose([x.grad], [slope], { rtol: 1e-7 });
  }
});

test("gradients pass a chain of 100,000 values, without recursion", () => {
  const x = new Value(1);
  let y = x;
  for (let i = 0; i < 100_000; i++) y = y.add(0);
  y.backward();
  assert.is(x.grad, 1);
});

test("an MLP has a weight for each pair and a bias for each neuron", () => {
  assert.is(new MLP(2, 8, 8, 1).parameters().length, 2 * 8 + 8 + 8 * 8 + 8 + 8 + 1);
});

test.run();
