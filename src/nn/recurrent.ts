// The base class of RNN, LSTM and GRU, which read a sequence one position after the other.

import { checkCount, fail } from "../errors.ts";
import { zeros } from "../ops/creation.ts";
import { linear } from "../ops/linear.ts";
import { cat, reshape, stack, transpose } from "../ops/movement.ts";
import { checkProbability, dropout } from "../ops/random.ts";
import { squeeze, unbind, unsqueeze } from "../ops/views.ts";
import { formatShape } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { uniformParameter } from "./layers.ts";
import { Module } from "./module.ts";

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
  /** Each layer also runs from the last position; its outputs are concatenated. Default false. */
  bidirectional?: boolean;
}

export const optionNames = ["numLayers", "bias", "batchFirst", "dropout", "bidirectional"];

/** Base class of recurrent layers. Each weight has `gates` times `hiddenSize` rows. */
export abstract class Recurrent extends Module {
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
    const { dropout = 0 } = options;
    checkCount(op, "inputSize", inputSize);
    checkCount(op, "hiddenSize", hiddenSize);
    checkCount(op, "numLayers", numLayers);
    checkProbability(op, dropout, "dropout");
    this.#op = op;
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.options = { numLayers, bias, batchFirst, dropout, bidirectional };
    const bound = 1 / Math.sqrt(hiddenSize);
    const init = (shape: number[]) => uniformParameter(shape, bound);
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
    const { hiddenSize, directions, training } = this;
    const { numLayers, batchFirst, dropout: p } = this.options;
    this.checkInput(x);
    const isBatch = x.shape.length === 3;
    let y = isBatch ? x : unsqueeze(x, 1);
    if (isBatch && batchFirst) y = transpose(y, 0, 1);
    const batch = y.shape[1];
    const cells = numLayers * directions.length;
    const stateShape = isBatch ? [cells, batch, hiddenSize] : [cells, hiddenSize];
    for (const [i, state] of initial.entries())
      checkSameKind(this.#op, ["h", "c"][i], state, x, stateShape);
    const shape = [cells, batch, hiddenSize];
    const starts = Array.from({ length: count }, (_, i) =>
      unbind(
        initial[i]
          ? reshape(initial[i], shape)
          : zeros(shape, { device: x.device, dtype: x.dtype }),
      ),
    );
    const ends: Tensor[][] = [];
    for (let layer = 0; layer < numLayers; layer++) {
      const outputs = directions.map((direction) => {
        const start = starts.map((states) => states[ends.length]);
        const { y: output, state } = this.runCell(y, start, `l${layer}${direction}`);
        ends.push(state);
        return output;
      });
      y = outputs.length === 1 ? outputs[0] : cat(outputs, { dim: 2 });
      if (layer < numLayers - 1) y = dropout(y, { p, training });
    }
    const states = starts.map((_, i) => reshape(stack(ends.map((end) => end[i])), stateShape));
    if (!isBatch) y = squeeze(y, 1);
    else if (batchFirst) y = transpose(y, 0, 1);
    return { y, states };
  }

  /** Throws unless x is a sequence, or a batch of sequences. */
  private checkInput(x: Tensor): void {
    checkTensor(this.#op, "x", x);
    const { shape, size } = x;
    const rank = shape.length;
    if ((rank === 2 || rank === 3) && shape[rank - 1] === this.inputSize && size > 0) return;
    const axes = this.options.batchFirst ? "B, T" : "T, B";
    fail(
      `${this.#op}: x has shape ${formatShape(shape)}, expected [${axes}, ${this.inputSize}] or ` +
        `[T, ${this.inputSize}], not empty`,
    );
  }

  /** Runs one layer in one direction over x [T, B, in]. Returns its outputs and its last state. */
  private runCell(x: Tensor, start: Tensor[], name: string): { y: Tensor; state: Tensor[] } {
    const { bias } = this.options;
    const projected = linear(x, this[`weight_ih_${name}`], bias ? this[`bias_ih_${name}`] : null);
    const inputs = unbind(projected, 0);
    const isReverse = name.endsWith("_reverse");
    if (isReverse) inputs.reverse();
    const weight = this[`weight_hh_${name}`];
    const offset = bias ? this[`bias_hh_${name}`] : null;
    let state = start;
    const outputs = inputs.map((input) => {
      state = this.advance(input, state, (h) => linear(h, weight, offset));
      return state[0];
    });
    if (isReverse) outputs.reverse();
    return { y: stack(outputs), state };
  }
}
