// Reverse-mode automatic differentiation. An op computes its result and registers its derivative
// with record(); backward() walks the graph from the loss to the leaves and accumulates gradients
// there. The ops are in ops/; tensor/graph.ts frees the memory of the graph on the way.

import { checkFunction, describe, fail } from "./errors.ts";
import { checkShape, formatShape } from "./shape.ts";
import { beginNode, checkVersions, releaseNode, runDerivative } from "./tensor/graph.ts";
import { checkSameKind } from "./tensor/ndarray.ts";
import { type Backward, empty, type Node, Tensor, toDType } from "./tensor/tensor.ts";

let gradEnabled = true;

/**
 * Makes the result of an op differentiable: every op ends in it. `inputs` are the tensors that it
 * was computed from; `backward` takes d loss / d result and returns d loss / d input for each
 * input, or null where none is needed; `saved` lists tensors that only `backward` needs. An op
 * with several results passes them in the order in which they were made.
 * @example
 * const square = (x) => record("square", noGrad(() => mul(x, x)), [x], (dy) => [mul(dy, mul(x,
 * 2))]); console.log(checkGradient(square, [randn([3], { requiresGrad: true })]).ok); // true
 */
export function record<R extends Tensor | readonly Tensor[]>(
  name: string,
  result: R,
  inputs: readonly Tensor[],
  backward: Backward,
  saved: readonly Tensor[] = [],
): R {
  if (!Array.isArray(inputs)) fail(`record: inputs are ${describe(inputs)}, expected tensors`);
  const results: readonly Tensor[] = result instanceof Tensor ? [result] : result;
  if (gradEnabled && inputs.some((x) => x.requiresGrad)) {
    const versions = [...inputs, ...results].map((x) => x.storage.version);
    const node: Node = { name, results, inputs, versions, backward, saved };
    for (const y of results) {
      y.requiresGrad = true;
      y.node = node;
      y.origin = name;
    }
  } else {
    for (const x of saved) x.free("not saved: nothing required a gradient");
  }
  return result;
}

/** Incomplete gradients: not all ops that use the result have run backward yet. */
type PendingGrads = Map<Tensor, Tensor>;

/** Adds d root / d x to the .grad of every leaf x; `dy`, by default 1, is the gradient of root. */
export function backward(root: Tensor, dy?: Tensor): void {
  checkArguments(root, dy);
  const order = topologicalOrder(root); // throws before anything has changed
  const pending: PendingGrads = new Map();
  noGrad(() => {
    const seed = dy ?? empty(root).fill(1);
    accumulateGrad(root, seed, pending);
    if (!dy) seed.free("a seed of backward()");
    for (const node of order) {
      const dys = node.results.map((y) => pending.get(y));
      if (dys.some((dy) => dy)) applyChainRule(node, dys as Tensor[], pending);
      releaseNode(node, dys, root);
    }
  });
}

/** Passes the gradients of an op's results on to its inputs. */
function applyChainRule(node: Node, dys: Tensor[], pending: PendingGrads): void {
  const { name, inputs, backward } = node;
  beginNode(node, dys);
  runDerivative(() => {
    const dxs = (backward as Backward)(...dys);
    for (const [i, x] of inputs.entries()) {
      const dx = dxs[i];
      if (!dx || !x.requiresGrad) continue;
      checkShape("backward", `gradient of input ${i} of ${name}`, dx.shape, x.shape);
      accumulateGrad(x, dx, pending);
    }
    return inputs.map((x) => pending.get(x)); // so that they are not freed
  });
}

/**
 * Returns the ops that produced root, newest first. An op comes after all ops that used its
 * results, so their gradients are complete when its turn comes: in b = a + a; c = b + b a recursion
 * would pass b's gradient on before its second contribution has arrived.
 */
function topologicalOrder(root: Tensor): Node[] {
  const reached = new Set([root]);
  for (const { node } of reached) {
    if (!node) continue; // a leaf
    checkVersions(node);
    // The set may grow while it is iterated. No recursion: a chain of ops may be any length.
    // Results too: the oldest one, results[0], places the op even if the loss does not depend on
    // it.
    for (const x of [...node.inputs, ...node.results]) {
      if (x.requiresGrad) reached.add(x);
    }
  }
  return [...reached]
    .sort((a, b) => b.id - a.id)
    .filter((y) => y.node?.results[0] === y) // one of an op's results stands for the op
    .map((y) => y.node as Node);
}

/** Adds dx to the gradient of x: to .grad if x is a leaf, otherwise to its pending gradient. */
function accumulateGrad(x: Tensor, dx: Tensor, pending: PendingGrads): void {
  if (!x.node) {
    x.addGrad(dx);
    return;
  }
  const increment = toDType(dx, x.dtype);
  const sum = pending.get(x);
  if (!sum) {
    pending.set(x, increment.detach()); // a tensor of its own on the same memory
    return;
  }
  const total = empty(x); // not in place: the memory of sum may be another gradient's too
  x.device.kernels.add(sum.floats, increment.floats, total.floats, x.size, x.size, x.size);
  sum.free("replaced by a sum of gradients");
  pending.set(x, total);
}

function checkArguments(root: Tensor, dy?: Tensor): void {
  if (!root.requiresGrad) fail("backward: x does not require a gradient");
  if (dy) checkSameKind("backward", "dy", dy, root, root.shape);
  else if (root.size !== 1)
    fail(`backward: x has shape ${formatShape(root.shape)}, expected one element`);
}

/**
 * Runs a synchronous `fn` without recording: the tensors that it makes have no graph.
 * @example
 * const y = noGrad(() => mul(tensor([1, 2], { requiresGrad: true }), 2));
 * console.log(y.requiresGrad); // false
 */
export function noGrad<T>(fn: () => T): T {
  checkFunction("noGrad", "fn", fn);
  const before = gradEnabled;
  gradEnabled = false;
  try {
    const result = fn();
    return result instanceof Promise ? fail("noGrad: fn returned a promise") : result;
  } finally {
    gradEnabled = before;
  }
}

// x.backward() for backward(x). The method cannot be in class Tensor, which this file imports.
Tensor.prototype.backward = function (dy?: Tensor): void {
  backward(this, dy);
};
