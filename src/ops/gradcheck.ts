// Looking at autograd: is a derivative right (checkGradient), and what graph is behind a tensor
// (toDot).

import { checkOptions, fail } from "../errors.ts";
import { normal, replay } from "../random.ts";
import { show, sizeOf } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { tensor } from "./creation.ts";
import { mul } from "./elementwise.ts";
import { sum } from "./reductions.ts";

/** Result of checkGradient(). */
export interface GradientCheck {
  ok: boolean;
  /** The largest relative difference |analytic - numeric| / (|analytic| + |numeric|). */
  worst: number;
  /** For each input with floats: both slopes. */
  inputs: { analytic: number; numeric: number; error: number }[];
}

/**
 * Compares the gradients of `fn` with central differences in double precision, input by input,
 * along a random direction: |analytic - numeric| <= tolerance (|analytic| + |numeric|) + 1e-9 must
 * hold. The generator is put back before each evaluation, so that dropout draws the same mask. `fn`
 * gets f64 copies of the inputs on ts; inputs of i32 are passed as they are.
 * @example
 * const x = tensor([1, 2, 3], { dtype: "f64", requiresGrad: true });
 * console.log(checkGradient((x) => sum(mul(x, x)), [x]).ok); // true
 */
export function checkGradient(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: { tolerance?: number } = {},
): GradientCheck {
  checkOptions("checkGradient", options, ["tolerance"]);
  const { tolerance = 1e-6 } = options;
  if (!Array.isArray(inputs)) fail("checkGradient: inputs is no list, expected a list of tensors");
  for (const [i, x] of inputs.entries()) checkTensor("checkGradient", `inputs[${i}]`, x);
  const step = 1e-5;
  const copies = inputs.map((x) => copyOf(x, x.data()));
  const y = replay(() => fn(...copies));
  checkTensor("checkGradient", "what fn returns", y);
  const dy = tensor(normal(y.size, { site: 0, stream: "sample", seed: 1 }), {
    shape: y.shape,
    device: "ts",
  });
  const value = (args: Tensor[]) =>
    sum(
      mul(
        replay(() => fn(...args)),
        dy,
      ),
    ).item();
  y.backward(dy);
  const slopes = copies.flatMap((x, i) => {
    if (!x.requiresGrad) return [];
    const direction = normal(x.size, { site: i + 1, stream: "sample", seed: 1 });
    const shifted = (h: number) => x.data().map((each, j) => each + h * direction[j]);
    const along = (h: number) => value(copies.with(i, copyOf(inputs[i], shifted(h))));
    const numeric = (along(step) - along(-step)) / (2 * step);
    const dx = x.grad?.data() ?? new Float64Array(sizeOf(x.shape));
    const analytic = direction.reduce((total, each, j) => total + each * dx[j], 0);
    return [{ analytic, numeric, error: Math.abs(analytic - numeric) }];
  });
  const scale = (s: (typeof slopes)[0]) => Math.abs(s.analytic) + Math.abs(s.numeric);
  const ok = slopes.every((s) => s.error <= tolerance * scale(s) + 1e-9);
  const worst = Math.max(0, ...slopes.map((s) => (s.error === 0 ? 0 : s.error / scale(s))));
  return { ok, worst, inputs: slopes };
}

function copyOf(x: Tensor, values: ArrayLike<number>): Tensor {
  const floats = x.dtype !== "i32";
  const data = floats ? Float64Array.from(values) : Int32Array.from(values);
  return tensor(data, { shape: x.shape, device: "ts", requiresGrad: floats });
}

/** All that the given tensors were made from, and they themselves, first; each once. */
export function madeFrom(...results: readonly Tensor[]): Tensor[] {
  const reached = new Set(results);
  for (const { node } of reached) for (const x of node?.inputs ?? []) reached.add(x);
  return [...reached];
}

/**
 * All that `root` was made from, newest below: its ops, shapes, and small values with their
 * gradients.
 * @example
 * const x = tensor([1, 2], { requiresGrad: true });
 * console.log(toDot(sum(mul(x, x))).startsWith("digraph")); // true
 */
export function toDot(root: Tensor): string {
  checkTensor("toDot", "x", root);
  const lines = madeFrom(root).flatMap((y) => {
    const box = `  t${y.id} [shape=box label="${label(y)}"];`;
    if (!y.node) return box;
    const op = [`  op${y.id} [label="${y.node.name}"];`, `  op${y.id} -> t${y.id};`];
    return [box, ...op, ...y.node.inputs.map((x) => `  t${x.id} -> op${y.id};`)];
  });
  return ["digraph {", "  rankdir=LR;", ...lines, "}"].join("\n");
}

function label(x: Tensor): string {
  const number = (each: Tensor) =>
    each.size === 1 ? each.item().toPrecision(4) : show(each.shape);
  const value = x.size === 1 && !x.isFreed ? number(x) : show(x.shape);
  return x.grad ? `${value} | grad ${number(x.grad)}` : value;
}
