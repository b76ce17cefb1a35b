// Recurrent layers, which read a sequence one position after the other.

import { checkOptions, fail } from "../errors.ts";
import { relu, sigmoid, tanh } from "../ops/activations.ts";
import { zeros } from "../ops/creation.ts";
import { add, mul, sub } from "../ops/elementwise.ts";
import { linear } from "../ops/linear.ts";
import { cat, reshape, slice, split, stack, transpose } from "../ops/movement.ts";
import { checkProbability, dropout } from "../ops/random.ts";
import { unbind } from "../ops/views.ts";
import { checkShape, checkSizes, formatShape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { randBetween } from "./layers.ts";
import { Module, parameter } from "./module.ts";

/** Options of recurrent layers: PyTorch's. */
export interface RecurrentOptions {
  /** Layers one above the other: each reads the outputs of the one below. Default 1. */
  numLayers?: number;
  /** With biases; default true. */
  bias?: boolean;
  /** x and the outputs are [B, T, ...] instead of [T, B, ...]; default false. */
  batchFirst?: boolean;
  /** Dropout of the outputs of all layers but the last one, in train mode; default 0. */
  dropout?: number;
  /** Each layer also reads from the end; these outputs follow the others. Default false. */
  bidirectional?: boolean;
}

const optionNames = ["numLayers", "bias", "batchFirst", "dropout", "bidirectional"];

/** What all recurrent layers do alike. A cell has `gates` rows of `hiddenSize` in each weight. */
abstract class Recurrent extends Module {
  /** PyTorch's names: weight_ih_l0, weight_hh_l0, bias_ih_l0, weight_ih_l0_reverse, ... */
  [name: `weight_${string}` | `bias_${string}`]: Tensor;
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly options: Required<RecurrentOptions>;
  readonly #op: string;

  protected constructor(
    op: string,
    inputSize: number,
    hiddenSize: number,
    gates: number,
    options: RecurrentOptions,
  ) {
    super();
    const { numLayers = 1, bias = true, batchFirst = false, bidirectional = false } = options;
    checkSizes(op, [inputSize, hiddenSize, numLayers]);
    if (numLayers < 1) fail(`${op}: numLayers is 0, expected at least 1`);
    checkProbability(op, options.dropout ?? 0);
    this.#op = op;
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.options = { numLayers, bias, batchFirst, dropout: options.dropout ?? 0, bidirectional };
    const bound = 1 / Math.sqrt(hiddenSize);
    const init = (shape: number[]) => parameter(randBetween(shape, -bound, bound));
    const rows = gates * hiddenSize;
    for (let layer = 0; layer < numLayers; layer++) {
      for (const direction of this.directions) {
        const columns = layer === 0 ? inputSize : hiddenSize * this.directions.length;
        this[`weight_ih_l${layer}${direction}`] = init([rows, columns]);
        this[`weight_hh_l${layer}${direction}`] = init([rows, hiddenSize]);
        if (!bias) continue;
        this[`bias_ih_l${layer}${direction}`] = init([rows]);
        this[`bias_hh_l${layer}${direction}`] = init([rows]);
      }
    }
  }

  /** The suffixes of the names of parameters, for each direction. */
  private get directions(): readonly ("" | "_reverse")[] {
    return this.options.bidirectional ? ["", "_reverse"] : [""];
  }

  /**
   * Returns the state after a position: the output [B, hidden] first. `input` and project(h) are
   * the products with both weights, [B, gates hidden].
   */
  protected abstract advance(
    input: Tensor,
    state: readonly Tensor[],
    project: (h: Tensor) => Tensor,
  ): Tensor[];

  /** Runs all layers. `initial` has `count` tensors [layers directions, B, hidden], or is empty. */
  protected run(
    x: Tensor,
    initial: readonly Tensor[],
    count: number,
  ): { y: Tensor; states: Tensor[] } {
    const { inputSize, hiddenSize, options, directions, training } = this;
    const { numLayers, batchFirst, dropout: p } = options;
    const op = this.#op;
    const { length: rank } = x.shape;
    if (![2, 3].includes(rank) || x.shape[rank - 1] !== inputSize || x.size === 0) {
      const [first, second] = batchFirst ? ["B", "T"] : ["T", "B"];
      fail(
        `${op}: x has shape ${formatShape(x.shape)}, expected [${first}, ${second}, ` +
          `${inputSize}] or [T, ${inputSize}], not empty`,
      );
    }
    const isBatch = rank === 3;
    let y = isBatch ? x : reshape(x, [x.shape[0], 1, inputSize]);
    if (isBatch && batchFirst) y = transpose(y, 0, 1);
    const batch = y.shape[1];
    const cells = numLayers * directions.length;
    const stateShape = isBatch ? [cells, batch, hiddenSize] : [cells, hiddenSize];
    for (const [i, state] of initial.entries())
      checkShape(op, ["h", "c"][i], state.shape, stateShape);
    const start = (cell: number) =>
      Array.from({ length: count }, (_, i) =>
        initial[i]
          ? reshape(slice(initial[i], { dim: 0, start: cell, end: cell + 1 }), [batch, hiddenSize])
          : zeros([batch, hiddenSize], { device: x.device, dtype: x.dtype }),
      );
    const ends: Tensor[][] = [];
    for (let layer = 0; layer < numLayers; layer++) {
      const outputs = directions.map((direction) => {
        const { y: output, state } = this.runCell(y, start(ends.length), `l${layer}${direction}`);
        ends.push(state);
        return output;
      });
      y = outputs.length === 1 ? outputs[0] : cat(outputs, { dim: 2 });
      if (layer < numLayers - 1) y = dropout(y, { p, training });
    }
    const states = Array.from({ length: count }, (_, i) =>
      reshape(stack(ends.map((state) => state[i])), stateShape),
    );
    if (!isBatch) y = reshape(y, [x.shape[0], hiddenSize * directions.length]);
    else if (batchFirst) y = transpose(y, 0, 1);
    return { y, states };
  }

  /** Runs one layer in one direction over x [T, B, in]. Returns its outputs and its last state. */
  private runCell(x: Tensor, start: Tensor[], name: string): { y: Tensor; state: Tensor[] } {
    const { bias } = this.options;
    const projected = linear(x, this[`weight_ih_${name}`], bias ? this[`bias_ih_${name}`] : null);
    const inputs = unbind(projected, 0);
    const isReverse = name.endsWith("_reverse");
    if (isReverse) inputs.reverse();
    const [weight, offset] = [this[`weight_hh_${name}`], bias ? this[`bias_hh_${name}`] : null];
    let state = start;
    const outputs = inputs.map((input) => {
      state = this.advance(input, state, (h) => linear(h, weight, offset));
      return state[0];
    });
    if (isReverse) outputs.reverse();
    return { y: stack(outputs), state };
  }
}

/**
 * h' = tanh(x w_ih^T + b_ih + h w_hh^T + b_hh), or relu with `nonlinearity`, for each position.
 * Elman (1990).
 * @example
 * const [y, h] = new nn.RNN(4, 8).forward(randn([5, 2, 4]));
 * console.log(y.shape, h.shape); // [ 5, 2, 8 ] [ 1, 2, 8 ]
 */
export class RNN extends Recurrent {
  readonly nonlinearity: "tanh" | "relu";

  constructor(
    inputSize: number,
    hiddenSize: number,
    options: RecurrentOptions & { nonlinearity?: "tanh" | "relu" } = {},
  ) {
    checkOptions("RNN", options, [...optionNames, "nonlinearity"]);
    const { nonlinearity = "tanh", ...others } = options;
    if (nonlinearity !== "tanh" && nonlinearity !== "relu")
      fail(`RNN: nonlinearity is ${nonlinearity}, expected tanh or relu`);
    super("RNN", inputSize, hiddenSize, 1, others);
    this.nonlinearity = nonlinearity;
  }

  /**
   * x [T, B, in] or [T, in], and h [layers, B, hidden] (default 0), twice as many layers if it is
   * bidirectional. Returns the outputs [T, B, hidden] and the last h.
   */
  forward(x: Tensor, h?: Tensor): [y: Tensor, h: Tensor] {
    const { y, states } = this.run(x, h ? [h] : [], 1);
    return [y, states[0]];
  }

  protected advance(input: Tensor, [h]: Tensor[], project: (h: Tensor) => Tensor): Tensor[] {
    const sum = add(input, project(h));
    return [this.nonlinearity === "relu" ? relu(sum) : tanh(sum)];
  }
}

/**
 * c' = f c + i g and h' = o tanh(c'), where the gates i, f, o are sigmoids and g the tanh of their
 * quarters of x w_ih^T + b_ih + h w_hh^T + b_hh, in the order i, f, g, o. Hochreiter and
 * Schmidhuber (1997).
 * @example
 * const [y, [h, c]] = new nn.LSTM(4, 8).forward(randn([5, 2, 4]));
 * console.log(y.shape, h.shape, c.shape); // [ 5, 2, 8 ] [ 1, 2, 8 ] [ 1, 2, 8 ]
 */
export class LSTM extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    checkOptions("LSTM", options, optionNames);
    super("LSTM", inputSize, hiddenSize, 4, options);
  }

  /** As RNN's, with the state [h, c] in place of h. */
  forward(x: Tensor, state?: [h: Tensor, c: Tensor]): [y: Tensor, state: [h: Tensor, c: Tensor]] {
    const { y, states } = this.run(x, state ?? [], 2);
    return [y, states as [Tensor, Tensor]];
  }

  protected advance(input: Tensor, [h, c]: Tensor[], project: (h: Tensor) => Tensor): Tensor[] {
    const [i, f, g, o] = split(add(input, project(h)), this.hiddenSize, { dim: 1 });
    const cell = add(mul(sigmoid(f), c), mul(sigmoid(i), tanh(g)));
    return [mul(sigmoid(o), tanh(cell)), cell];
  }
}

/**
 * h' = (1 - z) n + z h with the gates r, z = sigmoid(x w_ih^T + b_ih + h w_hh^T + b_hh) and
 * n = tanh(x w_in^T + b_in + r (h w_hn^T + b_hn)), in the order r, z, n. Cho et al. (2014).
 * @example
 * const [y, h] = new nn.GRU(4, 8, { batchFirst: true }).forward(randn([2, 5, 4]));
 * console.log(y.shape, h.shape); // [ 2, 5, 8 ] [ 1, 2, 8 ]
 */
export class GRU extends Recurrent {
  constructor(inputSize: number, hiddenSize: number, options: RecurrentOptions = {}) {
    checkOptions("GRU", options, optionNames);
    super("GRU", inputSize, hiddenSize, 3, options);
  }

  /** As RNN's. */
  forward(x: Tensor, h?: Tensor): [y: Tensor, h: Tensor] {
    const { y, states } = this.run(x, h ? [h] : [], 1);
    return [y, states[0]];
  }

  protected advance(input: Tensor, [h]: Tensor[], project: (h: Tensor) => Tensor): Tensor[] {
    const [xr, xz, xn] = split(input, this.hiddenSize, { dim: 1 });
    const [hr, hz, hn] = split(project(h), this.hiddenSize, { dim: 1 });
    const z = sigmoid(add(xz, hz));
    const n = tanh(add(xn, mul(sigmoid(add(xr, hr)), hn)));
    return [add(mul(sub(1, z), n), mul(z, h))];
  }
}
