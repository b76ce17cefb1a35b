// The recurrent layers of PyTorch, each with the formula of its state at one position.

import { checkOptions, fail } from "../errors.ts";
import { relu, sigmoid, tanh } from "../ops/activations.ts";
import { add, mul, sub } from "../ops/elementwise.ts";
import { split } from "../ops/movement.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { optionNames, Recurrent, type RecurrentOptions } from "./recurrent.ts";

/**
 * h' = tanh(x w_ih^T + b_ih + h w_hh^T + b_hh), or relu with `nonlinearity`, for each position.
 * Elman (1990).
 * @example
 * const [y, h] = new nn.RNN(4, 8).forward(randn([5, 2, 4]));
 * console.log(y.shape, h.shape); // [ 5, 2, 8 ] [ 1, 2, 8 ]
 */
export class RNN extends Recurrent {
  /** The function of the sums: tanh or relu. */
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
   * bidirectional. Returns the outputs [T, B, hidden], 2 hidden if it is bidirectional, and the
   * last h. With `batchFirst`, x and the outputs begin with B, but not h.
   */
  forward(x: Tensor, h?: Tensor): [y: Tensor, h: Tensor] {
    const { y, states } = this.run(x, h === undefined ? [] : [h], 1);
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
    if (state !== undefined && !(Array.isArray(state) && state.length === 2))
      fail("LSTM: state is not a list of two tensors [h, c]");
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
    const { y, states } = this.run(x, h === undefined ? [] : [h], 1);
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
