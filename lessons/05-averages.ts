// Lesson 5: Averaging the past, three ways
//
// In the bigram model a token sees only itself. How can it learn about the tokens before it? The
// simplest form of communication is an average: each position gets the mean of the vectors up to
// and including its own. It never looks ahead, because the next token is what it must predict.
//
// This lesson computes that average three times: with loops, by multiplying with a triangular
// matrix, and with a softmax over masked scores. All three agree. The third one is self-attention,
// except that the scores do not depend on the tokens yet.
//
// Time: 1 second.

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
  zeros,
} from "tinybard";
import { show } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { say } from "./print.ts";

/** Returns the mean of x[b][0..t] at each position t. x is (B, T, C), and so is the result. */
export function averageWithLoops(x: Tensor): Tensor {
  const [B, T, C] = x.shape;
  const values = x.toArray() as number[][][];
  const means = values.map((sequence) =>
    sequence.map((_, t) => {
      const past = sequence.slice(0, t + 1); // positions 0 to t: no look into the future
      return Array.from({ length: C }, (_, c) => mean(past.map((vector) => vector[c])));
    }),
  );
  return tensor(means, { shape: [B, T, C] });
}

/** Returns the averaging matrix (T, T): row t has t + 1 equal weights that sum to 1, then zeros. */
export function averagingMatrix(T: number): Tensor {
  const lower = tril(ones([T, T])); // (T, T): 1 on and below the diagonal
  return lower.div(lower.sum({ dim: 1, keepdim: true })); // each row sums to 1
}

/**
 * Turns scores (..., T, T) into attention weights. Scores of future positions become -Infinity,
 * whose exponential is 0, so softmax distributes each row's weight over the past alone. Equal
 * scores become equal weights.
 */
export function causalSoftmax(scores: Tensor): Tensor {
  const [T] = scores.shape.slice(-1);
  const isFuture = sub(1, tril(ones([T, T]))).to("i32"); // (T, T)
  return maskedFill(scores, isFuture, -Infinity).softmax({ dim: -1 });
}

export async function lesson() {
  manualSeed(1337);
  const B = 4;
  const T = 8;
  const C = 2;
  const x = randn([B, T, C]);

  const withLoops = averageWithLoops(x);
  const withMatrix = matmul(averagingMatrix(T), x); // (T, T) @ (B, T, C) -> (B, T, C)
  const scores = zeros([T, T]);
  const withSoftmax = matmul(causalSoftmax(scores), x); // (B, T, C)

  const differences = {
    matrix: maxDifference(withLoops, withMatrix),
    softmax: maxDifference(withLoops, withSoftmax),
  };
  console.log(`\nThe average of the past of x, a tensor (B, T, C) = (${x.shape.join(", ")})`);
  console.log("  largest difference between loops and triangular matrix:", differences.matrix);
  console.log("  largest difference between loops and masked softmax:   ", differences.softmax);

  say(`Zeros are only one choice of scores. With other scores the weights are no longer equal, and
    some past tokens count more than others. In lesson 6 the tokens compute the scores
    themselves.`);
  const equal = causalSoftmax(scores).toArray() as number[][];
  const random = causalSoftmax(randn([T, T]).mul(2)).toArray() as number[][];
  const positions = Array.from({ length: T }, (_, t) => String(t));
  const options = { rowLabels: positions, columnLabels: positions, low: 0, high: 1 };
  const equalTitle = "weights of each token (row) for the past (columns): all scores 0";
  show(heatmap(equal, { ...options, title: equalTitle }), "lesson-05");
  show(heatmap(random, { ...options, title: "weights with random scores" }), "lesson-05-scores");

  say(`Causality: changing a token must not change the results at earlier positions.`);
  const changed = x.toArray() as number[][][];
  for (const sequence of changed) sequence[T - 1] = sequence[T - 1].map((value) => value + 100);
  const after = matmul(averagingMatrix(T), tensor(changed)); // (B, T, C)
  const past = { dim: 1, end: T - 1 };
  const pastChange = maxDifference(withMatrix.slice(past), after.slice(past));
  console.log(`100 was added to the last token. The means before it changed by ${pastChange}.`);

  console.log(`
Exercises
1. Set the scores on the diagonal to 5. How do the averages change? What if they are -Infinity?
2. Let the mask exclude the diagonal too. What is in the first row, and why is it NaN?
3. Set T = 1000. How much faster is the matrix multiplication than the loops?`);
  return { differences, lastRow: equal[T - 1], firstRow: random[0], pastChange };
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Returns the largest absolute difference between two tensors of the same shape. */
function maxDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}
