// The validation losses that lessons 4 to 9 should come to, on Tiny Shakespeare and on Moby-Dick;
// that they fall from row to row, and that a lesson came near its own.

import { loadCorpus } from "tinybard";
import * as assert from "uvu/assert";

/** From the first row of the table to the last, each with the lesson's loss on both texts. */
export const expected: readonly (readonly [name: string, shakespeare: number, mobyDick: number])[] =
  [
    ["bigram", 2.483, 2.47],
    ["one head", 2.386, 2.386],
    ["heads", 2.235, 2.215],
    ["+ feed-forward", 2.178, 2.173],
    ["+ residual", 2.147, 2.1],
    ["+ normalization", 2.104, 2.077],
  ];

/** How far a loss may lie from the figure: devices round differently, and training amplifies it. */
const margin = 0.03;

/** What each row must be below the one before. Of the last one's fall a part is chance: lesson 9. */
const fall = 0.02;

/** Asserts a lesson's loss, on the two texts that are known. */
export async function expectLoss(name: string, loss: number): Promise<void> {
  const { name: text } = await loadCorpus();
  const column = ["", "Tiny Shakespeare", "Moby-Dick"].indexOf(text);
  if (column < 1) return;
  const losses = expected.map((row) => row[column] as number);
  const i = expected.findIndex(([each]) => each === name);
  assert.ok(Math.abs(loss - losses[i]) < margin, `${name}: loss ${loss}, expected ${losses[i]}`);
  for (let row = 1; row < losses.length; row++)
    assert.ok(losses[row] < losses[row - 1] - fall, `${expected[row][0]} on ${text}`);
}
