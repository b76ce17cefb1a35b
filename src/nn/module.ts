// A module is an object that holds parameters and a way to compute. Parameters are found by walking
// its fields, each time they are asked for: plain class fields, arrays and nested modules all work,
// and nothing has to be registered.

import { invalidateCaptures } from "../backend/capture.ts";
import type { Device, DeviceName } from "../backend/device.ts";
import { checkOptions, fail } from "../errors.ts";
import { to } from "../ops/movement.ts";
import { keep } from "../scope.ts";
import { formatShape, isSameShape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { Tensor } from "../tensor/tensor.ts";

/** The values of parameters by name. */
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
  /** True while training: dropout drops. */
  training = true;
  /** What it computes in; the parameters are f32 beside bf16 too. */
  dtype: "f32" | "f64" | "bf16" = "f32";

  /** The tensors that training changes, a shared one once. */
  *parameters(): Generator<Tensor> {
    for (const [, parameter] of this.namedParameters()) yield parameter;
  }

  /**
   * The parameters with their names: the paths of fields that lead to them, as in
   * h.0.attn.c_attn.weight.
   */
  *namedParameters(): Generator<[name: string, parameter: Tensor]> {
    for (const [name, leaf] of leaves(this, "", new Set()))
      if (leaf instanceof Tensor && parameters.has(leaf)) yield [name, leaf];
  }

  /** This module and all inside it. */
  *modules(): Generator<Module> {
    for (const [, leaf] of leaves(this, "", new Set())) if (leaf instanceof Module) yield leaf;
  }

  /** The parameters by name, sharing their memory. */
  stateDict(): StateDict {
    const dict: StateDict = Object.create(null);
    for (const [name, parameter] of this.namedParameters()) dict[name] = parameter.detach();
    return dict;
  }

  /**
   * Copies values into the parameters, which stay the same tensors. Every name must be there, and
   * no other, unless `strict` is false; shapes must always fit. Throws before anything is changed.
   */
  loadStateDict(dict: StateDict, options: { strict?: boolean } = {}): void {
    checkOptions("loadStateDict", options, ["strict"]);
    const { strict = true } = options;
    checkDict("loadStateDict", dict);
    const own = new Map(this.namedParameters());
    const missing = [...own.keys()].filter((name) => !Object.hasOwn(dict, name));
    const unknown = Object.keys(dict).filter((name) => !own.has(name));
    if (strict && missing.length > 0) fail(`loadStateDict: ${missing.join(", ")} missing`);
    if (strict && unknown.length > 0) fail(`loadStateDict: ${unknown.join(", ")} unknown`);
    const pairs = [...own].filter(([name]) => Object.hasOwn(dict, name));
    for (const [name, { shape, dtype }] of pairs) {
      if (!isSameShape(dict[name].shape, shape))
        fail(
          `loadStateDict: ${name} has shape ${formatShape(dict[name].shape)}, expected ${formatShape(shape)}`,
        );
      if ((dict[name].dtype === "i32") !== (dtype === "i32"))
        fail(`loadStateDict: ${name} has dtype ${dict[name].dtype}, expected ${dtype}`);
    }
    for (const [name, parameter] of pairs)
      parameter.assign(to(dict[name].detach(), parameter.device));
  }

  /** Sets this module and those inside to training. */
  train(on = true): this {
    for (const module of this.modules()) {
      if (module.training !== on) invalidateCaptures();
      module.training = on;
    }
    return this;
  }

  /** Sets this module and those inside to evaluation: nothing is dropped. */
  eval(): this {
    return this.train(false);
  }

  /**
   * Moves the parameters, and what tables lie beside them, to a device, or to floats of another
   * size; they stay the same tensors.
   * bf16 is what is computed in from then on: the parameters themselves are f32, and so are their
   * gradients.
   */
  to(target: DeviceName | Device | "f32" | "f64" | "bf16"): this {
    if ((target as string) === "i32")
      fail("to: target is i32, expected a device, f32, f64 or bf16");
    const isDType = target === "f32" || target === "f64" || target === "bf16";
    if (isDType) {
      for (const module of this.modules()) module.dtype = target;
      invalidateCaptures();
    }
    for (const [, each] of leaves(this, "", new Set())) {
      if (!(each instanceof Tensor) || (isDType && each.dtype === "i32")) continue;
      const moved = to(each.detach(), target === "bf16" ? "f32" : target);
      if (moved.storage === each.storage) continue;
      each.moveTo(keep(moved).storage);
      each.grad = null;
    }
    return this;
  }
}

/**
 * What fn gives while a module and those inside evaluate: each goes back to its own mode.
 * @example
 * const layer = new nn.Dropout(0.5);
 * console.log(nn.evaluating(layer, () => layer.forward(ones([2])).toArray())); // [ 1, 1 ]
 */
export function evaluating<T>(module: Module, fn: () => T): T {
  const modes = [...module.modules()].map((each) => ({ each, training: each.training }));
  module.eval();
  try {
    return fn();
  } finally {
    for (const { each, training } of modes) each.training = training;
  }
}

/** Throws unless every value of a dictionary is a tensor that can be read. */
export function checkDict(op: string, dict: StateDict): void {
  if (typeof dict !== "object" || dict === null) fail(`${op}: dict is ${dict}, expected tensors`);
  for (const [name, x] of Object.entries(dict)) {
    checkTensor(op, name, x);
    x.checkNotFreed(`${op}: ${name}`);
  }
}

const parameters = new WeakSet<Tensor>(); // a parameter stays one while it is frozen

/** Makes a tensor a parameter: it asks for gradients, and no scope ends it. */
export function parameter(x: Tensor): Tensor {
  x.requiresGrad = true;
  parameters.add(x);
  return keep(x);
}

/** Makes a tensor part of a module, as a parameter is, but not to be trained. */
export function constant(x: Tensor): Tensor {
  x.requiresGrad = false;
  parameters.add(x);
  return keep(x);
}

/** All tensors and modules under a value, with their paths, each once under its first path. */
function* leaves(value: unknown, path: string, seen: Set<unknown>): Generator<[string, unknown]> {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  if (value instanceof Tensor) {
    if (value.requiresGrad && !value.node) parameters.add(value);
    if (!value.node) yield [path, value];
    return;
  }
  const plain = Object.getPrototypeOf(value) === Object.prototype;
  if (!(value instanceof Module) && !Array.isArray(value) && !plain) return;
  if (value instanceof Module) yield [path, value];
  for (const [field, inner] of Object.entries(value))
    yield* leaves(inner, path ? `${path}.${field}` : field, seen);
}
