// The computation graph of an expression, and the steps of its backward(). The steps are those of
// the library's own backward(): the backward function of each node is wrapped in one that records
// the gradients that pass through it.

import { collectGraph } from "../ops/graphviz.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Evaluated, evaluate } from "./expression.ts";
import { describeStep, getGradientLabel } from "./gradient-notes.ts";
import { layOut, type NodeContent } from "./graph-layout.ts";
import { CodeError } from "./lexer.ts";
import type { BackwardStep, Graph, GraphRequest, JSONNumber } from "./protocol.ts";

/** The maximum number of tensors in a graph. A larger one is hard to read and slow to lay out. */
const MAX_TENSORS = 64;

/**
 * Returns the graph of an expression, including the lines that the last line does not depend on,
 * and the steps of the last line's backward(). Throws a CodeError.
 */
export function buildGraph(code: string, options: Omit<GraphRequest, "code"> = {}): Graph {
  const { dtype, direction = "LR" } = options;
  return scope(() => {
    const evaluated = evaluate(code, { dtype });
    checkRoot(evaluated);
    const { root, variables, details } = evaluated;
    // inputs have lower ids than results, so this is a topological order
    const tensors = collectGraph(root, ...variables.values()).sort((a, b) => a.id - b.id);
    if (tensors.length > MAX_TENSORS) {
      const problem = `the graph has ${tensors.length} tensors, expected at most ${MAX_TENSORS}`;
      throw new CodeError(evaluated.position, problem);
    }
    const indices = new Map(tensors.map((x, i) => [x, i]));
    const labels = labelTensors(tensors, variables);
    const named = new Set(variables.values());
    const nodes = tensors.map(
      (x): NodeContent => ({
        label: labels.get(x) as string,
        isVariable: named.has(x),
        op: x.node?.name ?? null,
        detail: details.get(x) ?? null,
        requiresGrad: x.requiresGrad,
        shape: [...x.shape],
        values: toJSONNumbers(x.data()),
      }),
    );
    const edges = tensors.flatMap((y, to) =>
      (y.node?.inputs ?? []).map((x) => ({ from: indices.get(x) as number, to })),
    );
    const layout = layOut(nodes, edges, direction);
    const steps = runBackward(root, tensors, (y) => describeStep(y, labels, details.get(y)));
    steps[0].notes = [`${getGradientLabel(labels.get(root) as string)} = 1`];
    return { ...layout, steps };
  });
}

/**
 * Runs root.backward() and returns its steps. The first step is the gradient of the root itself.
 * `describe` returns the notes of a step.
 */
function runBackward(
  root: Tensor,
  tensors: readonly Tensor[],
  describe: (y: Tensor) => string[],
): BackwardStep[] {
  const indices = new Map(tensors.map((x, i) => [x, i]));
  const gradients = new Map<Tensor, ReturnType<Tensor["data"]>>();
  const steps: BackwardStep[] = [];

  const addStep = (y: Tensor, notes: string[], changed: Iterable<Tensor>) => {
    const changedGradients = Array.from(changed, (x) => ({
      node: indices.get(x) as number,
      values: toJSONNumbers(gradients.get(x) as ArrayLike<number>),
    }));
    steps.push({ node: indices.get(y) as number, notes, gradients: changedGradients });
  };

  const accumulate = (x: Tensor, dx: Tensor) => {
    const sum = gradients.get(x);
    const values = dx.data();
    gradients.set(x, sum ? sum.map((value, i) => value + values[i]) : values);
  };

  gradients.set(root, root.data().fill(1));
  addStep(root, [], [root]);
  for (const y of tensors) {
    const { node } = y;
    if (!node?.backward) continue;
    const { inputs, backward } = node;
    const notes = describe(y); // before backward(), which frees the graph
    const tracedBackward: typeof backward = (dy) => {
      const dxs = backward(dy);
      gradients.set(y, dy.data());
      const changed = new Set<Tensor>();
      for (const [i, x] of inputs.entries()) {
        const dx = dxs[i];
        if (!dx || !x.requiresGrad) continue;
        accumulate(x, dx);
        changed.add(x);
      }
      addStep(y, notes, changed);
      return dxs;
    };
    y.node = { ...node, backward: tracedBackward };
  }
  root.backward();
  return steps;
}

function checkRoot({ root, position }: Evaluated): void {
  if (root.size !== 1) {
    const expected = "expected one number: reduce it with sum() or mean()";
    throw new CodeError(
      position,
      `the last line has shape ${formatShape(root.shape)}, ${expected}`,
    );
  }
  if (!root.requiresGrad) {
    const expected = "expected it to depend on a leaf such as x = 2";
    throw new CodeError(position, `the last line does not require a gradient, ${expected}`);
  }
}

/** Labels each tensor with its variable, its value if it is a plain number, or v1, v2, ... */
function labelTensors(
  tensors: readonly Tensor[],
  variables: ReadonlyMap<string, Tensor>,
): Map<Tensor, string> {
  const variableNames = new Map<Tensor, string>();
  for (const [name, x] of variables) {
    if (!variableNames.has(x)) variableNames.set(x, name);
  }

  let count = 0;
  const nextName = () => {
    do count++;
    while (variables.has(`v${count}`));
    return `v${count}`;
  };
  const labels = new Map<Tensor, string>();
  for (const x of tensors) {
    const isNumber = !x.node && !x.requiresGrad && x.shape.length === 0;
    const label = variableNames.get(x) ?? (isNumber ? formatNumber(x) : nextName());
    labels.set(x, label);
  }
  return labels;
}

/** Formats a number as written in the code, up to the precision of the dtype. */
function formatNumber(x: Tensor): string {
  const digits = x.dtype === "f32" ? 7 : 12;
  return String(Number(x.item().toPrecision(digits)));
}

function toJSONNumbers(values: ArrayLike<number>): JSONNumber[] {
  return Array.from(values, (x) => (Number.isFinite(x) ? x : (String(x) as JSONNumber)));
}
