// Lesson 2: From numbers to tensors
//
// A Value for each number is clear, and slow: the MLP of lesson 1 makes thousands of them for one
// loss. A tensor is many numbers with one node in the graph, one op and one gradient array of its
// own shape. Nothing else changes. src/tensor/tensor.ts is the engine of lesson 1 with tensors in place of
// numbers: creation numbers as order, a walk from the newest to the oldest, gradients added up.

import { manualSeed, randn, type Tensor, tensor } from "tinybard";
import { MLP, Value } from "./01-value.ts";
import { graph } from "./graph.ts";
import { show } from "./picture.ts";

/** The MLP of lesson 1, its weights in matrices. */
export class TensorMLP {
  readonly layers: { w: Tensor; b: Tensor }[];

  constructor(model: MLP) {
    const options = { requiresGrad: true };
    this.layers = model.layers.map((neurons) => ({
      w: tensor(
        neurons.map(({ weights }) => weights.map(({ data }) => data)),
        options,
      ), // (out, in)
      b: tensor(
        neurons.map(({ bias }) => bias.data),
        options,
      ), // (out)
    }));
  }

  /** All points at once.  x (N, in); gives (N, out). */
  forward(x: Tensor): Tensor {
    return this.layers.reduce((y, { w, b }, i) => {
      const sums = y.matmul(w.transpose(0, 1)).add(b); // b (out) is added to each of the N rows
      return i < this.layers.length - 1 ? sums.tanh() : sums;
    }, x);
  }
}

export async function lesson() {
  manualSeed(1337);

  // The neuron of lesson 1: five leaves and five ops there, three leaves and four ops here.
  const x = tensor([2, 0], { requiresGrad: true });
  const w = tensor([-3, 1], { requiresGrad: true });
  const b = tensor(6 + Math.atanh(Math.SQRT1_2), { requiresGrad: true });
  const output = x.mul(w).sum().add(b).tanh();
  const numbers = (t: Tensor) => Array.from(t.data(), (v) => Number(v.toFixed(4))).join(" ");
  const look = {
    inputs: (t: Tensor) => t.node?.inputs ?? [],
    op: (t: Tensor) => t.node?.name ?? "",
    label: (t: Tensor) => `[${t.shape}] ${numbers(t)}`,
  };
  show(graph(output, look), "lesson-02"); // before backward(), which frees what it has passed
  output.backward();
  const neuron = [x, w, b].map((leaf) => leaf.grad as Tensor);
  console.log(
    `gradients: x ${numbers(neuron[0])}, w ${numbers(neuron[1])}, b ${numbers(neuron[2])}`,
  );

  // A whole MLP on 60 points, once as Values and once as tensors, with the same weights.
  const model = new MLP(2, 16, 16, 1);
  const points = randn([60, 2]);
  const rows = points.toArray() as number[][];
  const label = (row: readonly number[]) => (row[0] * row[1] > 0 ? 1 : -1);

  const startOfValues = performance.now();
  const first = new Value(0).id;
  const losses = rows.map((row) => model.forward(row)[0].mul(-label(row)).add(1).relu());
  const loss = losses.reduce((sum, each) => sum.add(each)).mul(1 / rows.length);
  loss.backward();
  const values = { made: loss.id - first, ms: performance.now() - startOfValues, loss: loss.data };

  const tensors = new TensorMLP(model);
  const labels = tensor(rows.map((row) => [label(row)])); // (60, 1)
  const once = () => {
    const [start, from] = [performance.now(), tensor(0).id];
    const missing = tensors.forward(points).mul(labels.mul(-1)).add(1).relu();
    const loss = missing.mean();
    loss.backward();
    return { made: loss.id - from, ms: performance.now() - start, loss: loss.item() };
  };
  once(); // the first call is slow: the machine code is not there yet
  for (const { w, b } of tensors.layers) w.grad = b.grad = null;
  const together = once();

  const ours = tensors.layers.flatMap(({ w, b }) => [w.grad, b.grad] as Tensor[]);
  const theirs = model.layers.flatMap((neurons) => [
    neurons.flatMap(({ weights }) => weights.map(({ grad }) => grad)),
    neurons.map(({ bias }) => bias.grad),
  ]);
  const apart = Math.max(
    ...ours.flatMap((t, i) => Array.from(t.data(), (v, j) => Math.abs(v - theirs[i][j]))),
  );
  const told = (name: string, { made, ms, loss }: typeof values) =>
    console.log(`${name} ${made} nodes, ${ms.toFixed(1)} ms, loss ${loss.toFixed(6)}`);
  told("values: ", values);
  told("tensors:", together);
  console.log(
    `337 gradients, at most ${apart.toExponential(1)} apart: f32 rounds, a Value is f64\n`,
  );

  // What is new is broadcasting. The bias (16) met 60 rows, so it was used 60 times; and what is
  // used many times adds up its gradients. The gradient of spreading is the sum.
  const bias = tensor([1, 2, 3], { requiresGrad: true }); // (3)
  const spread = randn([4, 3]).add(bias); // (4, 3)
  spread.backward(tensor([1, 10, 100, 1000].map((v) => [v, v, v])));
  const sums = Array.from((bias.grad as Tensor).data());
  console.log(`a bias in rows that feel 1, 10, 100 and 1000 feels ${sums.join(", ")}`);

  console.log(`
Exercises
1. Take 6,000 points instead of 60. How do the two times grow, and how many nodes are there?
2. Write the loss of lesson 1 in tensors with a step of gradient descent, and train the moons.
3. Read passBack() in src/tensor/tensor.ts. Which line is the += of Value.backward()?`);
  return {
    neuron: neuron.flatMap((grad) => Array.from(grad.data())),
    values,
    together,
    apart,
    sums,
  };
}
