// The lifetime of tensors. A tensor belongs to the innermost scope and is freed at its end, unless
// the scope returns it or keep() was called on it. Memory returns to its pool with the last tensor
// that shares it. Outside of all scopes tensors are left to the garbage collector.

import { checkFunction, describe, fail } from "./errors.ts";

/** The parts of a tensor that scopes use. */
export interface Disposable {
  readonly storage: {
    persistent: boolean;
    /** Lets the garbage collector return the memory to its pool. */
    registerFinalizer(): void;
  };
  /** Frees the tensor; `reason` is part of the error if it is read later. */
  free(reason: string): void;
}

let innermost: Disposable[] | null = null;

/** Adds a new tensor to the innermost scope; without one it is left to the garbage collector. */
export function track(tensor: Disposable): void {
  if (innermost) innermost.push(tensor);
  else tensor.storage.registerFinalizer();
}

/**
 * Runs `fn` and frees all tensors made in it, except those it returns (also inside objects and
 * arrays) and those that keep() was called on. Throws if `fn` returns a promise: memory would be
 * freed while the work continues.
 * @example
 * const total = scope(() => sum(mul(tensor([1, 2]), 3)).item()); // frees the product and sum
 * console.log(total); // 9
 */
export function scope<T>(fn: () => T): T {
  checkFunction("scope", "fn", fn);
  const outer = innermost;
  const own: Disposable[] = [];
  let survivors = new Set<unknown>();
  innermost = own;
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => undefined); // its tensors are freed now, so it will fail
      throw new TypeError("scope: fn returned a promise, expected a synchronous function");
    }
    survivors = collectReachable(result);
    return result;
  } finally {
    innermost = outer;
    for (const tensor of own) {
      if (tensor.storage.persistent) continue;
      if (survivors.has(tensor)) track(tensor);
      else tensor.free("freed at the end of its scope; return it or keep() it");
    }
  }
}

/**
 * Takes a tensor out of its scope, so that neither the scope nor backward() frees it: it lives
 * until it is unreachable.
 * @example
 * const total = scope(() => keep(add(tensor([1, 2]), 1)));
 * console.log(total.toArray()); // [ 2, 3 ]
 */
export function keep<T extends Disposable>(tensor: T): T {
  if (!tensor?.storage) fail(`keep: x is ${describe(tensor)}, expected a tensor`);
  tensor.storage.persistent = true;
  tensor.storage.registerFinalizer();
  return tensor;
}

/** Returns a value with everything inside of it, through arrays, maps, sets and objects. */
function collectReachable(value: unknown): Set<unknown> {
  const reached = new Set<unknown>([value]);
  for (const item of reached) {
    if (typeof item !== "object" || item === null || ArrayBuffer.isView(item)) continue;
    if ("storage" in item && "free" in item) continue; // a tensor
    const inner = item instanceof Map ? [...item.keys(), ...item.values()] : item;
    for (const x of inner instanceof Set ? inner : Object.values(inner)) reached.add(x);
  }
  return reached;
}
