// Lesson 1: A value that knows its gradient
//
// Training asks one question about each parameter of a model: if it were slightly larger, would the
// loss rise or fall, and how fast? The answer is the parameter's gradient. Backpropagation finds
// all gradients in one pass backward through the computation. The class Value does this for single
// numbers; it follows Karpathy's micrograd.
//
// Time: 2 seconds.

import { manualSeed, randn } from "tinybard";
import { show } from "./figure.ts";
import { drawGraph, toDot } from "./graph.ts";
import { heatmap } from "./heatmap.ts";
import { say } from "./print.ts";

let created = 0;

/** A number, the op and inputs it was computed from and, after backward(), its gradient. */
export class Value {
  readonly id = created++; // inputs are created before results, so ids are a topological order
  name = "";
  data: number;
  grad = 0;
  readonly op: string; // empty for a leaf
  readonly inputs: readonly Value[];
  readonly localGrads: readonly number[]; // d this / d input, one for each input

  constructor(data: number, op = "", inputs: readonly Value[] = [], localGrads: number[] = []) {
    this.data = data;
    this.op = op;
    this.inputs = inputs;
    this.localGrads = localGrads;
  }

  add(other: Value | number): Value {
    const b = toValue(other);
    return new Value(this.data + b.data, "+", [this, b], [1, 1]);
  }

  mul(other: Value | number): Value {
    const b = toValue(other);
    return new Value(this.data * b.data, "*", [this, b], [b.data, this.data]);
  }

  pow(n: number): Value {
    return new Value(this.data ** n, `^${n}`, [this], [n * this.data ** (n - 1)]);
  }

  exp(): Value {
    const y = Math.exp(this.data);
    return new Value(y, "exp", [this], [y]);
  }

  tanh(): Value {
    const y = Math.tanh(this.data);
    return new Value(y, "tanh", [this], [1 - y * y]);
  }

  relu(): Value {
    return new Value(Math.max(0, this.data), "relu", [this], [this.data > 0 ? 1 : 0]);
  }

  /**
   * Sets the gradient d this / d value of every value that this was computed from. The chain rule:
   * an input's gradient is the local derivative times the gradient of the output. Outputs come
   * before their inputs, so that a gradient is complete before it is passed on. Gradients add up,
   * because a value that is used twice affects the result in two ways.
   */
  backward(): void {
    const reachable = new Set<Value>([this]);
    for (const value of reachable) {
      for (const input of value.inputs) reachable.add(input); // the loop visits these too
    }
    const topo = [...reachable].sort((a, b) => b.id - a.id); // newest first
    this.grad = 1;
    for (const output of topo) {
      for (const [i, input] of output.inputs.entries()) {
        input.grad += output.localGrads[i] * output.grad;
      }
    }
  }
}

function toValue(x: Value | number): Value {
  return typeof x === "number" ? new Value(x) : x;
}

/** A linear neuron: w1 x1 + w2 x2 + ... + b. */
export class Neuron {
  readonly weights: Value[];
  readonly bias = new Value(0);

  constructor(inputSize: number) {
    const normals = randn([inputSize]).data();
    this.weights = Array.from(normals, (z) => new Value(z / Math.sqrt(inputSize)));
  }

  forward(x: readonly (Value | number)[]): Value {
    return this.weights.reduce((sum, w, i) => sum.add(w.mul(x[i])), this.bias);
  }
}

/** A multilayer perceptron, tanh after each layer but the last. Sizes: inputs, layers, outputs. */
export class MLP {
  readonly layers: Neuron[][];

  constructor(...sizes: number[]) {
    this.layers = sizes
      .slice(1)
      .map((count, i) => Array.from({ length: count }, () => new Neuron(sizes[i])));
  }

  forward(x: readonly (Value | number)[]): Value[] {
    let y = x;
    for (const [i, layer] of this.layers.entries()) {
      const sums = layer.map((neuron) => neuron.forward(y));
      y = i < this.layers.length - 1 ? sums.map((sum) => sum.tanh()) : sums;
    }
    return y as Value[];
  }

  parameters(): Value[] {
    return this.layers.flat().flatMap(({ weights, bias }) => [...weights, bias]);
  }
}

export async function lesson() {
  manualSeed(1337);

  say(`A neuron with two inputs. The bias is chosen so that the derivative of tanh is exactly
    0.5.`);
  const x1 = namedValue("x1", 2);
  const x2 = namedValue("x2", 0);
  const w1 = namedValue("w1", -3);
  const w2 = namedValue("w2", 1);
  const b = namedValue("b", 6 + Math.atanh(Math.SQRT1_2));
  const neuron = () => x1.mul(w1).add(x2.mul(w2)).add(b).tanh();
  const output = neuron();
  output.backward();
  const view = {
    inputs: (value: Value) => value.inputs,
    op: (value: Value) => value.op,
    label: ({ name, data, grad }: Value) => `${name} ${format(data)} | grad ${format(grad)}`.trim(),
  };
  console.log("A neuron, with the gradient of its output with respect to each value:\n");
  show(drawGraph(output, view), "lesson-01-neuron");
  const dot = toDot(output, view);
  console.log(`The same graph for Graphviz, ${dot.split("\n").length} lines that start with`);
  console.log(`${dot.slice(0, 71)}...`);

  say(`A gradient is a prediction that we can test: move a value slightly and measure the output.`);
  const h = 1e-6;
  const checks = [x1, x2, w1, w2, b].map((value) => {
    const original = value.data;
    const before = neuron().data;
    value.data += h;
    const numerical = (neuron().data - before) / h;
    value.data = original;
    const name = value.name.padEnd(2);
    console.log(`${name} gradient ${format(value.grad)}, measured ${format(numerical)}`);
    return { gradient: value.grad, numerical };
  });

  say(`tanh can be a single op or a composite, (e^2n - 1) / (e^2n + 1). The gradient is the same.`);
  const n = namedValue("n", output.inputs[0].data);
  const e = n.mul(2).exp();
  e.add(-1).mul(e.add(1).pow(-1)).backward();
  console.log(`gradient of tanh composed of five ops: ${format(n.grad)}`);
  console.log(`gradient of tanh as a single op:       ${output.localGrads[0]}`);

  say(`A value that is used twice. Overwriting gradients instead of adding them would return 1.`);
  const a = new Value(3);
  a.add(a).backward();
  console.log(`gradient of a + a with respect to a:   ${a.grad}`);

  say(`Many neurons: a classifier for two interleaved half moons. The score should be at least 1 for
    points on the upper moon and at most -1 on the lower one. The loss is the mean shortfall, known
    as the hinge loss: max(0, 1 - label * score).`);
  const points = makeMoons();
  const model = new MLP(2, 8, 8, 1);
  const parameters = model.parameters();
  const losses: number[] = [];
  for (let step = 0; step < 100; step++) {
    const hinges = points.map(({ position, label }) => {
      const [score] = model.forward(position);
      return score.mul(-label).add(1).relu();
    });
    const loss = hinges.reduce((sum, hinge) => sum.add(hinge)).mul(1 / points.length);

    for (const p of parameters) p.grad = 0; // otherwise gradients would add up over the steps
    loss.backward();

    const learningRate = 2.5 * (1 - step / 100);
    for (const p of parameters) p.data -= learningRate * p.grad; // gradient descent

    losses.push(loss.data);
    if (step % 20 === 0 || step === 99) console.log(`step ${step}: loss ${loss.data.toFixed(4)}`);
  }

  const scoreAt = (x: number, y: number) => model.forward([x, y])[0].data;
  const correct = points.filter(({ position: [x, y], label }) => scoreAt(x, y) * label > 0).length;
  console.log(`${parameters.length} parameters get ${correct} of ${points.length} points right`);

  say(`The decision boundary: the score at each position, over [-1.4, 2.4] x [-1, 1.5].`);
  const columns = 36;
  const rows = 20;
  const cellText = Array.from({ length: rows }, () => new Array<string>(columns).fill(""));
  for (const { position, label } of points) {
    const column = Math.floor(((position[0] + 1.4) / 3.8) * columns);
    const row = Math.floor(((1.5 - position[1]) / 2.5) * rows);
    cellText[row][column] = label > 0 ? "o" : "x";
  }
  const scores = cellText.map((cells, i) =>
    cells.map((_, j) =>
      scoreAt(-1.4 + ((j + 0.5) * 3.8) / columns, 1.5 - ((i + 0.5) * 2.5) / rows),
    ),
  );
  const title = "the model's score at each position";
  show(heatmap(scores, { title, low: -1, high: 1, cellText }), "lesson-01");

  console.log(`
Exercises
1. Remove the line that sets gradients to 0. What happens to the loss, and why not right away?
2. Add sigmoid() to Value, with its derivative, and check it with a finite difference.
3. Change backward() to overwrite gradients instead of adding to them. What breaks first?`);
  return { activation: output.data, checks, composite: n.grad, reused: a.grad, losses, correct };
}

function namedValue(name: string, data: number): Value {
  const value = new Value(data);
  value.name = name;
  return value;
}

/** Returns 60 noisy points that alternate between two half moons: label 1 above, -1 below. */
export function makeMoons(): { position: [x: number, y: number]; label: number }[] {
  return Array.from({ length: 60 }, (_, i) => {
    const angle = (Math.PI * (i >> 1)) / 29;
    const [dx, dy] = Array.from(randn([2]).data(), (z) => 0.08 * z);
    const x = Math.cos(angle);
    const y = Math.sin(angle);
    return i % 2 === 0
      ? { position: [x + dx, y + dy], label: 1 }
      : { position: [1 - x + dx, 0.5 - y + dy], label: -1 };
  });
}

function format(x: number): string {
  return String(Number(x.toFixed(4)));
}
