// Lesson 2: From numbers to tensors
//
// One Value per number is easy to understand but slow: the MLP of lesson 1 creates thousands of
// them for a single loss. A tensor holds many numbers in one node of the graph, with one op and one
// gradient of its own shape. Nothing else changes: backward() in src/autograd.ts works like that of
// lesson 1, with ids as the topological order, newest first, and gradients that add up.
//
// Time: 1 second.

import { manualSeed, randn, type Tensor, tensor } from "tinybard";
import { MLP, Value } from "./01-value.ts";
import { show } from "./figure.ts";
import { drawGraph } from "./graph.ts";
import { say } from "./print.ts";

/** The MLP of lesson 1 with its weights in matrices. */
export class TensorMLP {
  readonly layers: { w: Tensor; b: Tensor }[];

  constructor(model: MLP) {
    this.layers = model.layers.map((neurons) => {
      const w = neurons.map(({ weights }) => weights.map(({ data }) => data)); // (out, in)
      const b = neurons.map(({ bias }) => bias.data); // (out)
      return {
        w: tensor(w, { requiresGrad: true }),
        b: tensor(b, { requiresGrad: true }),
      };
    });
  }

  /** Computes the scores of all points at once: x (N, in) -> (N, out). */
  forward(x: Tensor): Tensor {
    let y = x;
    for (const [i, { w, b }] of this.layers.entries()) {
      y = y.matmul(w.transpose(0, 1)).add(b); // (N, out); b (out) is added to each row
      if (i < this.layers.length - 1) y = y.tanh();
    }
    return y;
  }
}

export async function lesson() {
  manualSeed(1337);

  say(`The neuron of lesson 1 had five leaves and five ops. On tensors it has three and four.`);
  const x = tensor([2, 0], { requiresGrad: true });
  const w = tensor([-3, 1], { requiresGrad: true });
  const b = tensor(6 + Math.atanh(Math.SQRT1_2), { requiresGrad: true });
  const output = x.mul(w).sum().add(b).tanh();
  const view = {
    inputs: (t: Tensor) => t.node?.inputs ?? [],
    op: (t: Tensor) => t.node?.name ?? "",
    label: (t: Tensor) => `[${t.shape}] ${format(t)}`,
  };
  show(drawGraph(output, view), "lesson-02"); // before backward(), which frees the graph
  output.backward();
  const gradients = [x, w, b].map((leaf) => leaf.grad as Tensor);
  const [dx, dw, db] = gradients.map(format);
  console.log(`gradients: x ${dx}, w ${dw}, b ${db}`);

  say(`An MLP on 60 points, first with values and then with tensors, with the same weights.`);
  const model = new MLP(2, 16, 16, 1);
  const points = randn([60, 2]); // (60, 2)
  const rows = points.toArray() as number[][];
  const getLabel = (point: readonly number[]) => (point[0] * point[1] > 0 ? 1 : -1);

  const start = performance.now();
  const firstId = new Value(0).id;
  const hinges = rows.map((row) => model.forward(row)[0].mul(-getLabel(row)).add(1).relu());
  const loss = hinges.reduce((sum, hinge) => sum.add(hinge)).mul(1 / rows.length);
  loss.backward();
  const withValues: Result = {
    nodes: loss.id - firstId,
    milliseconds: performance.now() - start,
    loss: loss.data,
  };

  const tensorModel = new TensorMLP(model);
  const labels = tensor(rows.map((row) => [getLabel(row)])); // (60, 1)
  runTensors(tensorModel, points, labels); // warm-up: the first call also compiles the code
  for (const { w, b } of tensorModel.layers) {
    w.grad = null;
    b.grad = null;
  }
  const withTensors = runTensors(tensorModel, points, labels);

  print("values: ", withValues);
  print("tensors:", withTensors);
  const difference = compareGradients(tensorModel, model);
  console.log(`The 337 gradients differ by at most ${difference.toExponential(1)}:`);
  console.log("tensors are f32 and round, a Value is f64.");

  say(`The one new idea is broadcasting. The bias (16) was added to 60 rows, so it was used 60
    times, and the gradients of all uses add up: the gradient of broadcasting is a sum.`);
  const bias = tensor([1, 2, 3], { requiresGrad: true }); // (3)
  const shifted = randn([4, 3]).add(bias); // (4, 3)
  const dy = tensor([1, 10, 100, 1000].map((row) => [row, row, row])); // (4, 3)
  shifted.backward(dy);
  const biasGrad = Array.from((bias.grad as Tensor).data()); // (3)
  console.log("A bias is added to four rows, whose gradients are 1, 10, 100 and 1000.");
  console.log(`The gradient of the bias is ${biasGrad.join(", ")}.`);

  console.log(`
Exercises
1. Use 600 points instead of 60. How do the two times grow, and how many nodes are there?
2. Write the training loop of lesson 1 with tensors and train it on the moons.
3. Read src/autograd.ts. Which line is the += of Value.backward()?`);
  return {
    neuron: gradients.flatMap((gradient) => Array.from(gradient.data())),
    withValues,
    withTensors,
    difference,
    biasGrad,
  };
}

/** The cost of one loss and its backward pass. */
interface Result {
  nodes: number;
  milliseconds: number;
  loss: number;
}

/** Computes the hinge loss of lesson 1 and its gradients. */
function runTensors(model: TensorMLP, points: Tensor, labels: Tensor): Result {
  const start = performance.now();
  const firstId = tensor(0).id;
  const hinges = model.forward(points).mul(labels.mul(-1)).add(1).relu(); // (N, 1)
  const loss = hinges.mean(); // ()
  loss.backward();
  return {
    nodes: loss.id - firstId,
    milliseconds: performance.now() - start,
    loss: loss.item(),
  };
}

/** Returns the largest difference between the gradients of the two models. */
function compareGradients(tensorModel: TensorMLP, model: MLP): number {
  const differences = tensorModel.layers.flatMap(({ w, b }, i) => {
    const neurons = model.layers[i];
    const dw = neurons.flatMap(({ weights }) => weights.map(({ grad }) => grad));
    const db = neurons.map(({ bias }) => bias.grad);
    return [maxDifference(w.grad as Tensor, dw), maxDifference(b.grad as Tensor, db)];
  });
  return Math.max(...differences);
}

function maxDifference(t: Tensor, values: readonly number[]): number {
  return Math.max(...Array.from(t.data(), (x, i) => Math.abs(x - values[i])));
}

function format(t: Tensor): string {
  return Array.from(t.data(), (x) => Number(x.toFixed(4))).join(" ");
}

function print(label: string, { nodes, milliseconds, loss }: Result): void {
  console.log(`${label} ${nodes} nodes, ${milliseconds.toFixed(1)} ms, loss ${loss.toFixed(6)}`);
}
