// A check of derivatives against finite differences.

import { checkFunction, checkOptions, defined, fail } from "../errors.ts";
import { normal, replay } from "../random.ts";
import { numel } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { tensor } from "./creation.ts";

/** The precision of a check. */
interface Precision {
  /** Copies have the dtype and device of the inputs, otherwise f64 on ts. */
  isOwn: boolean;
  /** The step of the finite differences. */
  step: number;
  tolerance: number;
  /** The error of a result relative to its size, by rounding. */
  rounding: number;
}

const double: Precision = { isOwn: false, step: 1e-5, tolerance: 1e-6, rounding: 0 };
const single: Precision = { isOwn: true, step: 2 ** -7, tolerance: 1e-2, rounding: 2 ** -24 };

/** Result of checkGradient(). */
export interface GradientCheck {
  /** True if the gradients of all inputs are right. */
  ok: boolean;
  /** The largest relative difference |analytic - numeric| / (|analytic| + |numeric|). */
  worst: number;
  /** For each input with a gradient: the derivative along the random direction, both ways. */
  inputs: { analytic: number; numeric: number; error: number }[];
  /** The precision: f64, or f32 if `fn` uses other tensors, which are not f64 on ts. */
  dtype: "f64" | "f32";
}

/**
 * Compares the gradients of `fn` with central differences in double precision, input by input,
 * along a random direction: |analytic - numeric| <= tolerance (|analytic| + |numeric|) + 1e-9 must
 * hold, with a tolerance of 1e-6. The RNG is restored before each evaluation, so that dropout uses
 * the same mask. `fn` is called with f64 copies of the inputs on ts; i32 inputs stay i32.
 *
 * If that fails because `fn` uses other tensors, such as the weights of a layer, it is called with
 * copies of the dtype and on the device of the inputs. The check is then in f32, with a tolerance
 * of 1e-2, and may report a wrong gradient near a kink. Gradients of those tensors do not change.
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
  checkFunction("checkGradient", "fn", fn);
  if (!Array.isArray(inputs))
    fail("checkGradient: inputs is not a list, expected a list of tensors");
  for (const [i, x] of inputs.entries()) checkTensor("checkGradient", `inputs[${i}]`, x);
  const isDouble = inputs.every((x) => x.dtype === "i32" || x.dtype === "f64");
  try {
    return compare(fn, inputs, { ...double, ...defined(options) });
  } catch (error) {
    if (isDouble && inputs.every((x) => x.device.name === "ts")) throw error;
    // throws the same, unless it was for the dtype or device of another tensor
    return compare(fn, inputs, { ...single, ...defined(options) });
  }
}

function compare(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  precision: Precision,
): GradientCheck {
  const { step, tolerance, rounding, isOwn } = precision;
  const copies = inputs.map((x) => copyTensor(x, x.data(), isOwn));
  const y = replay(() => fn(...copies));
  checkTensor("checkGradient", "the result of fn", y);
  const dy = normal(y.size, { site: 0, stream: "sample", seed: 1 });
  const weigh = (values: ArrayLike<number>) => dy.reduce((sum, d, i) => sum + d * values[i], 0);
  const values = y.data();
  const magnitude = dy.reduce((sum, d, i) => sum + Math.abs(d * values[i]), 0);
  const noise = (rounding * magnitude) / step; // of a difference quotient
  keepGrads(findLeaves(y, copies), () =>
    y.backward(tensor(dy, { shape: y.shape, dtype: y.dtype, device: y.device })),
  );

  const results: GradientCheck["inputs"] = [];
  for (const [i, x] of copies.entries()) {
    if (!x.requiresGrad) continue;
    const values = Float64Array.from(x.data());
    const direction = normal(x.size, { site: i + 1, stream: "sample", seed: 1 });
    const lossAt = (h: number) => {
      const shifted = values.map((value, j) => value + h * direction[j]);
      const args = copies.with(i, copyTensor(inputs[i], shifted, isOwn));
      return weigh(replay(() => fn(...args)).data());
    };
    const numeric = (lossAt(step) - lossAt(-step)) / (2 * step);
    const dx = x.grad?.data() ?? new Float64Array(numel(x.shape));
    const analytic = direction.reduce((total, d, j) => total + d * dx[j], 0);
    results.push({ analytic, numeric, error: Math.abs(analytic - numeric) });
  }

  let ok = true;
  let worst = 0;
  for (const { analytic, numeric, error } of results) {
    const scale = Math.abs(analytic) + Math.abs(numeric);
    if (!(error <= tolerance * scale + noise + 1e-9)) ok = false;
    if (error !== 0) worst = Math.max(worst, error / scale);
  }
  return { ok, worst, inputs: results, dtype: isOwn ? "f32" : "f64" };
}

/** Returns a copy, in f64 on ts or with the device and dtype of x, f32 if it is bf16. */
function copyTensor(x: Tensor, values: ArrayLike<number>, isOwn: boolean): Tensor {
  const { shape, dtype } = x;
  const requiresGrad = dtype !== "i32";
  const data = requiresGrad ? Float64Array.from(values) : Int32Array.from(values);
  if (!isOwn) return tensor(data, { shape, device: "ts", requiresGrad });
  const own = dtype === "bf16" ? "f32" : dtype;
  return tensor(data, { shape, dtype: own, device: x.device, requiresGrad });
}

/** Returns the leaves that y was computed from, except for some. */
function findLeaves(y: Tensor, except: readonly Tensor[]): Tensor[] {
  const reached = new Set([y]);
  for (const { node } of reached) {
    for (const x of node?.inputs ?? []) {
      if (x.requiresGrad) reached.add(x);
    }
  }
  return [...reached].filter((x) => !x.node && !except.includes(x));
}

/** Runs a function that adds to the gradients of tensors, and restores these. */
function keepGrads(tensors: readonly Tensor[], fn: () => void): void {
  const saved = tensors.map((x) => ({ x, grad: x.grad && empty(x.grad).assign(x.grad) }));
  fn();
  for (const { x, grad } of saved) x.grad = grad;
}
