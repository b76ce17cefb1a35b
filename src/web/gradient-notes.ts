// The chain rule of each op in words: what its turn in backward() adds to its inputs' gradients.
// A note is written in the page's own language, so that it can be held to what the op does.

import { same, show } from "../shape.ts";
import type { Tensor } from "../tensor/tensor.ts";

/** The terms for the inputs, from their labels, and those of y, dy and what the op was given. */
type Rule = (names: { a: string; b: string; y: string; dy: string; n: string }) => string[];

const rules: Record<string, Rule> = {
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
  sigmoid: ({ y, dy }) => [`${dy} * ${y} * (1 - ${y})`],
  silu: ({ a, y, dy }) => [`${dy} * sigmoid(${a}) * (1 + ${a} - ${y})`],
  gelu: ({ a, dy }) => [`${dy}, times the slope of gelu at ${a}`],
  matmul: ({ a, b, dy }) => [`${dy} @ transpose(${b})`, `transpose(${a}) @ ${dy}`],
  transpose: ({ dy }) => [`transpose(${dy})`],
  reshape: ({ dy }) => [`${dy}, in the shape of its input`],
  sum: ({ dy }) => [`${dy}, to each that was summed`],
  max: ({ a, dy }) => [`${dy}, where ${a} is the largest`],
  softmax: ({ y, dy }) => [`${y} * (${dy} - sum(${dy} * ${y}))`],
  logSoftmax: ({ y, dy }) => [`${dy} - exp(${y}) * sum(${dy})`],
};
const elementwise = ["add", "sub", "mul", "div"];

/** The notes for the turn of y: one for each input that requires a gradient. */
export function notesOf(y: Tensor, labels: Map<Tensor, string>, detail = ""): string[] {
  if (!y.node) return [];
  const { name, inputs } = y.node;
  const [a = "", b = ""] = inputs.map((x) => labels.get(x) ?? "");
  const own = labels.get(y) ?? "";
  const dy = gradientOf(own);
  const along = y.shape.length > 1 ? ", the sum along each row" : "";
  const terms = rules[name]?.({ a, b, y: own, dy, n: detail }) ?? inputs.map(() => dy);
  return inputs.flatMap((x, i) => {
    if (!x.requiresGrad) return [];
    const isSummed = elementwise.includes(name) && !same(x.shape, y.shape);
    const rest = isSummed
      ? `, summed${x.shape.length ? ` to ${show(x.shape)}` : ""}`
      : terms[i].includes("sum(")
        ? along
        : "";
    return `${gradientOf(labels.get(x) ?? "")} += ${terms[i]}${rest}`;
  });
}

/** How the gradient of a tensor is written. */
export function gradientOf(label: string): string {
  return `d${label}`;
}
