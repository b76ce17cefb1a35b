// The chain rule of each op as text: the terms that its backward step adds to the gradients of its
// inputs. Terms use the page's expression language, so the tests can evaluate them and compare the
// results with the actual gradients.

import { formatShape, isSameShape } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The labels of an op's inputs a and b, its result y and gradient dy, and its exponent n. */
interface Operands {
  a: string;
  b: string;
  y: string;
  dy: string;
  n: string;
}

/** The terms for each input of an op. */
const chainRules: Record<string, (operands: Operands) => string[]> = {
  add: ({ dy }) => [dy, dy],
  sub: ({ dy }) => [dy, `-${dy}`],
  mul: ({ a, b, dy }) => [`${dy} * ${b}`, `${dy} * ${a}`],
  div: ({ b, y, dy }) => [`${dy} / ${b}`, `-${dy} * ${y} / ${b}`],
  neg: ({ dy }) => [`-${dy}`],
  exp: ({ y, dy }) => [`${dy} * ${y}`],
  log: ({ a, dy }) => [`${dy} / ${a}`],
  sqrt: ({ y, dy }) => [`${dy} / (2 * ${y})`],
  abs: ({ a, dy }) => [`${dy} * ${a} / abs(${a})`],
  sin: ({ a, dy }) => [`${dy} * cos(${a})`],
  cos: ({ a, dy }) => [`-${dy} * sin(${a})`],
  pow: ({ a, dy, n }) => [`${dy} * ${n} * ${a} ** ${Number(n) - 1}`],
  tanh: ({ y, dy }) => [`${dy} * (1 - ${y} ** 2)`],
  relu: ({ a, dy }) => [`${dy}, where ${a} > 0`],
  relu2: ({ a, dy }) => [`${dy} * 2 * relu(${a})`],
  sigmoid: ({ y, dy }) => [`${dy} * ${y} * (1 - ${y})`],
  silu: ({ a, y, dy }) => [`${dy} * sigmoid(${a}) * (1 + ${a} - ${y})`],
  gelu: ({ a, dy }) => [`${dy}, times the derivative of gelu at ${a}`],
  matmul: ({ a, b, dy }) => [`${dy} @ transpose(${b})`, `transpose(${a}) @ ${dy}`],
  transpose: ({ dy }) => [`transpose(${dy})`],
  reshape: ({ dy }) => [`${dy}, in the shape of the input`],
  sum: ({ dy }) => [`${dy}, to each summand`],
  max: ({ a, dy }) => [`${dy}, where ${a} is the largest`],
  softmax: ({ y, dy }) => [`${y} * (${dy} - sum(${dy} * ${y}))`],
  logSoftmax: ({ y, dy }) => [`${dy} - exp(${y}) * sum(${dy})`],
};

/** The ops that broadcast: their backward step sums over broadcast dimensions. */
const broadcastOps = ["add", "sub", "mul", "div"];

/**
 * Returns the notes for the backward step of y, such as `dw += transpose(x) @ dy`: one for each
 * input that requires a gradient. `detail` is the exponent of a power.
 */
export function describeStep(y: Tensor, labels: Map<Tensor, string>, detail = ""): string[] {
  if (!y.node) return [];
  const { name, inputs } = y.node;
  const getLabel = (x: Tensor) => labels.get(x) ?? "";
  const [a = "", b = ""] = inputs.map(getLabel);
  const label = getLabel(y);
  const dy = getGradientLabel(label);
  const terms = chainRules[name]?.({ a, b, y: label, dy, n: detail }) ?? inputs.map(() => dy);
  const notes: string[] = [];
  for (const [i, x] of inputs.entries()) {
    if (!x.requiresGrad) continue;
    notes.push(`${getGradientLabel(getLabel(x))} += ${terms[i]}${describeSum(x, y, terms[i])}`);
  }
  return notes;
}

/** Describes the sum in the term for x, if there is one. */
function describeSum(x: Tensor, y: Tensor, term: string): string {
  const isBroadcast = broadcastOps.includes(y.node?.name ?? "") && !isSameShape(x.shape, y.shape);
  if (isBroadcast) return x.shape.length > 0 ? `, summed to ${formatShape(x.shape)}` : ", summed";
  return term.includes("sum(") && y.shape.length > 1 ? ", the sum along each row" : "";
}

/** Returns the label of a tensor's gradient. */
export function getGradientLabel(label: string): string {
  return `d${label}`;
}
