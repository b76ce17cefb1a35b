// Solutions to lesson 12
//
// A single block without positions, what a learned table looks like, and contexts longer than in
// training.
//
// Time: 10 seconds.

import { loadCorpus, manualSeed, type Tensor } from "tinybard";
import { show } from "../figure.ts";
import { heatmap } from "../heatmap.ts";
import { say } from "../print.ts";
import { estimateLoss, fit, tinyGPT, tokenize } from "../training.ts";

const kinds = ["none", "sinusoidal", "learned", "rotary"] as const;

/** Returns the cosine of the angle between each two rows of a matrix (T, C). */
function cosines(table: Tensor): number[][] {
  const unit = table.div(table.pow(2).sum({ dim: 1, keepdim: true }).sqrt()); // (T, C)
  return unit.matmul(unit.transpose(0, 1)).toArray() as number[][]; // (T, T)
}

/** Returns the mean of the elements at a distance from the diagonal. */
function meanAt(matrix: number[][], distance: number): number {
  const values = matrix.slice(distance).map((row, i) => row[i]);
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const { vocabSize } = tokenizer;

  say(`1. A single causal block without positions sees a bag of tokens, in which it cannot find the
    previous one. Rotary positions show it where that is, and one block with them is better than two
    without. The tables that are added need a longer training.`);
  const losses = [1, 2].map((nLayer) =>
    kinds.map((positions) => {
      manualSeed(12);
      const model = tinyGPT(vocabSize, { positions, nLayer });
      manualSeed(12);
      fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
      return estimateLoss(model, val);
    }),
  );
  console.log(`            ${kinds.map((kind) => kind.padStart(11)).join("")}`);
  for (const [i, row] of losses.entries())
    console.log(`${i + 1} block(s)  ${row.map((loss) => loss.toFixed(3).padStart(11)).join("")}`);

  say(`2. Before training, rows of the table are unrelated. Training makes neighbors similar,
    although nothing tells the model that positions 3 and 4 are next to each other.`);
  manualSeed(12);
  const learned = tinyGPT(vocabSize, { positions: "learned" });
  const { weight } = learned.wpe as NonNullable<typeof learned.wpe>;
  const before = cosines(weight);
  fit(learned, train, { steps: 1000, lr: 5e-3 });
  const after = cosines(weight);
  const title = "cosine similarity of the position embeddings, after training";
  show(heatmap(after, { title, low: -1, high: 1 }), "solution-12");
  const similarity = [before, after].map((matrix) => [1, 8].map((d) => meanAt(matrix, d)));
  for (const [i, name] of ["before", "after"].entries()) {
    const [near, far] = similarity[i];
    console.log(`${name.padEnd(7)} distance 1: ${near.toFixed(2)}, distance 8: ${far.toFixed(2)}`);
  }

  say(`3. Sinusoidal and rotary positions exist for any length, and a model without positions has
    none to run out of. A learned table has 32 rows, so its weights do not fit. At 64 tokens,
    distances above 31 are new to every model, and the loss rises: most for the rotary model, which
    had learned most from distances.`);
  const longer = kinds.map((positions) => {
    manualSeed(12);
    const model = tinyGPT(vocabSize, { positions });
    fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
    const long = tinyGPT(vocabSize, { positions, blockSize: 64 });
    try {
      long.loadStateDict(model.stateDict());
    } catch (error) {
      console.log(`${positions.padEnd(11)} ${(error as Error).message}`);
      return null;
    }
    const losses = { short: estimateLoss(model, val), long: estimateLoss(long, val) };
    const columns = `32 tokens ${losses.short.toFixed(3)}, 64 tokens ${losses.long.toFixed(3)}`;
    console.log(`${positions.padEnd(11)} loss at ${columns}`);
    return losses;
  });
  return { losses, similarity, longer };
}
