// Tensors inside arrays and plain objects: the arguments and results of captured steps.

import type { Disposable } from "../scope.ts";
import type { Storage } from "./memory.ts";

/** The fields of a tensor that capture uses. */
export interface TensorLike extends Disposable {
  storage: Storage;
  readonly shape: readonly number[];
  readonly requiresGrad: boolean;
  detach(): TensorLike;
}

export function isTensor(x: unknown): x is TensorLike {
  return typeof x === "object" && x !== null && "storage" in x && "detach" in x;
}

/** Returns the same value with other tensors, also inside arrays and objects. */
export function mapTensors(value: unknown, f: (x: TensorLike) => TensorLike): unknown {
  if (isTensor(value)) return f(value);
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, f));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, mapTensors(item, f)]);
  return Object.fromEntries(entries);
}

/** Returns the tensors in a value. */
export function collectTensors(value: unknown): TensorLike[] {
  const found: TensorLike[] = [];
  mapTensors(value, (x) => {
    found.push(x);
    return x;
  });
  return found;
}
