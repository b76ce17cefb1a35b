// Parameters and lists of modules by PyTorch's names. Plain tensors and arrays in the fields of a
// module do the same; these are for those who are used to them.

import { checkOptions, describe, fail } from "../errors.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";
import { Module, parameter } from "./module.ts";

/**
 * A tensor that is a parameter of the module whose field it is in. It has the memory of x, and
 * requires a gradient unless `requiresGrad` is false.
 * @example
 * class Scale extends nn.Module {
 *   factor = new nn.Parameter(ones([3]));
 * }
 * console.log([...new Scale().namedParameters()].map(([name]) => name)); // [ 'factor' ]
 */
export class Parameter extends Tensor {
  constructor(x: Tensor, options: { requiresGrad?: boolean } = {}) {
    checkTensor("Parameter", "x", x);
    checkOptions("Parameter", options, ["requiresGrad"]);
    super(x.storage.retain(), x.shape);
    parameter(this);
    this.requiresGrad = options.requiresGrad ?? true;
  }
}

/**
 * An array of modules: list[0], list.length, for (const layer of list). The parameters have the
 * names that they have in an array: layers.0.weight.
 * @example
 * const layers = new nn.ModuleList([new nn.Linear(2, 3), new nn.Linear(3, 1)]);
 * console.log(layers.length, [...layers.parameters()].length); // 2 4
 */
export class ModuleList<M extends Module = Module> extends Array<M> {
  /** map(), filter() and slice() return plain arrays. @internal */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  constructor(modules: Iterable<M> = []) {
    super();
    if (typeof modules?.[Symbol.iterator] !== "function")
      fail(`ModuleList: modules is ${describe(modules)}, expected a list of modules`);
    for (const module of modules) this.append(module);
  }

  /** Adds a module at the end. */
  append(module: M): this {
    if (!(module instanceof Module))
      fail(`ModuleList: element ${this.length} is ${describe(module)}, expected a module`);
    this.push(module);
    return this;
  }

  /** The parameters of all modules; a shared one appears once. */
  *parameters(): Generator<Tensor> {
    const seen = new Set<Tensor>();
    for (const module of this) {
      for (const parameter of module.parameters()) {
        if (!seen.has(parameter)) yield parameter;
        seen.add(parameter);
      }
    }
  }
}
