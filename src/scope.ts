// When memory dies. A tensor belongs to the innermost scope, and ends with it, unless the scope
// returns it or somebody keeps it; memory goes back to its pool with the last tensor that shares
// it. Outside every scope tensors are left to the garbage finalizers.

/** What a scope can end: a tensor, as scopes see it. */
export interface Disposable {
  readonly storage: {
    persistent: boolean;
    /** From now on the garbage finalizers gives the memory back. */
    registerFinalizer(): void;
  };
  /** Ends it now; `reason` is what a later reader is told. */
  free(reason: string): void;
}

let innermost: Disposable[] | null = null;

/** Puts a new tensor under the innermost scope, or under the finalizers where there is none. */
export function track(tensor: Disposable): void {
  if (innermost) innermost.push(tensor);
  else tensor.storage.registerFinalizer();
}

/**
 * Runs `fn` and frees all tensors made in it, except those it returns (also inside objects and
 * arrays) and those it keeps. Refuses a promise: memory would die while the work goes on.
 * @example
 * const total = scope(() => sum(mul(tensor([1, 2]), 3)).item()); // frees the product and sum
 * console.log(total); // 9
 */
export function scope<T>(fn: () => T): T {
  const outer = innermost;
  const mine: Disposable[] = [];
  let survivors = new Set<unknown>();
  innermost = mine;
  try {
    const result = fn();
    if (result instanceof Promise) {
      result.catch(() => undefined); // its tensors die now: what it says later is of no use
      throw new TypeError("scope: fn returned a promise, expected a synchronous function");
    }
    survivors = tensorsIn(result);
    return result;
  } finally {
    innermost = outer;
    for (const tensor of mine) {
      if (tensor.storage.persistent) continue; // keep() has settled it
      if (survivors.has(tensor)) track(tensor);
      else tensor.free("freed at the end of its scope; return it or keep() it");
    }
  }
}

/**
 * Takes a tensor out of its scope and out of backward()'s reach: it lives until it is unreachable.
 * @example
 * const total = scope(() => keep(add(tensor([1, 2]), 1)));
 * console.log(total.toArray()); // [ 2, 3 ]
 */
export function keep<T extends Disposable>(tensor: T): T {
  tensor.storage.persistent = true;
  tensor.storage.registerFinalizer();
  return tensor;
}

/** All tensors in a value, through arrays, maps, sets and objects. */
function tensorsIn(value: unknown): Set<unknown> {
  const reached = new Set<unknown>([value]);
  for (const item of reached) {
    if (typeof item !== "object" || item === null || ArrayBuffer.isView(item)) continue;
    if ("storage" in item && "free" in item) continue; // a tensor: what it leads to is not returned
    const inner = item instanceof Map ? [...item.keys(), ...item.values()] : item;
    for (const x of inner instanceof Set ? inner : Object.values(inner)) reached.add(x);
  }
  return reached;
}
