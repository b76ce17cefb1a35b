// Lesson 3: Checking a gradient
//
// A wrong derivative does not crash. The model trains, a little worse, and nobody knows. So every
// derivative is held against its definition: move the input by h, and see how far the value moves.
// The lesson asks how small h should be, what floats of 32 bits can still tell, and finds a bug
// that has been in more than one real layer normalization.

import { checkGradient, manualSeed, randn, type Tensor, tensor } from "tinybard";
import { Value } from "./01-value.ts";
import { chart, show } from "./picture.ts";

/** (f(x + h) - f(x)) / h: wrong by about h, since the slope changes on the way. */
export function forwardDifference(f: (x: number) => number, x: number, h: number): number {
  return (f(x + h) - f(x)) / h;
}

/** (f(x + h) - f(x - h)) / 2h: the two sides' errors cancel, and about h^2 is left. */
export function centralDifference(f: (x: number) => number, x: number, h: number): number {
  return (f(x + h) - f(x - h)) / (2 * h);
}

/** Normalizes rows, as layerNorm() does without its weights. */
export function normalize(x: Tensor): Tensor {
  const centered = x.sub(x.mean({ dim: -1, keepdim: true }));
  return centered.div(x.var({ dim: -1, keepdim: true }).add(1e-5).sqrt());
}

/** The same values, with a bug: mean and variance are taken for constants, and they hang on x. */
export function normalizeWrongly(x: Tensor): Tensor {
  const mean = x.mean({ dim: -1, keepdim: true }).detach();
  const variance = x.var({ dim: -1, keepdim: true }).detach();
  return x.sub(mean).div(variance.add(1e-5).sqrt());
}

export async function lesson() {
  manualSeed(1337);

  // How small should h be? The function is tanh(x) e^x. Its derivative is known from lesson 1.
  const at = 0.7;
  const x = new Value(at);
  x.tanh().mul(x.exp()).backward();
  const f = (x: number) => Math.tanh(x) * Math.exp(x);
  const single = (x: number) => Math.fround(f(Math.fround(x))); // what 32 bits keep of it
  const steps = Array.from({ length: 53 }, (_, i) => 10 ** (-i / 4)); // 1 to 1e-13
  const errors = (slope: (h: number) => number) =>
    steps.map((h) => [h, Math.abs(slope(h) - x.grad)] as const).filter(([, error]) => error > 0);
  const curves = [
    { name: "forward", points: errors((h) => forwardDifference(f, at, h)) },
    { name: "central", points: errors((h) => centralDifference(f, at, h)) },
    {
      name: "central in f32",
      points: errors((h) => centralDifference(single, at, h)).filter(([h]) => h > 1e-7),
    },
  ];
  const title = "the error of a difference";
  show(chart(curves, { title, x: "h", logX: true, logY: true }), "lesson-03");
  const best = curves.map(({ name, points }) => {
    const [h, error] = points.reduce((a, b) => (b[1] < a[1] ? b : a));
    console.log(`${name}: best at h = ${h.toExponential(0)}, error ${error.toExponential(0)}`);
    return { name, h, error };
  });

  // To the right, h is too large and the curve bends between the points: halving h halves the
  // forward error and quarters the central one. To the left, f(x + h) and f(x - h) agree in all but
  // their last digits, and the difference is what rounding left of them.
  const fall = (slope: typeof centralDifference) =>
    Math.abs(slope(f, at, 0.02) - x.grad) / Math.abs(slope(f, at, 0.01) - x.grad);
  const falls = { forward: fall(forwardDifference), central: fall(centralDifference) };
  console.log(`half of h: the forward error falls ${falls.forward.toFixed(2)} times`);
  console.log(`           the central error falls ${falls.central.toFixed(2)} times\n`);

  // A tensor has many inputs. Instead of moving each by itself, checkGradient() moves all of them
  // at once in a random direction d, in doubles, and compares the slope with gradient . d.
  const rows = randn([4, 8]);
  const right = checkGradient(normalize, [rows]);
  const wrong = checkGradient(normalizeWrongly, [rows]);
  const same = normalize(rows).sub(normalizeWrongly(rows)).abs().max().item();
  console.log(`two normalizations, values ${same} apart`);
  for (const [name, { ok, inputs }] of Object.entries({ right, wrong })) {
    const [{ analytic, numeric }] = inputs;
    const slopes = `by backward() ${analytic.toFixed(6)}, by differences ${numeric.toFixed(6)}`;
    console.log(`${name}: ${slopes}, ${ok ? "ok" : "not the same function's"}`);
  }

  // The check has a blind spot: at a kink there are two slopes, and a difference takes their mean.
  const kink = checkGradient((x) => x.relu(), [tensor([0])]);
  const clear = checkGradient((x) => x.relu(), [tensor([0.1])]);
  console.log(`relu at 0.1: ${clear.ok ? "ok" : "differs"}, at 0: ${kink.ok ? "ok" : "differs"}`);

  console.log(`
Exercises
1. Check f(x) = x^2. Why is the central difference exact for every h, up to rounding?
2. Plant a bug of your own in an op of lesson 1, small enough that the moons still train.
3. The five-point formula (8 f(x+h) - 8 f(x-h) - f(x+2h) + f(x-2h)) / 12h: draw its error too.`);
  return { slope: x.grad, best, falls, right, wrong, same, kink: kink.ok, clear: clear.ok };
}
