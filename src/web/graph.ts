// The graph behind an expression and each step of its backward(). The walk is the library's own:
// the backward functions of the graph's nodes are replaced by ones that tell what they were given,
// and gave.

import { madeFrom } from "../ops/gradcheck.ts";
import { scope } from "../scope.ts";
import { show } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type Evaluated, evaluate } from "./expression.ts";
import { gradientOf, notesOf } from "./gradient-notes.ts";
import { placed, type Unplaced } from "./graph-layout.ts";
import { CodeError } from "./parser.ts";
import type { BackwardStep, Graph, GraphRequest, JSONNumber } from "./protocol.ts";
import { type Routes, sendJSON } from "./routes.ts";
import { fieldsOf, Refusal } from "./validate.ts";

/** More cannot be taken in at a look, and would take seconds to lay out. */
const MOST_TENSORS = 64;

export const graphRoutes: Routes = {
  "POST /graph": ({ response, body }) => {
    const optional = { kind: "string", optional: true } as const;
    const fields = { code: { kind: "string" }, dtype: optional, direction: optional } as const;
    const { code, ...options } = fieldsOf<GraphRequest>(body, fields);
    const { dtype = "f64", direction = "LR" } = options;
    if (dtype !== "f32" && dtype !== "f64") throw new Refusal(400, "dtype is none of f32, f64");
    if (direction !== "LR" && direction !== "TB")
      throw new Refusal(400, "direction is none of LR, TB");
    try {
      sendJSON(response, graphOf(code, { dtype, direction }));
    } catch (error) {
      throw error instanceof CodeError ? new Refusal(400, error.message) : error;
    }
  },
};

/**
 * The graph of a code's last line, with all lines that it does not use, and the steps of its
 * backward(). Throws a CodeError.
 */
export function graphOf(code: string, options: Omit<GraphRequest, "code"> = {}): Graph {
  const { dtype, direction = "LR" } = options;
  return scope(() => {
    const evaluated = evaluate(code, { dtype });
    checkRoot(evaluated);
    const { root, variables, details } = evaluated;
    const tensors = madeFrom(root, ...variables.values()).sort((a, b) => a.id - b.id);
    if (tensors.length > MOST_TENSORS) {
      const found = `the graph has ${tensors.length} tensors`;
      throw new CodeError(evaluated.at, `${found}, expected at most ${MOST_TENSORS}`);
    }
    const index = new Map(tensors.map((x, i) => [x, i]));
    const labels = labelsOf(tensors, variables);
    const named = new Set(variables.values());
    const nodes = tensors.map(
      (x): Unplaced => ({
        label: labels.get(x) as string,
        isVariable: named.has(x),
        op: x.node?.name ?? null,
        detail: details.get(x) ?? null,
        requiresGrad: x.requiresGrad,
        shape: [...x.shape],
        values: valuesOf(x.data()),
      }),
    );
    const links = tensors.flatMap((y, to) =>
      (y.node?.inputs ?? []).map((x) => [index.get(x) as number, to] as const),
    );
    const steps = stepsOf(root, tensors, (y) => notesOf(y, labels, details.get(y)));
    steps[0].notes = [`${gradientOf(labels.get(root) as string)} = 1`];
    return { ...placed(nodes, links, direction), steps };
  });
}

/** Calls root.backward() and tells of each op's turn. The first step is the root's own gradient. */
function stepsOf(
  root: Tensor,
  tensors: readonly Tensor[],
  notes: (y: Tensor) => string[],
): BackwardStep[] {
  const index = new Map(tensors.map((x, i) => [x, i]));
  const gradients = new Map<Tensor, ReturnType<Tensor["data"]>>();
  const now = (x: Tensor) => {
    const values = valuesOf(gradients.get(x) as ArrayLike<number>);
    return { node: index.get(x) as number, values };
  };
  const one = root.data().fill(1);
  gradients.set(root, one);
  const steps: BackwardStep[] = [
    { node: index.get(root) as number, notes: [], gradients: [now(root)] },
  ];
  for (const y of tensors) {
    const { node } = y;
    if (!node?.backward) continue;
    const { inputs, backward } = node;
    const said = notes(y); // afterwards the graph is gone
    const told: typeof backward = (dy) => {
      const dxs = backward(dy);
      gradients.set(y, dy.data());
      const changed = new Set<Tensor>();
      for (const [i, x] of inputs.entries()) {
        const dx = dxs[i];
        if (!dx || !x.requiresGrad) continue;
        const [sum, more] = [gradients.get(x), dx.data()];
        gradients.set(x, sum ? sum.map((each, j) => each + more[j]) : more);
        changed.add(x);
      }
      const node = index.get(y) as number;
      steps.push({ node, notes: said, gradients: [...changed].map(now) });
      return dxs;
    };
    y.node = { ...node, backward: told };
  }
  root.backward();
  return steps;
}

function checkRoot({ root, at }: Evaluated): void {
  if (root.size !== 1) {
    const expected = "expected one number: sum() and mean() make one";
    throw new CodeError(at, `the last line has shape ${show(root.shape)}, ${expected}`);
  }
  if (!root.requiresGrad)
    throw new CodeError(at, "nothing here requires a gradient, expected a line such as x = 2");
}

/** What each tensor is called: its variables, its value if it is a plain number, or v1, v2... */
function labelsOf(
  tensors: readonly Tensor[],
  variables: ReadonlyMap<string, Tensor>,
): Map<Tensor, string> {
  let count = 0;
  const fresh = () => {
    do count++;
    while (variables.has(`v${count}`));
    return `v${count}`;
  };
  const own = new Map<Tensor, string>();
  for (const [name, x] of variables) if (!own.has(x)) own.set(x, name);
  return new Map(
    tensors.map((x) => {
      const isNumber = !x.node && !x.requiresGrad && x.shape.length === 0;
      return [x, own.get(x) ?? (isNumber ? plain(x) : fresh())];
    }),
  );
}

/** A number as it was written, as far as its dtype knows. */
function plain(x: Tensor): string {
  return String(Number(x.item().toPrecision(x.dtype === "f32" ? 7 : 12)));
}

function valuesOf(values: ArrayLike<number>): JSONNumber[] {
  return Array.from(values, (x) => (Number.isFinite(x) ? x : (String(x) as JSONNumber)));
}
