// How a tensor was made: the edges of the graph, and the check before they are walked back.

import { fail } from "../errors.ts";
import type { Tensor } from "./tensor.ts";

/**
 * Takes dy = d loss / d result, gives d loss / d input for each input; false where there is none,
 * or where it is not wanted. Of two results it takes two; undefined where nothing came of one.
 */
export type Backward = (...dy: Tensor[]) => readonly (Tensor | false)[];

/** How a tensor was made: the edges of the graph from a result to its inputs. */
export interface Node {
  readonly name: string;
  readonly results: readonly Tensor[]; // oldest first; that one stands for all in the walk
  readonly inputs: readonly Tensor[];
  readonly versions: readonly number[]; // how often inputs and result had been written to
  readonly backward: Backward | null; // null once backward() has passed: a graph serves once
  readonly saved: readonly Tensor[]; // what backward needs beside inputs and result
}

/** A node's tensors. Throws if it has served already, or if one of them is gone or changed. */
export function freshEnds(node: Node): readonly Tensor[] {
  const { name, results, inputs, versions, backward } = node;
  if (!backward) fail(`backward: the graph of ${name} was freed by an earlier backward()`);
  for (const [i, x] of [...inputs, ...results].entries()) {
    const what = i < inputs.length ? `input ${i}` : "the result";
    x.checkNotFreed(`backward: ${what} of ${name}`);
    if (x.storage.version === versions[i]) continue;
    fail(`backward: ${what} of ${name} was changed in place since then`);
  }
  return [...inputs, ...results];
}
