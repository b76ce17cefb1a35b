// The expected validation losses of lessons 4 to 9, on Tiny Shakespeare and on Moby-Dick.

import { loadCorpus } from "tinybard";
import * as assert from "uvu/assert";

/** The rows of the loss table in order, each with the lesson's loss on both texts. */
export const expected: readonly (readonly [name: string, shakespeare: number, mobyDick: number])[] =
  [
    ["bigram", 2.483, 2.47],
    ["one head", 2.386, 2.386],
    ["heads", 2.235, 2.215],
    ["+ feed-forward", 2.178, 2.173],
    ["+ residual", 2.147, 2.1],
    ["+ normalization", 2.104, 2.077],
  ];

/** The tolerance of a loss: devices round differently, and training amplifies the difference. */
const tolerance = 0.03;

/** The minimum improvement from row to row. Part of the last one is chance: see lesson 9. */
const minImprovement = 0.02;

/** Asserts that a lesson's loss is as expected, if the corpus is one of the two known texts. */
export async function assertLoss(name: string, loss: number): Promise<void> {
  const { name: corpus } = await loadCorpus();
  const column = ["", "Tiny Shakespeare", "Moby-Dick"].indexOf(corpus);
  if (column < 1) return;
  const losses = expected.map((row) => row[column] as number);
  const i = expected.findIndex((row) => row[0] === name);
  assert.ok(Math.abs(loss - losses[i]) < tolerance, `${name}: loss ${loss}, expected ${losses[i]}`);
  for (let row = 1; row < losses.length; row++)
    assert.ok(losses[row] < losses[row - 1] - minImprovement, `${expected[row][0]} on ${corpus}`);
}
