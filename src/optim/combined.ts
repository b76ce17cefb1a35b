// Several optimizers that take their steps together, each with parameters of its own.

import { fail } from "../errors.ts";
import { indentLines, inspectSymbol } from "../printing.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type AnyOptimizer, loadState } from "./optimizer.ts";

/**
 * Optimizers as one: they share lr, which lrScale multiplies in each group, and foundInf. The names
 * in stateDict() begin with those of the optimizers.
 * @example
 * const layer = new nn.Linear(4, 3);
 * const optimizer = new optim.CombinedOptimizer({
 *   muon: new optim.Muon([layer.weight], { adjustLrFn: "match_rms_adamw" }),
 *   adamw: new optim.AdamW([layer.bias]),
 * });
 * sum(layer.forward(randn([2, 4]))).backward();
 * optimizer.step();
 */
export class CombinedOptimizer implements AnyOptimizer {
  readonly #optimizers: Readonly<Record<string, AnyOptimizer>>;

  constructor(optimizers: Readonly<Record<string, AnyOptimizer>>) {
    const isEmpty = typeof optimizers !== "object" || Object.keys(optimizers ?? {}).length === 0;
    if (isEmpty) fail("CombinedOptimizer: optimizers are missing, expected { name: optimizer }");
    this.#optimizers = { ...optimizers };
    for (const [name, optimizer] of this.#entries) {
      if (typeof optimizer?.step !== "function")
        fail(`CombinedOptimizer: ${name} is ${typeof optimizer}, expected an optimizer`);
    }
  }

  get #entries(): [string, AnyOptimizer][] {
    return Object.entries(this.#optimizers);
  }

  /** The base rate (of the first optimizer); setting it sets that of all. */
  get lr(): number {
    return this.#entries[0][1].lr;
  }

  set lr(value: number) {
    for (const [, optimizer] of this.#entries) optimizer.lr = value;
  }

  /** A scalar on the device; nothing is changed while it is not 0. */
  get foundInf(): Tensor | null {
    return this.#entries[0][1].foundInf;
  }

  set foundInf(value: Tensor | null) {
    for (const [, optimizer] of this.#entries) optimizer.foundInf = value;
  }

  /** Updates every parameter that has a gradient, in place. */
  step(): void {
    for (const [, optimizer] of this.#entries) optimizer.step();
  }

  /** Sets every gradient to null. */
  zeroGrad(): void {
    for (const [, optimizer] of this.#entries) optimizer.zeroGrad();
  }

  /** Returns the text that console.log() prints: the optimizers by name. */
  toString(): string {
    const lines = this.#entries.map(([name, optimizer]) => indentLines(`(${name}): ${optimizer}`));
    return ["CombinedOptimizer(", ...lines, ")"].join("\n");
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }

  /** Returns the state of each optimizer with its name, as in `muon.0.momentumBuffer`. */
  stateDict(): Record<string, Tensor> {
    const dict: Record<string, Tensor> = Object.create(null);
    for (const [name, optimizer] of this.#entries) {
      for (const [key, x] of Object.entries(optimizer.stateDict())) dict[`${name}.${key}`] = x;
    }
    return dict;
  }

  /** Copies a state dict into the state. Throws before anything is changed if it does not fit. */
  loadStateDict(dict: Record<string, Tensor>): void {
    loadState(this.stateDict(), dict);
  }
}
