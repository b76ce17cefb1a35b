// Lesson 5: The average of the past, three ways
//
// In the bigram model a character sees only itself. How can it learn of those before it? The
// plainest way for tokens to talk is an average: each position takes the mean of the vectors up to
// and including its own. It never looks ahead, for what comes next is what it has to guess.
//
// The lesson computes this three times: with loops, as a product with a triangular matrix, and with
// a softmax. They agree, and the third is self-attention with its heart still missing.

import {
  manualSeed,
  maskedFill,
  matmul,
  ones,
  randn,
  sub,
  type Tensor,
  tensor,
  tril,
} from "tinybard";
import { heatmap, show } from "./picture.ts";

/** Position t gets the mean of x[b][0..t].  x (B, T, C). */
export function averageByLoops(x: Tensor): Tensor {
  const [, T, C] = x.shape;
  const values = x.toArray() as number[][][];
  const means = values.map((sequence) =>
    sequence.map((_, t) => {
      const past = sequence.slice(0, t + 1); // never t + 1: no look into the future
      return Array.from(
        { length: C },
        (_, c) => past.reduce((sum, v) => sum + v[c], 0) / past.length,
      );
    }),
  );
  return tensor(means, { shape: [x.shape[0], T, C] });
}

/**
 * The loops again, as one product. Row t of the matrix has t + 1 equal weights that add up to 1,
 * and zeros for what is still to come.
 */
export function triangle(T: number): Tensor {
  const lower = tril(ones([T, T])); // (T, T): 1 on and below the diagonal
  return lower.div(lower.sum({ dim: 1, keepdim: true })); // each row adds up to 1
}

/**
 * Weights from scores (T, T). With all scores 0 nobody is more interesting than anybody else. The
 * future's are set to -Infinity, whose exponential is 0, and softmax makes shares of the rest.
 */
export function softmaxOf(scores: Tensor): Tensor {
  const [T] = scores.shape.slice(-1);
  const isFuture = sub(1, tril(ones([T, T]))).to("i32"); // (T, T)
  return maskedFill(scores, isFuture, -Infinity).softmax({ dim: -1 });
}

export async function lesson() {
  manualSeed(1337);
  const [B, T, C] = [4, 8, 2];
  const x = randn([B, T, C]);

  const loops = averageByLoops(x);
  const product = matmul(triangle(T), x); // (T, T) @ (B, T, C) -> (B, T, C), for each of B
  const scores = ones([T, T]).mul(0);
  const soft = matmul(softmaxOf(scores), x);

  const differences = { product: farthest(loops, product), softmax: farthest(loops, soft) };
  console.log("the mean of the past of (B, T, C) =", x.shape.join(", "));
  console.log("  loops against the product with a triangle: at most", differences.product, "apart");
  console.log("  loops against softmax of masked scores:    at most", differences.softmax, "apart");

  // Zeros were one choice of scores among many. With other scores the weights are no longer equal:
  // some of the past counts for more. In lesson 6 the tokens themselves say how much.
  const equal = softmaxOf(scores).toArray() as number[][];
  const unequal = softmaxOf(randn([T, T]).mul(2)).toArray() as number[][];
  const options = { rows: names(T), columns: names(T), low: 0, high: 1 };
  show(
    heatmap(equal, { ...options, title: "who takes how much from whom: all scores 0" }),
    "lesson-05",
  );
  show(heatmap(unequal, { ...options, title: "scores drawn at random" }), "lesson-05-scores");

  // A tensor that was computed without the future does not change with it.
  const changed = x.toArray() as number[][][];
  for (const sequence of changed) sequence[T - 1] = sequence[T - 1].map((value) => value + 100);
  const after = matmul(triangle(T), tensor(changed));
  const pastChange = farthest(
    product.slice({ dim: 1, end: T - 1 }),
    after.slice({ dim: 1, end: T - 1 }),
  );
  console.log("the last token changed by 100: the means before it changed by", pastChange);

  console.log(`
Exercises
1. Give the scores of the diagonal the value 5. What do the means become? And with -Infinity there?
2. What does the first row hold when the mask leaves out the diagonal too, and why is it NaN?
3. Take T = 1000 and time the loops against the product.`);
  return { differences, lastRow: equal[T - 1], firstRow: unequal[0], pastChange };
}

function names(n: number): string[] {
  return Array.from({ length: n }, (_, i) => String(i));
}

/** The largest difference between two tensors of one shape. */
function farthest(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}
