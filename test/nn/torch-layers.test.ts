// Outputs, gradients and buffers of recurrent layers and batch normalization, as PyTorch computes
// them. test/golden/torch-layers.py has computed the values.

import { readFileSync } from "node:fs";
import { type Device, nn, randn, sum, type Tensor, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, fixturePath, hasMessage } from "../support/harness.js";

interface Values {
  shape: number[];
  values: number[];
}

interface Case {
  layer: "BatchNorm1d" | "RNN" | "LSTM" | "GRU";
  args: [number, number];
  options: object;
  training: boolean;
  steps: number;
  state: Record<string, Values>;
  inputs: Values[];
  outputs: Values[];
  dys: Values[];
  inputGrads: Values[];
  grads: Record<string, Values>;
  buffers: Record<string, Values>;
}

const cases: Case[] = JSON.parse(readFileSync(fixturePath("torch-layers.json"), "utf8"));

function call(layer: nn.Module, inputs: Tensor[]): Tensor[] {
  const [x, h, c] = inputs;
  if (layer instanceof nn.LSTM) {
    const [y, state] = layer.forward(x, h && [h, c]);
    return [y, ...state];
  }
  if (layer instanceof nn.RNN || layer instanceof nn.GRU) return layer.forward(x, h);
  return [(layer as nn.BatchNorm1d).forward(x)];
}

eachDevice("layers as PyTorch computes them", (test, on) => {
  for (const [i, expected] of cases.entries()) {
    const { layer: name, options } = expected;
    test(`${i}: ${name} ${JSON.stringify(options)}`, () => check(expected, on));
  }

  if (on.name.startsWith("cuda")) {
    test("bf16 inputs are normalized in f32", () => {
      const x = randn([6, 3], { device: on });
      const [exact, rounded] = ["f32", "bf16"].map((dtype) => {
        const layer = new nn.BatchNorm1d(3).to(on);
        const input = x.to(dtype as "f32").detach();
        input.requiresGrad = true;
        const y = layer.forward(input);
        assert.is(y.dtype, dtype);
        const values = y.to("f32").data();
        y.to("f32").mul(x).sum().backward();
        return [...values, ...(input.grad as Tensor).to("f32").data()];
      });
      assertClose(rounded, exact, { rtol: 0.02, atol: 0.02 });
    });
  }

  test("a captured step moves the running mean and variance", () => {
    const layers = [0, 1].map(() => new nn.BatchNorm1d(3).to(on));
    const step = on.capture((x: Tensor) => layers[0].forward(x));
    for (let i = 0; i < 3; i++) {
      const x = randn([4, 3], { device: on });
      assert.equal(step(x).toArray(), layers[1].forward(x).toArray());
    }
    const [captured, eager] = layers.map(({ running_var }) => running_var?.toArray());
    assert.equal(captured, eager);
    assert.not.equal(captured, [1, 1, 1]);
  });
});

function check(expected: Case, on: Device): void {
  const make = ({ values, shape }: Values, requiresGrad = false) =>
    tensor(values, { shape, device: on, requiresGrad });
  const Layer = nn[expected.layer] as new (...args: unknown[]) => nn.Module;
  const args = expected.args.slice(0, expected.layer === "BatchNorm1d" ? 1 : 2);
  const layer = new Layer(...args, expected.options).to(on).train(expected.training);
  const state = Object.entries(expected.state).map(([name, values]) => [name, make(values)]);
  layer.loadStateDict(Object.fromEntries(state));
  assert.equal(Object.keys(layer.stateDict()), Object.keys(expected.state));
  const inputs = expected.inputs.map((values) => make(values, true));
  let outputs: Tensor[] = [];
  for (let i = 0; i < expected.steps; i++) outputs = call(layer, inputs);
  const near = (x: Tensor | null, { values, shape }: Values, what: string) => {
    assert.equal(x?.shape, shape, what);
    assertClose(x as Tensor, values, { rtol: 1e-5, atol: 3e-6, what });
  };
  assert.is(outputs.length, expected.outputs.length);
  for (const [i, y] of outputs.entries()) near(y, expected.outputs[i], `output ${i}`);
  const loss = outputs.map((y, i) => sum(y.mul(make(expected.dys[i]))));
  loss.reduce((total, term) => total.add(term), zeros([], { device: on })).backward();
  for (const [i, x] of inputs.entries()) near(x.grad, expected.inputGrads[i], `gradient ${i}`);
  for (const [name, p] of layer.namedParameters()) near(p.grad, expected.grads[name], name);
  for (const [name, b] of layer.namedBuffers()) near(b, expected.buffers[name], name);
}

eachDevice("layers reject", (test, on) => {
  test("what does not fit", () => {
    const x = (...shape: number[]) => zeros(shape, { device: on });
    const expectError = (f: () => unknown, message: string) =>
      assert.throws(f, hasMessage(message));
    const norm = new nn.BatchNorm1d(3).to(on);
    expectError(
      () => norm.forward(x(1, 3)),
      "BatchNorm1d: x has 1 values per channel, expected at least 2",
    );
    expectError(
      () => norm.forward(x(3, 2)),
      "BatchNorm1d: x has shape [3, 2], expected [B, 3] or [B, 3, T]",
    );
    const rnn = new nn.RNN(3, 4).to(on);
    expectError(
      () => rnn.forward(x(2, 5)),
      "RNN: x has shape [2, 5], expected [T, B, 3] or [T, 3], not empty",
    );
    expectError(
      () => rnn.forward(x(0, 2, 3)),
      "RNN: x has shape [0, 2, 3], expected [T, B, 3] or [T, 3], not empty",
    );
    expectError(
      () => rnn.forward(x(5, 2, 3), x(2, 2, 4)),
      "RNN: h has shape [2, 2, 4], expected [1, 2, 4]",
    );
    const lstm = new nn.LSTM(3, 4, { batchFirst: true }).to(on);
    expectError(
      () => lstm.forward(x(2, 5, 3), [x(1, 2, 4), x(1, 5, 4)]),
      "LSTM: c has shape [1, 5, 4], expected [1, 2, 4]",
    );
    expectError(
      () => new nn.GRU(3, 4, { numLayers: 0 }),
      "GRU: numLayers is 0, expected a whole number from 1 up",
    );
    for (const state of [[x(1, 2, 4)], x(1, 2, 4)])
      expectError(
        () => lstm.forward(x(2, 5, 3), state as never),
        "LSTM: state is not a list of two tensors [h, c]",
      );
    expectError(() => rnn.forward(undefined as never), "RNN: x is undefined, expected a tensor");
    expectError(() => new nn.LSTM(3, 4, { dropout: 2 }), "LSTM: dropout is 2, expected 0 to 1");
    expectError(
      () => new nn.BatchNorm1d(3, { eps: NaN }),
      "BatchNorm1d: eps is NaN, expected a number from 0 up",
    );
    expectError(
      () => new nn.BatchNorm1d(3, { momentum: null as never }),
      "BatchNorm1d: momentum is null, expected a number in [0, 1]",
    );
    expectError(
      () => new nn.RNN(3, 4, { nonlinearity: "gelu" as never }),
      "RNN: nonlinearity is gelu, expected tanh or relu",
    );
  });
});
