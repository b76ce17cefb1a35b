// LoRA, low-rank adaptation: a trained layer is frozen, and the product of two thin matrices, which
// is added to its weight, is trained instead. Hu et al. (2021).

import { noGrad } from "../autograd.ts";
import { invalidateCaptures } from "../backend/capture.ts";
import { checkCount, checkNumber, checkOptions, describe, fail } from "../errors.ts";
import { zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { type Activation, activate, linear } from "../ops/linear.ts";
import { crossEntropy } from "../ops/loss.ts";
import { matmul } from "../ops/matmul.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Linear, randBetween } from "./layers.ts";
import { checkModule, Module, parameter, type StateDict } from "./module.ts";

/** Options of LoRALinear and adapt(). */
export interface LoRAOptions {
  /** The rows of A and the columns of B: the rank of the change of the weight. */
  rank: number;
  /** The change is scaled by alpha / rank; above 0, by default rank. */
  alpha?: number;
}

/**
 * y = x w^T + b + (alpha / rank) (x A^T) B^T.  A [rank, in] starts uniform in
 * +-1 / sqrt(in), B [out, rank] at 0, so that y is unchanged at first. Weight and bias are the
 * tensors of the base layer, frozen.
 * @example
 * const layer = new nn.LoRALinear(new nn.Linear(8, 8), { rank: 2 });
 * console.log([...layer.parameters()].filter((w) => w.requiresGrad).length); // 2
 */
export class LoRALinear extends Linear {
  /** The bias of the base layer [out], frozen. */
  override readonly bias: Tensor | null;
  /** [rank, in], trained. */
  readonly lora_A: Tensor;
  /** [out, rank], trained, 0 at first. */
  readonly lora_B: Tensor;
  /** alpha / rank. */
  readonly scale: number;

  constructor(base: Linear, options: LoRAOptions) {
    if (!(base instanceof Linear))
      fail(`LoRALinear: base is ${describe(base)}, expected a Linear layer`);
    const [outputs, inputs] = base.weight.shape;
    super(inputs, outputs, { weight: base.weight, bias: false });
    checkOptions("LoRALinear", options, ["rank", "alpha"]);
    const { rank, alpha = rank } = options;
    checkCount("LoRALinear", "rank", rank);
    checkNumber("LoRALinear", "alpha", alpha);
    if (!(alpha > 0)) fail(`LoRALinear: alpha is ${alpha}, expected a number above 0`);
    const { device } = base.weight;
    const bound = 1 / Math.sqrt(inputs);
    this.bias = base.bias;
    this.lora_A = parameter(randBetween([rank, inputs], -bound, bound, { device }));
    this.lora_B = parameter(zeros([outputs, rank], { device }));
    this.scale = alpha / rank;
    this.dtype = base.dtype;
    freeze([base]);
  }

  override extraRepr(): string {
    const rank = this.lora_A.shape[0];
    return `${super.extraRepr()}, rank=${rank}, alpha=${this.scale * rank}`;
  }

  override forward(x: Tensor, options: { activation?: Activation } = {}): Tensor {
    checkOptions("forward", options, ["activation"]);
    const low = mul(linear(x, this.lora_A), this.scale); // (..., rank)
    const y = add(super.forward(x), linear(low, this.lora_B)); // (..., out)
    return activate(y, options.activation ?? "none");
  }

  override crossEntropy(x: Tensor, targets: Tensor): Tensor {
    return crossEntropy(this.forward(x), targets);
  }

  /** Adds (alpha / rank) B A to the weight, in place, and returns a Linear with that weight. */
  merge(): Linear {
    const [outputs, inputs] = this.weight.shape;
    scope(() =>
      noGrad(() => {
        const change = mul(matmul(this.lora_B, this.lora_A), this.scale); // [out, in]
        this.weight.assign(add(this.weight, change));
      }),
    );
    const merged = new Linear(inputs, outputs, { weight: this.weight, bias: false });
    const fields: { bias: Tensor | null } = merged; // bias is readonly outside of constructors
    fields.bias = this.bias;
    merged.dtype = this.dtype;
    merged.training = this.training;
    return merged;
  }
}

/**
 * Freezes modules: their parameters require no gradient, and an optimizer does not take them.
 * @example
 * const model = new nn.Sequential(new nn.Linear(8, 8), new nn.Linear(8, 2));
 * nn.freeze([model.layers[0]]);
 * console.log([...model.parameters()].filter((w) => w.requiresGrad).length); // 2
 */
export function freeze(modules: Iterable<Module>): void {
  if (typeof modules?.[Symbol.iterator] !== "function")
    fail(`freeze: modules is ${describe(modules)}, expected a list of modules`);
  const list = [...modules];
  for (const [i, module] of list.entries()) checkModule("freeze", `modules[${i}]`, module);
  for (const module of list) {
    for (const w of module.parameters()) w.requiresGrad = false;
  }
}

/**
 * Replaces all linear layers inside a module by layers with adapters. None may share its weight
 * with another layer, as the head of a GPT with tied weights does: adapt the blocks of such a
 * model.
 * @example
 * const model = new nn.Sequential(new nn.Linear(8, 8));
 * nn.adapt(model, { rank: 2 }); // only the adapters are trained
 */
export function adapt(module: Module, options: LoRAOptions): void {
  checkOwnWeights("adapt", module, Linear);
  replaceLinear(module, (layer) =>
    layer instanceof LoRALinear ? layer : new LoRALinear(layer, options),
  );
}

/**
 * Merges all adapters in a module into the weights, and restores the Linear layers.
 * @example
 * const model = new nn.Sequential(new nn.Linear(8, 8));
 * nn.adapt(model, { rank: 2 });
 * nn.mergeAdapters(model); // plain Linear layers again
 */
export function mergeAdapters(module: Module): void {
  checkOwnWeights("mergeAdapters", module, LoRALinear);
  replaceLinear(module, (layer) => (layer instanceof LoRALinear ? layer.merge() : layer));
}

/**
 * Returns the parameters of the adapters in a module by name.
 * @example
 * const model = new nn.Sequential(new nn.Linear(8, 8));
 * nn.adapt(model, { rank: 2 });
 * console.log(Object.keys(nn.adapterState(model))); // [ 'layers.0.lora_A', 'layers.0.lora_B' ]
 */
export function adapterState(module: Module): StateDict {
  checkModule("adapterState", "module", module);
  const own = new Set<Tensor>();
  for (const layer of module.modules()) {
    if (layer instanceof LoRALinear) own.add(layer.lora_A).add(layer.lora_B);
  }
  const dict: StateDict = Object.create(null);
  for (const [name, w] of module.namedParameters()) {
    if (own.has(w)) dict[name] = w.detach();
  }
  return dict;
}

type Kind = abstract new (...options: never[]) => Linear;

/**
 * Throws if a layer of this kind shares its weight with another layer: merging an adapter would
 * change the other layer too.
 */
function checkOwnWeights(op: string, module: Module, kind: Kind): void {
  checkModule(op, "module", module);
  const owners = new Map<unknown, number>();
  const modules = [...module.modules()];
  for (const layer of modules) {
    if ("weight" in layer) owners.set(layer.weight, (owners.get(layer.weight) ?? 0) + 1);
  }
  for (const layer of modules) {
    if (!(layer instanceof kind) || owners.get(layer.weight) === 1) continue;
    const shape = formatShape(layer.weight.shape);
    fail(
      `${op}: a linear layer shares its weight ${shape} with another layer, expected one of its ` +
        "own; adapt the modules without it, such as the blocks h of a GPT",
    );
  }
}

/** Replaces each linear layer inside a module, also within arrays, by replace(layer). */
export function replaceLinear(root: Module, replace: (layer: Linear) => Linear): void {
  const replacements = new Map<Linear, Linear>(); // a shared layer stays shared
  const visited = new Set<unknown>();
  const visit = (holder: Record<string, unknown>) => {
    for (const [key, value] of Object.entries(holder)) {
      if (value instanceof Linear) {
        const replacement = replacements.get(value) ?? replace(value);
        replacements.set(value, replacement);
        holder[key] = replacement;
      } else if (!visited.has(value) && (value instanceof Module || Array.isArray(value))) {
        visited.add(value);
        visit(value as unknown as Record<string, unknown>);
      }
    }
  };
  visit(root as unknown as Record<string, unknown>);
  invalidateCaptures();
}
