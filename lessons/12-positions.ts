// Lesson 12: Positional encodings
//
// Attention compares what tokens are. It does not know where they are: a weighted sum over the past
// is the same in any order. So a transformer must be given positions. This lesson first shows that
// they are needed, and then three ways to provide them: a sinusoidal table or a learned table,
// whose rows are added to the tokens, and rotary embeddings, which rotate queries and keys so that
// a score depends on the distance between two tokens.
//
// Time: 3 seconds.

import { loadCorpus, manualSeed, nn, noGrad, randn, rotary, stack, type Tensor } from "tinybard";
import { show } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { lineChart } from "./line-chart.ts";
import { say } from "./print.ts";
import { estimateLoss, fit, tinyGPT, tokenize } from "./training.ts";

/**
 * Returns the sinusoidal table (T, C): sin(t f) and cos(t f) in alternating channels, with
 * frequencies f = 10000^(-2i / C). Vaswani et al. (2017).
 */
export function sinusoids(T: number, C: number): number[][] {
  return Array.from({ length: T }, (_, t) =>
    Array.from({ length: C }, (_, c) => {
      const angle = t * 10_000 ** ((-2 * Math.floor(c / 2)) / C);
      return c % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }),
  );
}

/**
 * Rotates each pair (x[i], x[i + C / 2]) by the angle position * f, with frequencies
 * f = 10000^(-2i / C). The first pair rotates fastest. Su et al. (2021).
 */
export function rotate(x: readonly number[], position: number): number[] {
  const pairs = x.length / 2;
  const y = [...x];
  for (let i = 0; i < pairs; i++) {
    const angle = position * 10_000 ** (-i / pairs);
    y[i] = x[i] * Math.cos(angle) - x[i + pairs] * Math.sin(angle);
    y[i + pairs] = x[i] * Math.sin(angle) + x[i + pairs] * Math.cos(angle);
  }
  return y;
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}

/** Returns the tokens of x (1, T, C) in another order. */
function reorder(x: Tensor, order: readonly number[]): Tensor {
  const tokens = order.map((t) => x.slice({ dim: 1, start: t, end: t + 1 }).reshape([1, -1]));
  return stack(tokens, { dim: 1 }); // (1, T, C)
}

/**
 * Returns how far the blocks' outputs differ if their input is reordered: the largest difference
 * over all tokens, and for the last token.
 */
function measureReordering(blocks: nn.EncoderBlock[], x: Tensor, order: readonly number[]) {
  const forward = (x: Tensor) => blocks.reduce((y, block) => block.forward(y), x);
  const expected = noGrad(() => reorder(forward(x), order)); // (1, T, C)
  const actual = noGrad(() => forward(reorder(x, order))); // (1, T, C)
  const last = { dim: 1, start: x.shape[1] - 1 };
  return {
    all: maxDifference(expected, actual),
    last: maxDifference(expected.slice(last), actual.slice(last)),
  };
}

export async function lesson() {
  manualSeed(12);

  say(`Without positions and without a mask, a block is permutation-equivariant: if the tokens are
    reordered, the same vectors come out in the new order.`);
  const nEmbd = 32;
  const x = randn([1, 8, nEmbd]);
  const order = [3, 0, 6, 2, 5, 1, 4, 7]; // the last token stays last
  const block = () => new nn.EncoderBlock({ nEmbd, nHead: 4 });
  const causalBlock = () => new nn.EncoderBlock({ nEmbd, nHead: 4, causal: true });
  const unmasked = measureReordering([block(), block()], x, order);
  const oneCausal = measureReordering([causalBlock()], x, order);
  const twoCausal = measureReordering([causalBlock(), causalBlock()], x, order);
  console.log("Shuffle eight tokens except the last. How much do the outputs change?");
  console.log(`  two blocks without a mask  all tokens      ${unmasked.all.toExponential(1)}`);
  console.log(`  one causal block           the last token  ${oneCausal.last.toExponential(1)}`);
  console.log(`  two causal blocks          the last token  ${twoCausal.last.toExponential(1)}`);
  say(`One causal block sees a bag of tokens. With two, the mask itself reveals the order: each
    token has averaged only the tokens before it, and the second block can see that.`);

  say(`The first way: add to each token a vector that encodes its position. Sinusoids of different
    frequencies work like the digits of a number: the fast ones distinguish neighbors, the slow ones
    distinguish near from far.`);
  const table = sinusoids(32, 32);
  const heatmapOptions = {
    title: "sinusoidal table: position (rows), channel (columns)",
    rowLabels: table.map((_, t) => (t % 8 === 0 ? String(t) : "")),
    low: -1,
  };
  show(heatmap(table, heatmapOptions), "lesson-12-waves");
  const libraryTable = nn.sinusoidalTable(32, 32).toArray() as number[][];
  const tableError = Math.max(...table.map((row, t) => maxError(row, libraryTable[t])));

  say(`The second way: leave the tokens unchanged, but rotate queries and keys. The angle between
    two rotated vectors depends on the difference of their positions, and so does q . k.`);
  const [q, k] = randn([2, 16]).toArray() as number[][];
  const score = (i: number, j: number) => dot(rotate(q, i), rotate(k, j));
  const pairs = [
    [5, 2],
    [8, 5],
    [103, 100],
    [5, 4],
  ];
  const scores = pairs.map(([i, j]) => score(i, j));
  console.log("score of a rotated query at position i and a rotated key at position j");
  for (const [p, [i, j]] of pairs.entries())
    console.log(`  i = ${i}, j = ${j}:  ${scores[p].toFixed(4)}`);

  say(`The score of a vector with itself at distance d is the mean of cos(d f) over the frequencies.
    The dot product of two rows of the sinusoidal table is the same function.`);
  const constant = new Array<number>(64).fill(1 / 8);
  const scoreByDistance = Array.from(
    { length: 129 },
    (_, d) => [d, dot(rotate(constant, d), constant)] as const,
  );
  const rows = sinusoids(129, 64);
  const tableScoreError = Math.max(
    ...scoreByDistance.map(([d, score]) => Math.abs(score - dot(rows[d], rows[0]) / 32)),
  );
  const curve = { name: "q . k for q = k, rotated", points: scoreByDistance };
  show(lineChart([curve], { xLabel: "distance" }), "lesson-12");

  const vectors = randn([1, 6, 16]);
  const [rotated] = rotary(vectors, nn.rotaryTable(6, 16), { nHead: 1 }).toArray() as number[][][];
  const [originals] = vectors.toArray() as number[][][];
  const rotaryError = Math.max(
    ...originals.map((vector, t) => maxError(rotate(vector, t), rotated[t])),
  );
  console.log("largest difference from the library");
  console.log(`  sinusoidal table  ${tableError.toExponential(0)}`);
  console.log(`  rotary()          ${rotaryError.toExponential(0)}`);

  say(`What are positions worth? Four GPTs that differ in nothing else, trained on the same
    batches.`);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  console.log(`validation loss after 400 steps on ${name}`);
  const losses: Record<string, number> = {};
  for (const positions of ["none", "sinusoidal", "learned", "rotary"] as const) {
    manualSeed(12);
    const model = tinyGPT(tokenizer.vocabSize, { positions });
    manualSeed(12);
    fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
    losses[positions] = estimateLoss(model, val);
    console.log(`  ${positions.padEnd(12)}${losses[positions].toFixed(3)}`);
  }
  say(`A GPT without positions still learns, because the mask reveals the order, as we saw. In such
    a short training the tables gain little or nothing: the model must first learn to separate a
    position from the token that it was added to. Rotary embeddings help at once: a score depends on
    the distance from the first step, and "the previous token", which matters most here, is the same
    at every position. They also need no table of limited length, but distances longer than in
    training are still new.`);

  console.log(`Exercises
1. Train all four with one block instead of two, or ten times longer. Which improve, and why?
2. Plot the dot products of the rows of the learned table, model.wpe.weight, as a heat map, before
   and after training. Do nearby positions become similar?
3. Load the weights of the rotary model into one with blockSize 64 and measure its loss on blocks
   of 64 tokens. For which of the four models is that possible at all?`);
  return {
    unmasked,
    oneCausal,
    twoCausal,
    tableError,
    scores,
    tableScoreError,
    rotaryError,
    losses,
  };
}

/** Returns the largest absolute difference between two tensors of the same shape. */
function maxDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

function maxError(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((x, i) => Math.abs(x - b[i])));
}
