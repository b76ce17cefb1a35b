// Solutions to lesson 5
//
// Other scores, a mask without the diagonal, and the speed of loops and matrix products.
//
// Time: 1 second.

import { manualSeed, maskedFill, matmul, ones, randn, sub, tensor, tril } from "tinybard";
import { averageWithLoops, averagingMatrix, causalSoftmax } from "../05-averages.ts";
import { say } from "../print.ts";

/** Returns a matrix (T, T) with `value` on the diagonal and 0 elsewhere. */
function diagonal(T: number, value: number) {
  return tensor(
    Array.from({ length: T }, (_, i) => Array.from({ length: T }, (_, j) => (i === j ? value : 0))),
  );
}

const format = (row: readonly number[]) => row.map((p) => p.toFixed(3)).join(" ");

export async function solution() {
  manualSeed(1337);
  say(`1. A score of 5 on the diagonal has the weight e^5 = 148 against 1 for each other token, so a
    token mostly keeps its own vector. With -Infinity it ignores itself and averages the others. The
    first token has no others: its row is NaN.`);
  const strong = causalSoftmax(diagonal(4, 5)).toArray() as number[][];
  const ignoring = causalSoftmax(diagonal(4, -Infinity)).toArray() as number[][];
  console.log(`last row with 5:         ${format(strong[3])}`);
  console.log(`last row with -Infinity: ${format(ignoring[3])}`);
  console.log(`first row:               ${format(ignoring[0])}`);

  say(`2. The first row of a mask without the diagonal hides every score. Softmax divides 0 by 0,
    which is NaN, and the next matrix product spreads it: never mask a whole row.`);
  const T = 4;
  const isHidden = sub(1, tril(ones([T, T])))
    .add(diagonal(T, 1))
    .to("i32");
  const scores = maskedFill(randn([T, T]), isHidden, -Infinity);
  const masked = scores.softmax({ dim: -1 }).toArray() as number[][];
  for (const row of masked) console.log(`  ${format(row)}`);

  say(`3. Both compute T^2 C / 2 products, and the matrix product as many zeros again, yet it is
    much faster: the loops create an array for each past vector.`);
  const x = randn([1, 1000, 2]);
  let start = performance.now();
  const withLoops = averageWithLoops(x);
  const loops = performance.now() - start;
  const weights = averagingMatrix(1000);
  start = performance.now();
  const withMatrix = matmul(weights, x);
  const matrix = performance.now() - start;
  const difference = withLoops.sub(withMatrix).abs().max().item();
  console.log(`loops ${loops.toFixed(1)} ms, matrix product ${matrix.toFixed(1)} ms`);
  return { strong: strong[3], ignoring: ignoring[3], masked, loops, matrix, difference };
}
