// Lesson 3: Gradient checking
//
// A wrong derivative does not crash. The model still trains, slightly worse, and nobody notices. So
// every derivative is compared with its definition: move the input by h and measure how far the
// output moves. This lesson finds out how small h should be and how much of the answer survives in
// f32, and then catches a bug that has been in more than one real layer normalization.
//
// Time: 1 second.

import { checkGradient, manualSeed, randn, type Tensor, tensor } from "tinybard";
import { Value } from "./01-value.ts";
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { say } from "./print.ts";

/** Returns (f(x + h) - f(x)) / h. The error is O(h): the derivative changes from x to x + h. */
export function forwardDifference(f: (x: number) => number, x: number, h: number): number {
  return (f(x + h) - f(x)) / h;
}

/** Returns (f(x + h) - f(x - h)) / 2h. The errors of both sides cancel, which leaves O(h^2). */
export function centralDifference(f: (x: number) => number, x: number, h: number): number {
  return (f(x + h) - f(x - h)) / (2 * h);
}

/** Normalizes the rows of x, like layerNorm() without weight and bias. */
export function normalize(x: Tensor): Tensor {
  const centered = x.sub(x.mean({ dim: -1, keepdim: true }));
  return centered.div(x.var({ dim: -1, keepdim: true }).add(1e-5).sqrt());
}

/** The same values with a bug: treats mean and variance as constants, but they depend on x. */
export function normalizeWithBug(x: Tensor): Tensor {
  const mean = x.mean({ dim: -1, keepdim: true }).detach();
  const variance = x.var({ dim: -1, keepdim: true }).detach();
  return x.sub(mean).div(variance.add(1e-5).sqrt());
}

export async function lesson() {
  manualSeed(1337);

  say(`How small should h be? Take f(x) = tanh(x) e^x, whose derivative lesson 1 can compute.`);
  const at = 0.7;
  const x = new Value(at);
  x.tanh().mul(x.exp()).backward();
  const derivative = x.grad;
  const f = (x: number) => Math.tanh(x) * Math.exp(x);
  const f32 = (x: number) => Math.fround(f(Math.fround(x))); // the same function in f32
  const steps = Array.from({ length: 53 }, (_, i) => 10 ** (-i / 4)); // 1 to 1e-13
  const errors = (difference: (h: number) => number) =>
    steps
      .map((h) => [h, Math.abs(difference(h) - derivative)] as const)
      .filter(([, error]) => error > 0);
  const curves = [
    { name: "forward", points: errors((h) => forwardDifference(f, at, h)) },
    { name: "central", points: errors((h) => centralDifference(f, at, h)) },
    {
      name: "central in f32",
      points: errors((h) => centralDifference(f32, at, h)).filter(([h]) => h > 1e-7),
    },
  ];
  const title = "error of a finite difference";
  show(lineChart(curves, { title, xLabel: "h", logX: true, logY: true }), "lesson-03");
  const best = curves.map(({ name, points }) => {
    const [h, error] = points.reduce((a, b) => (b[1] < a[1] ? b : a));
    console.log(`${name}: best h = ${h.toExponential(0)}, error ${error.toExponential(0)}`);
    return { name, h, error };
  });

  say(`On the right of the chart h is too large: the curvature of f dominates, so halving h halves
    the forward error and quarters the central error. On the left h is too small: f(x + h) and f(x -
    h) agree in all but their last digits, and their difference is mostly rounding error.`);
  const errorRatio = (difference: typeof centralDifference) =>
    Math.abs(difference(f, at, 0.02) - derivative) / Math.abs(difference(f, at, 0.01) - derivative);
  const ratios = {
    forward: errorRatio(forwardDifference),
    central: errorRatio(centralDifference),
  };
  console.log(`halving h divides the forward error by ${ratios.forward.toFixed(2)}`);
  console.log(`              and the central error by ${ratios.central.toFixed(2)}`);

  say(`A tensor has many inputs. checkGradient() does not move them one by one: it moves all of them
    in a random direction d, in f64, and compares the directional derivative with gradient . d.`);
  const rows = randn([4, 8]);
  const right = checkGradient(normalize, [rows]);
  const wrong = checkGradient(normalizeWithBug, [rows]);
  const difference = normalize(rows).sub(normalizeWithBug(rows)).abs().max().item();
  console.log(`two normalizations, whose values differ by ${difference}`);
  for (const [name, { ok, inputs }] of Object.entries({ right, wrong })) {
    const [{ analytic, numeric }] = inputs;
    const result = ok ? "ok" : "mismatch";
    console.log(
      `${name}: backward() ${analytic.toFixed(6)}, differences ${numeric.toFixed(6)}: ${result}`,
    );
  }

  say(`The check has a blind spot. At a kink the derivatives from the left and from the right
    differ, and a central difference returns their mean.`);
  const atKink = checkGradient((x) => x.relu(), [tensor([0])]);
  const nearKink = checkGradient((x) => x.relu(), [tensor([0.1])]);
  const result = (isOk: boolean) => (isOk ? "ok" : "mismatch");
  console.log(`relu at 0.1: ${result(nearKink.ok)}, relu at 0: ${result(atKink.ok)}`);

  console.log(`
Exercises
1. Check f(x) = x^2. Why is the central difference exact for every h, apart from rounding?
2. Add a bug to an op of lesson 1 that is small enough for the moons to train anyway.
3. Plot the error of the five-point formula: (8 f(x+h) - 8 f(x-h) - f(x+2h) + f(x-2h)) / 12h.`);
  return { derivative, best, ratios, right, wrong, difference, atKink, nearKink };
}
