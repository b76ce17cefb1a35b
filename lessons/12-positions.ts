// Lesson 12: Where a token stands
//
// Attention compares what tokens are. Nothing in it knows where they stand: a sum over the past is
// the same in any order. So a transformer is told. The lesson shows first that it must be, then
// three ways to do it: a table of waves or a learned one, whose row is added to the token, and
// rotary positions, which turn queries and keys so that only the distance between two counts.

import { loadCorpus, manualSeed, nn, noGrad, randn, rotary, stack, type Tensor } from "tinybard";
import { chart, heatmap, show } from "./picture.ts";
import { fit, lossOn, tinyGPT, tokensOf } from "./tiny.ts";

/** sin(p f) and cos(p f) by turns, f = 10000^(-2i / size): each pair of channels turns slower. */
export function waves(places: number, size: number): number[][] {
  return Array.from({ length: places }, (_, p) =>
    Array.from({ length: size }, (_, c) => {
      const angle = p * 10_000 ** ((-2 * Math.floor(c / 2)) / size);
      return c % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
    }),
  );
}

/**
 * A vector as pairs (x[i], x[i + size / 2]), each turned like the hand of a clock by the angle
 * place f_i: the first pair fastest.
 */
export function turn(x: readonly number[], place: number): number[] {
  const half = x.length / 2;
  const y = [...x];
  for (let i = 0; i < half; i++) {
    const angle = place * 10_000 ** (-i / half);
    y[i] = x[i] * Math.cos(angle) - x[i + half] * Math.sin(angle);
    y[i + half] = x[i] * Math.sin(angle) + x[i + half] * Math.cos(angle);
  }
  return y;
}

export function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, x, i) => sum + x * b[i], 0);
}

/** The tokens of x (1, T, C) in another order. */
function reordered(x: Tensor, order: readonly number[]): Tensor {
  return stack(
    order.map((t) => x.slice({ dim: 1, start: t, end: t + 1 }).reshape([1, -1])),
    { dim: 1 },
  );
}

/** The largest difference between two tensors of one shape. */
function farthest(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item();
}

export async function lesson() {
  manualSeed(12);
  const [T, C, nHead] = [8, 32, 4];

  // A block without positions and without a mask is blind to order: the same tokens in another
  // order are the same vectors in that order.
  const x = randn([1, T, C]);
  const order = [3, 0, 6, 2, 5, 1, 4, 7]; // the last token stays the last
  const block = () => new nn.EncoderBlock({ nEmbd: C, nHead });
  const causal = () => new nn.EncoderBlock({ nEmbd: C, nHead, causal: true });
  const shuffled = (blocks: nn.EncoderBlock[]) => {
    const run = (x: Tensor) => blocks.reduce((y, each) => each.forward(y), x);
    const [y, z] = noGrad(() => [reordered(run(x), order), run(reordered(x, order))]);
    const last = { dim: 1, start: T - 1 };
    return { all: farthest(y, z), last: farthest(y.slice(last), z.slice(last)) };
  };
  const blind = shuffled([block(), block()]);
  const [one, two] = [shuffled([causal()]), shuffled([causal(), causal()])];
  console.log("Eight tokens are shuffled, but the last. How far do the results move?");
  console.log(`  two blocks, no mask             every token  ${blind.all.toExponential(1)}`);
  console.log(`  one block that sees the past    the last     ${one.last.toExponential(1)}`);
  console.log(`  two such blocks                 the last     ${two.last.toExponential(1)}`);
  console.log(
    "One causal block sees a bag of tokens. With two, the mask itself tells of order: each",
  );
  console.log("token has gathered from those before it alone, and a second block can see that.\n");

  // First way: add to each token a vector that says where it stands. Waves of all lengths do, as
  // the digits of a number do: the fast ones tell neighbours apart, the slow ones far from near.
  const table = waves(32, 32);
  const names = table.map((_, p) => (p % 8 === 0 ? String(p) : ""));
  show(
    heatmap(table, { rows: names, low: -1, title: "sinusoidal table: place down, channel across" }),
    "lesson-12-waves",
  );
  const library = nn.sinusoidalTable(32, 32).toArray() as number[][];
  const sameWaves = Math.max(...table.map((row, p) => distance(row, library[p])));

  // Second way: leave the token as it is, and turn queries and keys. The angle between two turned
  // vectors changes by the difference of their places: q . k knows the distance and nothing else.
  const [q, k] = (randn([2, 16]).toArray() as number[][]).map((v) => [...v]);
  const score = (i: number, j: number) => dot(turn(q, i), turn(k, j));
  const pairs = [
    [5, 2],
    [8, 5],
    [103, 100],
    [5, 4],
  ];
  console.log("q at place i, k at place j: the score of the two after turning");
  for (const [i, j] of pairs) console.log(`  i = ${i}, j = ${j}:  ${score(i, j).toFixed(4)}`);
  const shifts = pairs.map(([i, j]) => score(i, j));

  // The score of a vector with itself, d places away: the mean of cos(d f_i). Two rows of the table
  // of waves have this product too.
  const flat = new Array<number>(64).fill(1 / 8);
  const fades = Array.from({ length: 129 }, (_, d) => [d, dot(turn(flat, d), flat)] as const);
  const rows = waves(129, 64);
  const sameFade = Math.max(...fades.map(([d, y]) => Math.abs(y - dot(rows[d], rows[0]) / 32)));
  const curve = { name: "q . k for q = k, turned", points: fades };
  show(chart([curve], { x: "distance" }), "lesson-12");

  const vector = randn([1, 6, 16]);
  const turned = rotary(vector, nn.rotaryTable(6, 16), { nHead: 1 }).toArray() as number[][][];
  const sameTurn = Math.max(
    ...(vector.toArray() as number[][][])[0].map((row, t) => distance(turn(row, t), turned[0][t])),
  );
  console.log(`the library's table is at most ${sameWaves.toExponential(0)} from ours, its`);
  console.log(`rotary() at most ${sameTurn.toExponential(0)}\n`);

  // And what it is worth: four GPTs that differ in this alone, with the same batches.
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  console.log(`400 steps on ${name}     validation loss`);
  const losses: Record<string, number> = {};
  for (const positions of ["none", "sinusoidal", "learned", "rotary"] as const) {
    manualSeed(12);
    const model = tinyGPT(tokenizer.vocabSize, { positions });
    manualSeed(12);
    fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
    losses[positions] = lossOn(model, val);
    console.log(`  ${positions.padEnd(20)}${losses[positions].toFixed(3).padStart(10)}`);
  }
  console.log(`
Without positions a GPT still learns, for the mask tells it of order, as we saw. And in so short a
training the tables, which must first be told apart from the tokens that they are added to, gain
little or nothing. Rotary positions pay at once: a score knows the distance from the first step on,
and "the one before me", which a character needs most, is one and the same thing at all places. They
have no table that ends, either; but a distance that no training had is new to the model all the
same.

Exercises
1. Train all four with one block instead of two, or ten times as long. Which gain, and why?
2. Print model.wpe.weight of the learned table before and after training: the dot products of its
   rows as a heat map. Do near places become alike?
3. Load the weights of the rotary model into one with blockSize 64, and measure its loss on pieces
   of 64 tokens. Which of the four can do that at all?`);
  return { blind, one, two, sameWaves, shifts, sameFade, sameTurn, losses };
}

function distance(a: readonly number[], b: readonly number[]): number {
  return Math.max(...a.map((x, i) => Math.abs(x - b[i])));
}
