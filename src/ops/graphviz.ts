// The graph of a tensor, as a picture for Graphviz.

import { formatShape } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** Returns the given tensors and all tensors that they were computed from, each once. */
export function collectGraph(...results: readonly Tensor[]): Tensor[] {
  const reached = new Set(results);
  for (const { node } of reached) {
    for (const x of node?.inputs ?? []) reached.add(x); // the set may grow while it is iterated
  }
  return [...reached];
}

/**
 * Returns the graph that `root` was computed by in Graphviz's language: ops, shapes, and scalars
 * with their gradients.
 * @example
 * const x = tensor([1, 2], { requiresGrad: true });
 * console.log(toDot(sum(mul(x, x))).startsWith("digraph")); // true
 */
export function toDot(root: Tensor): string {
  checkTensor("toDot", "x", root);
  const lines = ["digraph {", "  rankdir=LR;"];
  for (const y of collectGraph(root)) {
    lines.push(`  t${y.id} [shape=box label="${getLabel(y)}"];`);
    if (!y.node) continue;
    lines.push(`  op${y.id} [label="${y.node.name}"];`, `  op${y.id} -> t${y.id};`);
    for (const x of y.node.inputs) lines.push(`  t${x.id} -> op${y.id};`);
  }
  return [...lines, "}"].join("\n");
}

function getLabel(x: Tensor): string {
  const describe = (t: Tensor) => (t.size === 1 ? t.item().toPrecision(4) : formatShape(t.shape));
  const value = x.isFreed ? formatShape(x.shape) : describe(x);
  return x.grad ? `${value} | grad ${describe(x.grad)}` : value;
}
