// Lesson 1: A number that knows its gradient
//
// To train is to ask of each of a model's numbers: were you a little larger, would the loss rise or
// fall, and how fast? That rate is the number's gradient. One walk back through the computation
// finds all of them at once. The class below does it for single numbers.

import { manualSeed, randn } from "tinybard";
import { graph, toDot } from "./graph.ts";
import { heatmap, show } from "./picture.ts";

let made = 0;

/** A number, how it was made and, after backward(), d result / d this. */
export class Value {
  readonly id = made++; // inputs are made before results: the order of the walk
  grad = 0;
  name = "";
  data: number;
  readonly op: string;
  readonly inputs: readonly Value[];
  readonly slopes: readonly number[]; // d this / d input for each: all the calculus an op knows

  constructor(data: number, op = "", inputs: readonly Value[] = [], slopes: number[] = []) {
    [this.data, this.op, this.inputs, this.slopes] = [data, op, inputs, slopes];
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
   * The chain rule: what a result feels of its input, times what the end feels of the result. From
   * the newest value to the oldest, so that a gradient is complete before it is passed on; and
   * added up, since a value that is used twice is felt along both ways.
   */
  backward(): void {
    const reached = new Set<Value>([this]);
    for (const y of reached) for (const x of y.inputs) reached.add(x);
    this.grad = 1;
    for (const y of [...reached].sort((a, b) => b.id - a.id))
      for (const [i, x] of y.inputs.entries()) x.grad += y.slopes[i] * y.grad;
  }
}

function toValue(x: Value | number): Value {
  return typeof x === "number" ? new Value(x) : x;
}

/** tanh(w1 x1 + w2 x2 + ... + b), or the sum itself: the least that can learn. */
export class Neuron {
  readonly weights: Value[];
  readonly bias = new Value(0);

  constructor(inputs: number) {
    const draws = randn([inputs]).data();
    this.weights = Array.from(draws, (z) => new Value(z / Math.sqrt(inputs)));
  }

  forward(x: readonly (Value | number)[]): Value {
    return this.weights.reduce((sum, w, i) => sum.add(w.mul(x[i])), this.bias);
  }
}

/** Layers of neurons, each reading all of the layer before: sizes 2, 16, 16, 1 for example. */
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

  // A neuron with two inputs. Its bias makes n such that tanh has slope one half there.
  const named = (name: string, data: number) => Object.assign(new Value(data), { name });
  const [x1, x2, w1, w2] = [named("x1", 2), named("x2", 0), named("w1", -3), named("w2", 1)];
  const b = named("b", 6 + Math.atanh(Math.SQRT1_2));
  const neuron = () => x1.mul(w1).add(x2.mul(w2)).add(b).tanh();
  const output = neuron();
  output.backward();
  const digits = (x: number) => String(Number(x.toFixed(4)));
  const look = {
    inputs: (v: Value) => v.inputs,
    op: (v: Value) => v.op,
    label: (v: Value) => `${v.name} ${digits(v.data)} | grad ${digits(v.grad)}`.trim(),
  };
  console.log("a neuron, and what its output feels of each number in it:");
  show(graph(output, look), "lesson-01-neuron");
  const dot = toDot(output, look);
  console.log(`for Graphviz, ${dot.split("\n").length} lines from\n${dot.slice(0, 71)}...\n`);

  // What a gradient says can be tried: move a number by a little, and see what the output does.
  const h = 1e-6;
  const nudged = [x1, x2, w1, w2, b].map((v) => {
    const [before, at] = [neuron().data, v.data];
    v.data += h;
    const slope = (neuron().data - before) / h;
    v.data = at;
    console.log(`${v.name.padEnd(2)} gradient ${digits(v.grad)}, by moving it ${digits(slope)}`);
    return { gradient: v.grad, slope };
  });

  // tanh is one op or several: (e^2n - 1) / (e^2n + 1). The gradient is the same either way.
  const n = named("n", output.inputs[0].data);
  const e = n.mul(2).exp();
  e.add(-1).mul(e.add(1).pow(-1)).backward();
  console.log(`tanh in five ops: gradient ${digits(n.grad)} of n, and in one`, output.slopes[0]);

  // A value that is used twice. Setting gradients, not adding them, would lose one of the ways.
  const a = new Value(3);
  a.add(a).backward();
  console.log(`a + a: gradient ${a.grad} of a`);

  // Many neurons: two interleaved half moons, to be told apart. A point should get a score of 1 or
  // more if it lies on the upper moon, -1 or less on the lower one; what is missing is the loss.
  const points = Array.from({ length: 60 }, (_, i) => {
    const [angle, isUpper] = [(Math.PI * (i >> 1)) / 29, i % 2 === 0];
    const [dx, dy] = Array.from(randn([2]).data(), (z) => 0.08 * z);
    const [x, y] = [Math.cos(angle), Math.sin(angle)];
    return isUpper
      ? { at: [x + dx, y + dy], label: 1 }
      : { at: [1 - x + dx, 0.5 - y + dy], label: -1 };
  });
  const model = new MLP(2, 8, 8, 1);
  const parameters = model.parameters();
  const losses: number[] = [];
  for (let step = 0; step < 100; step++) {
    const missing = points.map(({ at, label }) => {
      const [score] = model.forward(at);
      return score.mul(-label).add(1).relu();
    });
    const loss = missing.reduce((sum, m) => sum.add(m)).mul(1 / points.length);
    for (const p of parameters) p.grad = 0; // or the gradients of all steps would pile up
    loss.backward();
    const rate = 2.5 * (1 - step / 100);
    for (const p of parameters) p.data -= rate * p.grad; // downhill
    losses.push(loss.data);
    if (step % 20 === 0 || step === 99) console.log(`step ${step}: loss ${loss.data.toFixed(4)}`);
  }

  const scoreAt = (x: number, y: number) => model.forward([x, y])[0].data;
  const right = points.filter(({ at: [x, y], label }) => scoreAt(x, y) * label > 0).length;
  console.log(`${parameters.length} parameters tell ${right} of ${points.length} points apart`);
  const [columns, rows] = [36, 20];
  const marks = Array.from({ length: rows }, () => new Array<string>(columns).fill(""));
  for (const { at, label } of points) {
    const [j, i] = [((at[0] + 1.4) / 3.8) * columns, ((1.5 - at[1]) / 2.5) * rows];
    marks[Math.floor(i)][Math.floor(j)] = label > 0 ? "o" : "x";
  }
  const field = marks.map((row, i) =>
    row.map((_, j) => scoreAt(-1.4 + ((j + 0.5) * 3.8) / columns, 1.5 - ((i + 0.5) * 2.5) / rows)),
  );
  show(heatmap(field, { title: "the score at each place", low: -1, high: 1, marks }), "lesson-01");

  console.log(`Exercises
1. Leave out the line that sets gradients to 0. What does the loss do, and why not at once?
2. Write sigmoid() for Value, with its slope, and check it by moving its input.
3. Let backward() set gradients instead of adding to them, and watch what breaks first.`);
  return { activation: output.data, nudged, brokenUp: n.grad, twice: a.grad, losses, right };
}
