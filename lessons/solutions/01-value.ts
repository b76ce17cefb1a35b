// Solutions to lesson 1
//
// Training without setting gradients to 0, the sigmoid, and a backward pass that overwrites
// gradients instead of adding to them.
//
// Time: 2 seconds.

import { manualSeed } from "tinybard";
import { MLP, makeMoons, Value } from "../01-value.ts";
import { say } from "../print.ts";

type Point = ReturnType<typeof makeMoons>[number];

/** The parts of lesson 1's training that the exercises change. */
export interface MoonOptions {
  /** Sets gradients to 0 before each backward pass. Default: true. */
  zeroGrad?: boolean;
  backward?: (loss: Value) => void;
  forward?: (model: MLP, position: readonly number[]) => Value;
}

/** Trains the classifier of lesson 1 and returns its losses and the number of correct points. */
export function trainMoons(options: MoonOptions = {}): { losses: number[]; correct: number } {
  const { zeroGrad = true, backward = (loss: Value) => loss.backward() } = options;
  const { forward = (model: MLP, position: readonly number[]) => model.forward(position)[0] } =
    options;
  manualSeed(1337);
  const points = makeMoons();
  const model = new MLP(2, 8, 8, 1);
  const parameters = model.parameters();
  const losses: number[] = [];
  for (let step = 0; step < 100; step++) {
    const hinges = points.map(({ position, label }) =>
      forward(model, position).mul(-label).add(1).relu(),
    );
    const loss = hinges.reduce((sum, hinge) => sum.add(hinge)).mul(1 / points.length);
    if (zeroGrad) for (const p of parameters) p.grad = 0;
    backward(loss);
    const learningRate = 2.5 * (1 - step / 100);
    for (const p of parameters) p.data -= learningRate * p.grad;
    losses.push(loss.data);
  }
  const isCorrect = ({ position, label }: Point) => forward(model, position).data * label > 0;
  return { losses, correct: points.filter(isCorrect).length };
}

/** Returns 1 / (1 + e^-x), whose derivative is y (1 - y). */
export function sigmoid(x: Value): Value {
  const y = 1 / (1 + Math.exp(-x.data));
  return new Value(y, "sigmoid", [x], [y * (1 - y)]);
}

/** Value.backward() with = instead of +=. */
export function backwardOverwriting(root: Value): void {
  const reachable = new Set<Value>([root]);
  for (const value of reachable) {
    for (const input of value.inputs) reachable.add(input);
  }
  root.grad = 1;
  for (const output of [...reachable].sort((a, b) => b.id - a.id)) {
    for (const [i, input] of output.inputs.entries())
      input.grad = output.localGrads[i] * output.grad;
  }
}

export async function solution() {
  say(`1. Without the line that sets gradients to 0, each step moves along the sum of all gradients
    so far. The first step is the same. After that the steps grow, past the minimum and on.`);
  const normal = trainMoons();
  const accumulating = trainMoons({ zeroGrad: false });
  for (const step of [0, 1, 5, 20, 99]) {
    const columns = [normal, accumulating].map(({ losses }) => losses[step].toFixed(3).padStart(9));
    console.log(`step ${String(step).padEnd(3)} loss ${columns.join("")} without the line`);
  }

  say("2. The derivative of the sigmoid is y (1 - y), where y is its value.");
  const x = new Value(0.7);
  sigmoid(x).backward();
  const h = 1e-6;
  const difference =
    (sigmoid(new Value(0.7 + h)).data - sigmoid(new Value(0.7 - h)).data) / (2 * h);
  console.log(`gradient ${x.grad.toFixed(8)}, measured ${difference.toFixed(8)}`);

  say(`3. A value that is used twice is wrong first: a + a has derivative 1 instead of 2. In the MLP
    each weight is used once for each of the 60 points, and only one of them still counts. The
    gradient is 60 times too small and follows a single point.`);
  const a = new Value(3);
  backwardOverwriting(a.add(a));
  const overwriting = trainMoons({ backward: backwardOverwriting });
  console.log(`gradient of a + a: ${a.grad}`);
  console.log(`loss after 100 steps: ${overwriting.losses[99].toFixed(3)}`);
  console.log(`correct points: ${overwriting.correct} of 60`);
  return { normal, accumulating, gradient: x.grad, difference, overwritten: a.grad, overwriting };
}
