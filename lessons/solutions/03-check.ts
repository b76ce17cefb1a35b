// Solutions to lesson 3
//
// A function whose central difference is exact, a bug that training hides, and a more accurate
// formula.
//
// Time: 2 seconds.

import { Value } from "../01-value.ts";
import { centralDifference } from "../03-check.ts";
import { show } from "../figure.ts";
import { lineChart } from "../line-chart.ts";
import { say } from "../print.ts";
import { trainMoons } from "./01-value.ts";

/** tanh with a wrong derivative: 1 - |y| instead of 1 - y^2. */
export function tanhWithBug(x: Value): Value {
  const y = Math.tanh(x.data);
  return new Value(y, "tanh", [x], [1 - Math.abs(y)]);
}

/** Returns a difference over five points (the middle one has weight 0). Its error is O(h^4). */
export function fivePointDifference(f: (x: number) => number, x: number, h: number): number {
  return (8 * f(x + h) - 8 * f(x - h) - f(x + 2 * h) + f(x - 2 * h)) / (12 * h);
}

export async function solution() {
  say(`1. ((x + h)^2 - (x - h)^2) / 2h = 4xh / 2h = 2x for every h. The error of a central
    difference is proportional to the third derivative, and that of x^2 is 0.`);
  const square = (x: number) => x * x;
  const squares = [1, 0.1, 0.001].map((h) => centralDifference(square, 3, h));
  console.log(`x^2 at x = 3: ${squares.join(", ")}`);

  say(`2. A derivative of 1 - |y| instead of 1 - y^2 has the right sign and is right at 0 and at the
    ends, so the loss still falls and all points may be classified. Only a gradient check sees
    it.`);
  const moons = trainMoons({
    forward: (model, position) => {
      let y: readonly (Value | number)[] = position;
      for (const [i, layer] of model.layers.entries()) {
        const sums = layer.map((neuron) => neuron.forward(y));
        y = i < model.layers.length - 1 ? sums.map(tanhWithBug) : sums;
      }
      return y[0] as Value;
    },
  });
  const x = new Value(0.7);
  tanhWithBug(x).backward();
  const measured = centralDifference(Math.tanh, 0.7, 1e-5);
  console.log(`moons: ${moons.correct} of 60 points right`);
  console.log(`tanh at 0.7: gradient ${x.grad.toFixed(4)}, measured ${measured.toFixed(4)}`);

  say(`3. Halving h divides the error of the five-point formula by 16 instead of 4, so a larger h is
    enough, and less is lost to rounding.`);
  const f = (x: number) => Math.tanh(x) * Math.exp(x);
  const y = Math.tanh(0.7);
  const derivative = Math.exp(0.7) * (1 - y * y + y);
  const steps = Array.from({ length: 41 }, (_, i) => 10 ** (-i / 4));
  const formulas = { central: centralDifference, "five points": fivePointDifference };
  const curves = Object.entries(formulas).map(([name, difference]) => ({
    name,
    points: steps.map((h) => [h, Math.abs(difference(f, 0.7, h) - derivative)] as const),
  }));
  const title = "error of a finite difference";
  show(lineChart(curves, { title, xLabel: "h", logX: true, logY: true }), "solution-03");
  const error = (h: number) => Math.abs(fivePointDifference(f, 0.7, h) - derivative);
  const ratio = error(0.04) / error(0.02);
  const best = curves.map(({ points }) => Math.min(...points.map(([, value]) => value || 1)));
  console.log(`halving h divides the error by ${ratio.toFixed(1)}`);
  console.log(`smallest errors: ${best.map((value) => value.toExponential(0)).join(" and ")}`);
  return { squares, moons, gradient: x.grad, measured, ratio, best };
}
