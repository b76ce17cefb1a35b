// The bookkeeping of backward(): checks that a graph is still valid, and frees it, op by op, as
// backward() passes.

import { fail } from "../errors.ts";
import { scope } from "../scope.ts";
import { clearBorrowedGrads, type Node, type Tensor } from "./tensor.ts";

const FREED = "freed by backward(); read it before, or keep() it";

/**
 * Throws if backward() has passed a node before, or if one of its tensors was freed or changed in
 * place since it was recorded.
 */
export function checkVersions({ name, results, inputs, versions, backward }: Node): void {
  if (!backward) fail(`backward: the graph of ${name} was freed by an earlier backward()`);
  for (const [i, x] of [...inputs, ...results].entries()) {
    const label = i < inputs.length ? `input ${i}` : "the result";
    x.checkNotFreed(`backward: ${label} of ${name}`);
    if (x.storage.version !== versions[i])
      fail(`backward: ${label} of ${name} was changed in place since then`);
  }
}

/** Prepares for the derivative of a node's op; `dys` are the gradients of its results. */
export function beginNode({ results }: Node, dys: readonly (Tensor | undefined)[]): void {
  for (const [i, y] of results.entries()) {
    const dy = dys[i];
    if (y.retainsGrad && dy) y.addGrad(dy);
  }
}

/** Runs the derivative of an op and frees the tensors made inside, except those returned. */
export function runDerivative<T>(derivative: () => T): T {
  try {
    return scope(derivative);
  } finally {
    clearBorrowedGrads(); // also after an error: a borrowed buffer holds none
  }
}

/**
 * Frees what only the derivative of a node needed: the gradients of its results, its saved tensors
 * and the results themselves, except for `root`, which the caller of backward() holds.
 */
export function releaseNode(node: Node, dys: readonly (Tensor | undefined)[], root: Tensor): void {
  for (const dy of dys) dy?.free(FREED);
  for (const x of [...node.saved, ...node.results]) {
    if (x !== root) x.free(FREED);
  }
  for (const y of node.results)
    y.node = { ...node, inputs: [], versions: [], backward: null, saved: [] };
}
