// Solutions to lesson 2
//
// The cost of ten times as many points, lesson 1's training on tensors, and where src/autograd.ts
// adds gradients up.
//
// Time: 1 second.

import { readFileSync } from "node:fs";
import { manualSeed, optim, type Tensor, tensor } from "tinybard";
import { MLP, makeMoons, Value } from "../01-value.ts";
import { TensorMLP } from "../02-tensors.ts";
import { say } from "../print.ts";

/** Returns the number of nodes and the time of a forward and a backward pass. */
function measure(getId: () => number, createLoss: () => { id: number; backward(): void }) {
  const start = performance.now();
  const firstId = getId();
  const loss = createLoss();
  loss.backward();
  return { nodes: loss.id - firstId, milliseconds: performance.now() - start };
}

/** Returns the mean hinge loss of tensors of scores and labels (N, 1). */
function hingeLoss(scores: Tensor, labels: Tensor): Tensor {
  return scores.mul(labels.mul(-1)).add(1).relu().mean();
}

export async function solution() {
  say(`1. Ten times as many points are ten times as many values, but not a single tensor more: the
    tensors only have more rows. The time of both grows, that of tensors far less.`);
  manualSeed(1337);
  const mlp = new MLP(2, 16, 16, 1);
  const counts = [60, 600].map((count) => {
    const points = Array.from({ length: count }, (_, i) => [Math.cos(i), Math.sin(2 * i)]);
    const labels = points.map(([x, y]) => (x * y > 0 ? 1 : -1));
    const values = measure(
      () => new Value(0).id,
      () => {
        const hinges = points.map((point, i) =>
          mlp.forward(point)[0].mul(-labels[i]).add(1).relu(),
        );
        return hinges.reduce((sum, hinge) => sum.add(hinge)).mul(1 / count);
      },
    );
    const x = tensor(points); // (N, 2)
    const y = tensor(labels.map((label) => [label])); // (N, 1)
    const model = new TensorMLP(mlp);
    const tensors = measure(
      () => tensor(0).id,
      () => hingeLoss(model.forward(x), y),
    );
    const format = ({ nodes, milliseconds }: typeof values) =>
      `${String(nodes).padStart(7)} nodes ${milliseconds.toFixed(1).padStart(7)} ms`;
    console.log(`${count} points: values ${format(values)}, tensors ${format(tensors)}`);
    return { values: values.nodes, tensors: tensors.nodes };
  });

  say("2. The loop of lesson 1, where SGD is the update p -= lr * p.grad:");
  manualSeed(1337);
  const moons = makeMoons();
  const x = tensor(moons.map(({ position }) => position)); // (60, 2)
  const y = tensor(moons.map(({ label }) => [label])); // (60, 1)
  const model = new TensorMLP(new MLP(2, 8, 8, 1));
  const parameters = model.layers.flatMap(({ w, b }) => [w, b]);
  const optimizer = new optim.SGD(parameters, { lr: 2.5 });
  const losses: number[] = [];
  for (let step = 0; step < 100; step++) {
    optimizer.lr = 2.5 * (1 - step / 100);
    const loss = hingeLoss(model.forward(x), y);
    optimizer.zeroGrad();
    loss.backward();
    optimizer.step();
    losses.push(loss.item());
  }
  const scores = model.forward(x).data();
  const correct = moons.filter(({ label }, i) => label * scores[i] > 0).length;
  console.log(`loss ${losses[0].toFixed(4)}, after 100 steps ${losses[99].toFixed(4)}`);
  console.log(`${correct} of ${moons.length} points right`);

  say("3. The gradients of a tensor that is used twice are added by accumulateGrad():");
  const file = new URL("../../../src/autograd.ts", import.meta.url);
  const lines = readFileSync(file, "utf8").split("\n");
  const index = lines.findIndex((line) => line.includes("kernels.add(sum"));
  console.log(`src/autograd.ts:${index + 1}: ${lines[index].trim()}`);
  return { counts, losses, correct, line: lines[index] };
}
