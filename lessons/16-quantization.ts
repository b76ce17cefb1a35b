// Lesson 16: Quantization
//
// A weight takes 32 bits. How many does the model need? Generating a token is memory-bound: it
// reads each weight once and does little else, so fewer bits mean less memory and less time.
// Quantization is simple: a row of weights becomes integers q and one scale, with w = scale * q.
// This lesson does it by hand for 8 down to 2 bits, shows what the error depends on, and then uses
// the library.
//
// Time: 2 seconds.

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
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { percent, say } from "./print.ts";
import { estimateLoss, fit, tinyGPT, tokenize } from "./training.ts";

/** A group of weights as integers from -maxQ to maxQ, maxQ = 2^(bits - 1) - 1, and their scale. */
export interface QuantizedGroup {
  q: number[];
  scale: number;
}

/** Rounds each weight to the nearest multiple of the scale, so the error is at most scale / 2. */
export function quantizeGroup(weights: readonly number[], bits: number): QuantizedGroup {
  const maxQ = 2 ** (bits - 1) - 1;
  const scale = Math.max(...weights.map(Math.abs)) / maxQ || 1;
  return { q: weights.map((w) => Math.round(w / scale)), scale };
}

export function dequantizeGroup({ q, scale }: QuantizedGroup): number[] {
  return q.map((n) => scale * n);
}

/** Quantizes and dequantizes a matrix, with one scale for each `groupSize` weights of a row. */
export function roundTrip(
  matrix: number[][],
  bits: number,
  groupSize = matrix[0].length,
): number[][] {
  return matrix.map((row) => {
    const groupCount = Math.ceil(row.length / groupSize);
    const groups = Array.from({ length: groupCount }, (_, i) =>
      row.slice(i * groupSize, (i + 1) * groupSize),
    );
    return groups.flatMap((group) => dequantizeGroup(quantizeGroup(group, bits)));
  });
}

/** Returns the RMS of the differences, relative to the RMS of the matrix. */
function relativeError(matrix: number[][], approximation: number[][]): number {
  const sumOfSquares = (rows: number[][]) => rows.flat().reduce((sum, x) => sum + x * x, 0);
  const error = matrix.map((row, i) => row.map((w, j) => w - approximation[i][j]));
  return Math.sqrt(sumOfSquares(error) / sumOfSquares(matrix));
}

/** Returns a copy of a model with rounded matrices, one scale per row. */
function roundWeights(model: GPT, bits: number): GPT {
  const copy = tinyGPT(model.config.vocabSize);
  const dict = model.stateDict();
  for (const [name, weight] of Object.entries(dict)) {
    if (weight.shape.length !== 2 || name === "wpe.weight") continue;
    dict[name] = tensor(roundTrip(weight.toArray() as number[][], bits));
  }
  copy.loadStateDict(dict);
  return copy;
}

/** Returns the size of a model in bytes. Elements have 4: an f32 or a word of packed integers. */
function sizeInBytes(model: GPT): number {
  return Object.values(model.stateDict()).reduce((sum, weight) => sum + 4 * weight.size, 0);
}

export async function lesson() {
  manualSeed(16);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const model = tinyGPT(tokenizer.vocabSize);
  fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
  const { weight } = model.h[0].mlp.c_fc; // (128, 32)
  const matrix = weight.toArray() as number[][];

  const weights = matrix[0].slice(0, 8);
  const quantized = quantizeGroup(weights, 4);
  console.log(`Eight weights of a GPT trained on ${name}, in 4 bits`);
  printRow("w", weights, 3);
  printRow("q = w / scale", quantized.q, 0);
  printRow("scale * q", dequantizeGroup(quantized), 3);
  console.log(
    `  scale = max |w| / 7 = ${quantized.scale.toFixed(4)}; the largest error is half of it`,
  );

  say(`Each additional bit halves the scale, and so the error.`);
  const bitWidths = [2, 3, 4, 5, 6, 7, 8];
  const errors = bitWidths.map(
    (bits) => [bits, relativeError(matrix, roundTrip(matrix, bits))] as const,
  );
  const errorCurve = { name: "relative RMS error", points: errors };
  const errorTitle = "one quantized matrix";
  show(lineChart([errorCurve], { title: errorTitle, xLabel: "bits", logY: true }), "lesson-16");

  say(`The largest weight determines the scale, at the expense of all others. Large models have a
    few outliers, weights that are far larger than the rest. The fewer weights share a scale, the
    fewer an outlier affects, but each scale takes another 32 bits.`);
  const normal = randn([64, 64]).toArray() as number[][];
  const withOutlier = normal.map((row) => [...row]);
  withOutlier[5][7] = 40; // one of 4096
  console.log("one scale for each    bits per weight    error in 4 bits    with one weight of 40");
  const groupings = { matrix: 64 * 64, row: 64, "32 columns": 32 };
  const byGrouping = Object.entries(groupings).map(([label, groupSize]) => {
    const measure = (rows: number[][]) => {
      const grouped = groupSize > 64 ? [rows.flat()] : rows;
      const rounded = roundTrip(grouped, 4, groupSize);
      return relativeError(withoutOutlier(grouped), withoutOutlier(rounded));
    };
    const error = measure(normal);
    const outlierError = measure(withOutlier);
    const columns = [
      (4 + 32 / groupSize).toFixed(2).padStart(17),
      percent(error).padStart(19),
      percent(outlierError).padStart(25),
    ];
    console.log(`  ${label.padEnd(18)}${columns.join("")}`);
    return { label, error, outlierError };
  });

  say(`How an error in the weights changes the loss is another question: models tolerate a lot.`);
  const loss = estimateLoss(model, val);
  const losses = bitWidths.map((bits) => {
    return [bits, estimateLoss(roundWeights(model, bits), val)] as const;
  });
  const curves = [
    { name: "quantized matrices", points: losses },
    { name: "f32", points: bitWidths.map((bits) => [bits, loss] as const) },
  ];
  show(lineChart(curves, { title: "validation loss", xLabel: "bits" }), "lesson-16-loss");

  say(`The library packs four 8-bit or eight 4-bit integers into a 32-bit word, which the kernels
    unpack as they read it.`);
  const packed = quantizeMatrix(weight, { bits: 8 });
  const difference = maxDifference(
    dequantize(packed).toArray() as number[][],
    roundTrip(matrix, 8),
  );
  const [word] = packed.weight.data();
  const unpacked = [0, 8, 16, 24].map((shift) => (word << (24 - shift)) >> 24);
  const wordShape = packed.weight.shape.join(", ");
  const scaleShape = packed.scale.shape.join(", ");
  console.log(`quantizeMatrix() in 8 bits: at most ${difference.toExponential(0)} from our values`);
  console.log(`  (128, 32) floats became (${wordShape}) words and (${scaleShape}) scales`);
  console.log(`  the first word, ${word}, holds the integers ${unpacked.join(", ")}`);
  console.log("\n               bytes    validation loss");
  const library = ([32, 8, 4] as const).map((bits) => {
    const quantizedModel = bits === 32 ? model : quantize(model, { bits });
    const bytes = sizeInBytes(quantizedModel);
    const loss = estimateLoss(quantizedModel, val);
    const label = `${bits} bits`.padEnd(8);
    console.log(`  ${label}${String(bytes).padStart(10)}${loss.toFixed(4).padStart(19)}`);
    const isQuantized = quantizedModel.lm_head instanceof nn.QuantizedLinear;
    return { bits, bytes, loss, isQuantized };
  });
  say(`Eight bits cost almost nothing, and four bits little. With two bits q is -1, 0 or 1, and the
    loss shows it. Scales, biases and position embeddings keep 32 bits: two fifths of the 4-bit size
    of a model this narrow, but almost nothing in a wide one.`);

  console.log(`Exercises
1. Quantize one layer at a time to 2 bits. Which layer matters most for the loss?
2. quantizeGroup() never uses -2^(bits - 1). In 2 bits that is a quarter of all values. How does
   quantizeMatrix() use it, and which scales become possible?
3. Quantization-aware training: after each step, use the rounded weights, but accumulate the updates
   in 32 bits. How much of the loss in 3 bits can you recover?`);
  const firstIntegers = quantizeGroup(matrix[0], 8).q.slice(0, 4);
  return {
    errors,
    byGrouping,
    loss,
    losses,
    difference,
    unpacked,
    firstIntegers,
    library,
  };
}

/** Removes the element that is the outlier: row 5, column 7 of (64, 64). */
function withoutOutlier(rows: number[][]): number[][] {
  return [rows.flat().filter((_, i) => i !== 5 * 64 + 7)];
}

function maxDifference(a: number[][], b: number[][]): number {
  return Math.max(...a.flatMap((row, i) => row.map((x, j) => Math.abs(x - b[i][j]))));
}

function printRow(label: string, values: readonly number[], digits: number): void {
  const cells = values.map((value) => value.toFixed(digits).padStart(8));
  console.log(`  ${label.padEnd(16)}${cells.join("")}`);
}
