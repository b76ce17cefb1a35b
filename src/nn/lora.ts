// LoRA, low-rank adaptation: a trained layer stays as it is, and beside it a product of two thin
// matrices learns what a new task needs. Hu et al. (2021).

import { noGrad } from "../autograd.ts";
import { invalidateCaptures } from "../backend/capture.ts";
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { zeros } from "../ops/creation.ts";
import { add, mul } from "../ops/elementwise.ts";
import { type Activation, activate, linear } from "../ops/linear.ts";
import { crossEntropy } from "../ops/loss.ts";
import { matmul } from "../ops/matmul.ts";
import { rand } from "../ops/random.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { Linear } from "./layers.ts";
import { Module, parameter, type StateDict } from "./module.ts";

/** Options of LoRALinear and adapt(). */
export interface LoRAOptions {
  /** The rows of A and the columns of B: what the change of the weight has in rank, at most. */
  rank: number;
  /** The change is scaled by alpha / rank; above 0, by default rank. */
  alpha?: number;
}

/**
 * y = x w^T + b + (alpha / rank) (x A^T) B^T.  A [rank, in], uniform within 1 / sqrt(in) of 0 at
 * first; B [out, rank], at first 0: then y is what it was. Weight and bias are the base layer's own
 * tensors, and frozen.
 * @example
 * const layer = new nn.LoRALinear(new nn.Linear(8, 8), { rank: 2 });
 * console.log([...layer.parameters()].filter((w) => w.requiresGrad).length); // 2
 */
export class LoRALinear extends Linear {
  override readonly bias: Tensor | null;
  readonly lora_A: Tensor;
  readonly lora_B: Tensor;
  readonly scale: number;

  constructor(base: Linear, options: LoRAOptions) {
    const [outputs, inputs] = base.weight.shape;
    super(inputs, outputs, { weight: base.weight, bias: false });
    checkOptions("LoRALinear", options, ["rank", "alpha"]);
    const { rank, alpha = rank } = options;
    if (!Number.isInteger(rank) || rank < 1)
      fail(`LoRALinear: rank is ${rank}, expected a whole number from 1 up`);
    checkNumber("LoRALinear", "alpha", alpha);
    if (!(alpha > 0)) fail(`LoRALinear: alpha is ${alpha}, expected a number above 0`);
    const { device } = base.weight;
    const bound = 1 / Math.sqrt(inputs);
    this.bias = base.bias;
    this.lora_A = parameter(add(mul(rand([rank, inputs], { device }), 2 * bound), -bound));
    this.lora_B = parameter(zeros([outputs, rank], { device }));
    this.scale = alpha / rank;
    this.dtype = base.dtype;
    freeze([base]);
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

  /** Adds (alpha / rank) B A to the weight, in place, and gives a plain layer around it. */
  merge(): Linear {
    const [outputs, inputs] = this.weight.shape;
    scope(() =>
      noGrad(() => {
        const change = mul(matmul(this.lora_B, this.lora_A), this.scale); // [out, in]
        this.weight.assign(add(this.weight, change));
      }),
    );
    const plain = new Linear(inputs, outputs, { weight: this.weight, bias: false });
    return Object.assign(plain, { bias: this.bias, dtype: this.dtype, training: this.training });
  }
}

/**
 * Takes modules out of training: their parameters get no gradient, and need no optimizer.
 * @example
 * const model = new nn.Sequential(new nn.Linear(8, 8), new nn.Linear(8, 2));
 * nn.freeze([model.layers[0]]);
 * console.log([...model.parameters()].filter((w) => w.requiresGrad).length); // 2
 */
export function freeze(modules: Iterable<Module>): void {
  for (const module of modules) for (const w of module.parameters()) w.requiresGrad = false;
}

/**
 * Puts adapters in the place of all linear layers inside a module. None may share its weight with
 * another layer, as the head of a GPT with tied weights does: adapt the blocks of such a model.
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
 * Merges all adapters in a module: plain layers stand in their places again.
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
 * The parameters of the adapters in a module, by name; none if it has no adapters.
 * @example
 * const model = new nn.Sequential(new nn.Linear(8, 8));
 * nn.adapt(model, { rank: 2 });
 * console.log(Object.keys(nn.adapterState(model))); // [ 'layers.0.lora_A', 'layers.0.lora_B' ]
 */
export function adapterState(module: Module): StateDict {
  const own = new Set<Tensor>();
  for (const each of module.modules())
    if (each instanceof LoRALinear) own.add(each.lora_A).add(each.lora_B);
  const dict: StateDict = Object.create(null);
  for (const [name, w] of module.namedParameters()) if (own.has(w)) dict[name] = w.detach();
  return dict;
}

type Kind = abstract new (...options: never[]) => Linear;

/**
 * Throws if the weight of a layer of this kind is another layer's too: what an adapter learns is
 * for its own layer, and merged it would change the other.
 */
function checkOwnWeights(op: string, module: Module, kind: Kind): void {
  const owners = new Map<unknown, number>();
  const modules = [...module.modules()];
  for (const each of modules)
    if ("weight" in each) owners.set(each.weight, (owners.get(each.weight) ?? 0) + 1);
  for (const each of modules)
    if (each instanceof kind && owners.get(each.weight) !== 1)
      fail(
        `${op}: a linear layer shares its weight ${formatShape(each.weight.shape)} with another layer, ` +
          "expected one of its own; adapt the modules without it, as the blocks h of a GPT",
      );
}

/** Puts change(layer) in the place of each linear layer inside a module, also within arrays. */
export function replaceLinear(root: Module, change: (layer: Linear) => Linear): void {
  const changed = new Map<unknown, unknown>(); // what stands for each; a shared layer stays shared
  const visit = (holder: object) => {
    for (const [key, inner] of Object.entries(holder)) {
      const isNew = !changed.has(inner);
      if (inner instanceof Linear) {
        if (isNew) changed.set(inner, change(inner));
        Object.assign(holder, { [key]: changed.get(inner) });
      } else if (isNew && (inner instanceof Module || Array.isArray(inner))) {
        changed.set(inner, inner);
        visit(inner);
      }
    }
  };
  visit(root);
  invalidateCaptures();
}
