// Lesson 16: Weights of a few bits
//
// A weight takes 32 bits. How many of them does the model need? Writing a token reads each weight
// once and does little else, so fewer bits mean less memory and less time. Rounding is plain: a row
// of weights becomes whole numbers and one scale, w = scale q. The lesson does it by hand for each
// number of bits from 8 down to 2, shows what the scale hangs on, and then lets the library do it.

import {
  dequantize,
  type GPT,
  loadCorpus,
  manualSeed,
  nn,
  quantize,
  quantizeMatrix,
  randn,
  tensor,
} from "tinybard";
import { chart, show } from "./picture.ts";
import { fit, lossOn, tinyGPT, tokensOf } from "./tiny.ts";

/** Whole numbers from -most to most, most = 2^(bits - 1) - 1, and what 1 stands for. */
export interface Rounded {
  q: number[];
  scale: number;
}

/** The nearest of few numbers to each weight: no error is larger than scale / 2. */
export function round(weights: readonly number[], bits: number): Rounded {
  const most = 2 ** (bits - 1) - 1;
  const scale = Math.max(...weights.map(Math.abs)) / most || 1;
  return { q: weights.map((w) => Math.round(w / scale)), scale };
}

/** The weights again, near to what they were. */
export function restore({ q, scale }: Rounded): number[] {
  return q.map((n) => scale * n);
}

/** A matrix there and back, with a scale for each `group` columns of a row. */
export function roundTrip(matrix: number[][], bits: number, group = matrix[0].length): number[][] {
  return matrix.map((row) => {
    const starts = Array.from({ length: Math.ceil(row.length / group) }, (_, i) => i * group);
    return starts.flatMap((start) => restore(round(row.slice(start, start + group), bits)));
  });
}

/** The root of the mean square of the error, as a share of that of the weights. */
function errorOf(matrix: number[][], back: number[][]): number {
  const square = (rows: number[][]) => rows.flat().reduce((sum, x) => sum + x * x, 0);
  const error = matrix.map((row, i) => row.map((w, j) => w - back[i][j]));
  return Math.sqrt(square(error) / square(matrix));
}

/** A copy of a model with all its matrices rounded, each row by itself. */
function withBits(model: GPT, bits: number): GPT {
  const copy = tinyGPT(model.config.vocabSize);
  const dict = model.stateDict();
  for (const [name, w] of Object.entries(dict))
    if (w.shape.length === 2 && name !== "wpe.weight")
      dict[name] = tensor(roundTrip(w.toArray() as number[][], bits));
  copy.loadStateDict(dict);
  return copy;
}

/** The bytes of all that a model holds. */
function bytesOf(model: GPT): number {
  return Object.values(model.stateDict()).reduce((sum, w) => sum + 4 * w.size, 0);
}

export async function lesson() {
  manualSeed(16);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const model = tinyGPT(tokenizer.vocabSize);
  fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
  const matrix = model.h[0].mlp.c_fc.weight.toArray() as number[][]; // [128, 32]

  // Eight weights, by hand.
  const row = matrix[0].slice(0, 8);
  const { q, scale } = round(row, 4);
  const print = (label: string, values: readonly number[], digits: number) =>
    console.log(
      `  ${label.padEnd(16)}${values.map((x) => x.toFixed(digits).padStart(8)).join("")}`,
    );
  console.log(`Eight weights of a GPT that was trained on ${name}, in 4 bits`);
  print("w", row, 3);
  print("q = w / scale", q, 0);
  print("scale q", restore({ q, scale }), 3);
  console.log(`  scale = max |w| / 7 = ${scale.toFixed(4)}; no error is above half of it`);

  // A bit more halves the step between numbers, and so the error.
  const widths = [2, 3, 4, 5, 6, 7, 8];
  const errors = widths.map((bits) => [bits, errorOf(matrix, roundTrip(matrix, bits))] as const);
  const curve = { name: "rms error / rms weight", points: errors };
  show(chart([curve], { title: "one matrix, rounded", x: "bits", logY: true }), "lesson-16");

  // The scale comes from the largest weight, and all others pay for it. In large models a few
  // weights are far larger than the rest. The fewer numbers share a scale, the fewer pay; but each
  // scale takes 32 bits of its own.
  const plain = randn([64, 64]).toArray() as number[][];
  const spoiled = plain.map((row) => [...row]);
  spoiled[5][7] = 40; // one of 4096
  const groups = { matrix: 64 * 64, row: 64, "32 columns": 32 };
  console.log("one scale for each    bits a weight    error in 4 bits    and one weight of 40");
  const shared = Object.entries(groups).map(([label, count]) => {
    const flat = (rows: number[][]) => (count > 64 ? [rows.flat()] : rows);
    const withoutIt = (rows: number[][]) => [rows.flat().filter((_, i) => i !== 5 * 64 + 7)];
    const [one, other] = [plain, spoiled].map((rows) => {
      const back = roundTrip(flat(rows), 4, count);
      return errorOf(withoutIt(rows), withoutIt(back)); // the error of the other 4095
    });
    const cells = [(4 + 32 / count).toFixed(2), percent(one), percent(other)];
    const widths = [15, 19, 24];
    console.log(`  ${label.padEnd(18)}${cells.map((c, i) => c.padStart(widths[i])).join("")}`);
    return { label, one, other };
  });

  // What an error in the weights does to the loss is another question: a model bears much.
  const loss = lossOn(model, val);
  const losses = widths.map((bits) => [bits, lossOn(withBits(model, bits), val)] as const);
  const lines = [
    { name: "matrices rounded", points: losses },
    { name: "32 bits", points: widths.map((bits) => [bits, loss] as const) },
  ];
  show(chart(lines, { title: "validation loss", x: "bits" }), "lesson-16-loss");

  // The library: packed, four or eight numbers in a word, and read so by the kernels.
  const bytes = quantizeMatrix(model.h[0].mlp.c_fc.weight, { bits: 8 });
  const back = dequantize(bytes).toArray() as number[][];
  const apart = farthest(back, roundTrip(matrix, 8));
  console.log(`quantizeMatrix() in 8 bits: at most ${apart.toExponential(0)} from ours`);
  const [word] = bytes.weight.data();
  const unpacked = [0, 8, 16, 24].map((shift) => (word << (24 - shift)) >> 24);
  const [words, scales] = [bytes.weight, bytes.scale].map(({ shape }) => shape.join(", "));
  console.log(`  [128, 32] floats have become words [${words}] and scales [${scales}];`);
  console.log(`  the first word, ${word}, holds the numbers ${unpacked.join(", ")}`);
  console.log("\n               bytes    validation loss");
  const library = ([32, 8, 4] as const).map((bits) => {
    const small = bits === 32 ? model : quantize(model, { bits });
    const result = { bits, bytes: bytesOf(small), loss: lossOn(small, val) };
    const cells = [String(result.bytes).padStart(10), result.loss.toFixed(4).padStart(19)];
    console.log(`  ${`${bits} bits`.padEnd(8)}${cells.join("")}`);
    return { ...result, isQuantized: small.lm_head instanceof nn.QuantizedLinear };
  });
  console.log(`
Eight bits cost next to nothing, and four bits little. In two bits q is -1, 0 or 1, and the loss
shows it. Scales, biases and positions keep 32 bits: in a model this narrow they are two fifths of
what is left in 4 bits, in a wide one next to nothing.

Exercises
1. Round only one layer to 2 bits, one after the other. Which of them does the loss hang on?
2. round() leaves -2^(bits - 1) unused. In 2 bits that is a quarter of all numbers. How does
   quantizeMatrix() use it, and what may the scale be then?
3. Train on: after each step put the rounded weights in, and keep the sums of the changes in 32
   bits. How much of the loss in 3 bits comes back?`);
  const first = round(matrix[0], 8).q.slice(0, 4);
  return { errors, shared, loss, losses, apart, unpacked, first, library };
}

function farthest(a: number[][], b: number[][]): number {
  return Math.max(...a.flatMap((row, i) => row.map((x, j) => Math.abs(x - b[i][j]))));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
