// Modules: objects with parameters and a forward pass. Parameters are found by walking the fields
// of the module at each call: class fields, arrays and nested modules all work, and nothing has to
// be registered.

import { invalidateCaptures } from "../backend/capture.ts";
import type { Device, DeviceName } from "../backend/device.ts";
import { checkFunction, checkOptions, describe, fail } from "../errors.ts";
import { to } from "../ops/movement.ts";
import { formatFields, inspectSymbol } from "../printing.ts";
import { keep } from "../scope.ts";
import { formatShape, isSameShape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";
import { formatModule } from "./print.ts";

/** Tensors by name. */
export type StateDict = Record<string, Tensor>;

/**
 * Base class of layers and models: finds its parameters and submodules in its fields.
 * @example
 * class Net extends nn.Module {
 *   layer = new nn.Linear(2, 3);
 * }
 * console.log([...new Net().namedParameters()].map(([name]) => name));
 */
export abstract class Module {
  /** True in train mode: dropout is active, and batches are normalized by their own statistics. */
  training = true;
  /** The dtype of the computation; with bf16 the parameters stay f32. */
  dtype: "f32" | "f64" | "bf16" = "f32";

  /** The tensors that optimizers may change; a shared one appears once. */
  *parameters(): Generator<Tensor> {
    for (const [, parameter] of this.namedParameters()) yield parameter;
  }

  /**
   * The parameters with their names, the paths of the fields that hold them, such as
   * h.0.attn.c_attn.weight.
   */
  *namedParameters(): Generator<[name: string, parameter: Tensor]> {
    for (const [name, tensor] of namedTensors(this)) {
      if (parameters.has(tensor)) yield [name, tensor];
    }
  }

  /** The tensors that are saved with the module but not trained, such as quantized weights. */
  *buffers(): Generator<Tensor> {
    for (const [, buffer] of this.namedBuffers()) yield buffer;
  }

  /** The buffers with their names. */
  *namedBuffers(): Generator<[name: string, buffer: Tensor]> {
    for (const [name, tensor] of namedTensors(this)) {
      if (buffers.has(tensor)) yield [name, tensor];
    }
  }

  /** This module and all modules inside of it. */
  *modules(): Generator<Module> {
    for (const [, value] of walk(this, "", new Set())) {
      if (value instanceof Module) yield value;
    }
  }

  /** Returns the parameters and buffers by name, on the same memory. */
  stateDict(): StateDict {
    const dict: StateDict = Object.create(null);
    for (const [name, tensor] of namedTensors(this)) {
      if (parameters.has(tensor) || buffers.has(tensor)) dict[name] = tensor.detach();
    }
    return dict;
  }

  /**
   * Copies values into the parameters and buffers, which stay the same tensors. Throws before
   * anything is changed if a name is missing or unknown, unless `strict` is false, or if a shape
   * differs.
   */
  loadStateDict(dict: StateDict, options: { strict?: boolean } = {}): void {
    checkOptions("loadStateDict", options, ["strict"]);
    const { strict = true } = options;
    checkDict("loadStateDict", dict);
    const own = new Map([...this.namedParameters(), ...this.namedBuffers()]);
    const missing = [...own.keys()].filter((name) => !Object.hasOwn(dict, name));
    const unknown = Object.keys(dict).filter((name) => !own.has(name));
    if (strict && missing.length > 0) fail(`loadStateDict: ${missing.join(", ")} missing`);
    if (strict && unknown.length > 0) fail(`loadStateDict: ${unknown.join(", ")} unknown`);
    const pairs = [...own].filter(([name]) => Object.hasOwn(dict, name));
    for (const [name, { shape, dtype }] of pairs) {
      if (!isSameShape(dict[name].shape, shape))
        fail(
          `loadStateDict: ${name} has shape ${formatShape(dict[name].shape)}, ` +
            `expected ${formatShape(shape)}`,
        );
      if ((dict[name].dtype === "i32") !== (dtype === "i32"))
        fail(`loadStateDict: ${name} has dtype ${dict[name].dtype}, expected ${dtype}`);
    }
    for (const [name, tensor] of pairs) tensor.assign(to(dict[name].detach(), tensor.device));
  }

  /** Forgets the gradients of all parameters. */
  zeroGrad(): void {
    for (const parameter of this.parameters()) parameter.grad = null;
  }

  /** Sets this module and those inside of it to train mode. */
  train(on = true): this {
    for (const module of this.modules()) {
      if (module.training !== on) invalidateCaptures();
      module.training = on;
    }
    return this;
  }

  /** Sets this module and those inside of it to eval mode: no dropout, and running averages in
   *  batch normalization. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Moves all tensors of the module to a device, or to another float dtype; they stay the same
   * tensors. bf16 becomes the dtype of the computation; parameters and their gradients stay f32.
   */
  to(target: DeviceName | Device | "f32" | "f64" | "bf16"): this {
    if ((target as string) === "i32")
      fail("to: target is i32, expected a device, f32, f64 or bf16");
    const isDType = target === "f32" || target === "f64" || target === "bf16";
    if (isDType) {
      for (const module of this.modules()) module.dtype = target;
      invalidateCaptures();
    }
    for (const [, tensor] of namedTensors(this)) {
      if (isDType && tensor.dtype === "i32") continue;
      const moved = to(tensor.detach(), target === "bf16" ? "f32" : target);
      if (moved.storage === tensor.storage) continue;
      tensor.moveTo(keep(moved).storage);
      tensor.grad = null;
    }
    return this;
  }

  /**
   * Returns what toString() shows between the parentheses of this module, as PyTorch's
   * extra_repr(). By default these are the fields that are numbers, names, true or false.
   */
  extraRepr(): string {
    const { training, dtype, options, ...fields } = this as this & { options?: object };
    return formatFields({ ...fields, ...options });
  }

  /**
   * Returns the text that console.log() prints: the tree of modules, as PyTorch prints it, and the
   * number of parameters of each, in which a shared one counts once.
   */
  toString(): string {
    for (const _ of namedTensors(this)); // makes fields that require a gradient parameters
    return formatModule(this, {
      isModule: (value) => value instanceof Module,
      isParameter: (value): value is Tensor => parameters.has(value as Tensor),
      isBuffer: (value): value is Tensor => buffers.has(value as Tensor),
    });
  }

  /** @internal */
  [inspectSymbol](): string {
    return this.toString();
  }
}

/**
 * Runs `fn` with a module and those inside of it in eval mode, then restores the mode of each.
 * @example
 * const layer = new nn.Dropout(0.5);
 * console.log(nn.inEvalMode(layer, () => layer.forward(ones([2])).toArray())); // [ 1, 1 ]
 */
export function inEvalMode<T>(module: Module, fn: () => T): T {
  checkModule("inEvalMode", "module", module);
  checkFunction("inEvalMode", "fn", fn);
  const modes = [...module.modules()].map((inner) => ({ inner, training: inner.training }));
  module.eval();
  try {
    return fn();
  } finally {
    for (const { inner, training } of modes) inner.training = training;
  }
}

/** Throws unless a value is a module. */
export function checkModule(op: string, argument: string, module: unknown): void {
  if (!(module instanceof Module))
    fail(`${op}: ${argument} is ${describe(module)}, expected a module`);
}

/** Throws unless every value of a dictionary is a tensor that can be read. */
export function checkDict(op: string, dict: StateDict): void {
  if (typeof dict !== "object" || dict === null)
    fail(`${op}: dict is ${describe(dict)}, expected tensors by name`);
  for (const [name, x] of Object.entries(dict)) {
    checkTensor(op, name, x);
    x.checkNotFreed(`${op}: ${name}`);
  }
}

const parameters = new WeakSet<Tensor>(); // a frozen parameter stays a parameter
const buffers = new WeakSet<Tensor>();

/** Makes a tensor a parameter: it requires a gradient, and no scope frees it. */
export function parameter(x: Tensor): Tensor {
  x.requiresGrad = true;
  parameters.add(x);
  return keep(x);
}

/** Makes a tensor a buffer: saved, loaded and moved with its module, but not trained. */
export function buffer(x: Tensor): Tensor {
  x.requiresGrad = false;
  parameters.delete(x);
  buffers.add(x);
  return keep(x);
}

/** All tensors in the fields of a module with their paths, each once under its first path. */
function* namedTensors(module: Module): Generator<[name: string, tensor: Tensor]> {
  for (const [path, value] of walk(module, "", new Set())) {
    if (value instanceof Tensor) yield [path, value];
  }
}

/** All tensors and modules under a value with their paths, each once under its first path. */
function* walk(value: unknown, path: string, seen: Set<unknown>): Generator<[string, unknown]> {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (value instanceof Tensor) {
    if (value.requiresGrad && !value.node) parameters.add(value);
    if (!value.node) yield [path, value];
    return;
  }
  const isPlainObject = Object.getPrototypeOf(value) === Object.prototype;
  if (!(value instanceof Module) && !Array.isArray(value) && !isPlainObject) return;
  if (value instanceof Module) yield [path, value];
  for (const [field, inner] of Object.entries(value))
    yield* walk(inner, path ? `${path}.${field}` : field, seen);
}
