// A check of derivatives against finite differences.

import { checkFunction, checkOptions, fail } from "../errors.ts";
import { normal, replay } from "../random.ts";
import { numel } from "../shape.ts";
import { checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { tensor } from "./creation.ts";
import { mul } from "./elementwise.ts";
import { sum } from "./reductions.ts";

/** The step of the finite differences. */
const STEP = 1e-5;

/** Result of checkGradient(). */
export interface GradientCheck {
  ok: boolean;
  /** The largest relative difference |analytic - numeric| / (|analytic| + |numeric|). */
  worst: number;
  /** For each input with a gradient: the derivative along the random direction, both ways. */
  inputs: { analytic: number; numeric: number; error: number }[];
}

/**
 * Compares the gradients of `fn` with central differences in double precision, input by input,
 * along a random direction: |analytic - numeric| <= tolerance (|analytic| + |numeric|) + 1e-9 must
 * hold. The RNG is restored before each evaluation, so that dropout uses the same mask. `fn` is
 * called with f64 copies of the inputs on ts; i32 inputs stay i32.
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
  checkFunction("checkGradient", "fn", fn);
  if (!Array.isArray(inputs))
    fail("checkGradient: inputs is not a list, expected a list of tensors");
  for (const [i, x] of inputs.entries()) checkTensor("checkGradient", `inputs[${i}]`, x);
  const copies = inputs.map((x) => copyTensor(x, x.data()));
  const y = replay(() => fn(...copies));
  checkTensor("checkGradient", "the result of fn", y);
  const random = normal(y.size, { site: 0, stream: "sample", seed: 1 });
  const dy = tensor(random, { shape: y.shape, device: "ts" });
  const loss = (args: Tensor[]) =>
    sum(
      mul(
        replay(() => fn(...args)),
        dy,
      ),
    ).item();
  y.backward(dy);

  const results: GradientCheck["inputs"] = [];
  for (const [i, x] of copies.entries()) {
    if (!x.requiresGrad) continue;
    const values = x.data();
    const direction = normal(x.size, { site: i + 1, stream: "sample", seed: 1 });
    const lossAt = (h: number) => {
      const shifted = values.map((value, j) => value + h * direction[j]);
      return loss(copies.with(i, copyTensor(inputs[i], shifted)));
    };
    const numeric = (lossAt(STEP) - lossAt(-STEP)) / (2 * STEP);
    const dx = x.grad?.data() ?? new Float64Array(numel(x.shape));
    const analytic = direction.reduce((total, d, j) => total + d * dx[j], 0);
    results.push({ analytic, numeric, error: Math.abs(analytic - numeric) });
  }

  let ok = true;
  let worst = 0;
  for (const { analytic, numeric, error } of results) {
    const scale = Math.abs(analytic) + Math.abs(numeric);
    if (!(error <= tolerance * scale + 1e-9)) ok = false;
    if (error !== 0) worst = Math.max(worst, error / scale);
  }
  return { ok, worst, inputs: results };
}

/** Returns a copy on ts, in f64 unless x is i32. */
function copyTensor(x: Tensor, values: ArrayLike<number>): Tensor {
  const isFloat = x.dtype !== "i32";
  const data = isFloat ? Float64Array.from(values) : Int32Array.from(values);
  return tensor(data, { shape: x.shape, device: "ts", requiresGrad: isFloat });
}
