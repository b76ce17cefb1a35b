// Solutions to lesson 16
//
// Which layer tolerates 2 bits, the unused integer, and training with rounded weights.
//
// Time: 4 seconds.

import {
  type GPT,
  loadCorpus,
  manualSeed,
  noGrad,
  optim,
  randn,
  type Tensor,
  tensor,
} from "tinybard";
import { dequantizeGroup, quantizeGroup, roundTrip } from "../16-quantization.ts";
import { say } from "../print.ts";
import { estimateLoss, fit, getBatch, tinyGPT, tokenize } from "../training.ts";

/** Like quantizeGroup(), but with integers from -2^(bits - 1); the scale may be negative. */
export function quantizeGroupFully(weights: readonly number[], bits: number) {
  const limit = 2 ** (bits - 1);
  const high = Math.max(0, ...weights);
  const low = Math.max(0, ...weights.map((w) => -w));
  // the integer -limit is for the side with the larger weights, and limit - 1 for the other
  const scale = Math.max(high, low) / limit || 1;
  const sign = low >= high ? 1 : -1;
  const round = (w: number) =>
    Math.min(limit - 1, Math.max(-limit, Math.round(w / (sign * scale))));
  return { q: weights.map(round), scale: sign * scale };
}

function rms(values: readonly number[]): number {
  return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
}

/** Returns the matrices of a model that quantization rounds. */
function matrices(model: GPT): [name: string, weight: Tensor][] {
  return [...model.namedParameters()].filter(
    ([name, weight]) => weight.shape.length === 2 && name !== "wpe.weight",
  );
}

/** Rounds a weight in place and returns its original values. */
function roundInPlace(weight: Tensor, bits: number): Tensor {
  const original = weight.detach().mul(1); // a copy
  const rounded = tensor(roundTrip(weight.toArray() as number[][], bits));
  noGrad(() => weight.assign(rounded));
  return original;
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  manualSeed(16);
  const model = tinyGPT(tokenizer.vocabSize);
  fit(model, train, { steps: 400, lr: 5e-3, batchSize: 8 });
  const loss = estimateLoss(model, val);

  say(`1. Rounding one matrix at a time to 2 bits: the head and the token embedding matter most.
    They hold most of the weights of this small model, and every token passes through them.`);
  const increases = matrices(model).map(([name, weight]) => {
    const original = roundInPlace(weight, 2);
    const increase = estimateLoss(model, val) - loss;
    noGrad(() => weight.assign(original));
    return { name, increase };
  });
  for (const { name, increase } of increases.sort((a, b) => b.increase - a.increase))
    console.log(`${name.padEnd(24)} ${increase.toFixed(3).padStart(6)}`);

  say(`2. With the integer -2^(bits - 1) the scale can be smaller. The largest weight becomes it: if
    that weight is positive, the scale is negative. In 2 bits the integers are -2, -1, 0 and 1.`);
  manualSeed(16);
  const weights = Array.from(randn([32]).data());
  const groups = [quantizeGroup(weights, 2), quantizeGroupFully(weights, 2)];
  const errors = groups.map((group) =>
    rms(dequantizeGroup(group).map((value, i) => value - weights[i])),
  );
  console.log(`RMS error in 2 bits: three integers ${errors[0].toFixed(3)}, four`);
  console.log(`integers ${errors[1].toFixed(3)}, with the scale ${groups[1].scale.toFixed(3)}`);

  say(`3. Each step computes the gradient with the rounded weights and adds the update to the exact
    ones, so the weights move to where rounding hurts less. The loss in 3 bits falls to that in f32
    or below; a part of that is owed to the additional training.`);
  const bits = 3;
  const roundedLoss = () => {
    const originals = matrices(model).map(([, weight]) => roundInPlace(weight, bits));
    const result = estimateLoss(model, val);
    noGrad(() => {
      for (const [i, [, weight]] of matrices(model).entries()) weight.assign(originals[i]);
    });
    return result;
  };
  const before = roundedLoss();
  const steps = 100;
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  for (let step = 0; step < steps; step++) {
    optimizer.lr = 1e-3 * (1 - step / steps);
    const originals = matrices(model).map(([, weight]) => roundInPlace(weight, bits));
    const [x, y] = getBatch(train, 8, model.config.blockSize);
    model.forward(x, y).loss?.backward();
    noGrad(() => {
      for (const [i, [, weight]] of matrices(model).entries()) weight.assign(originals[i]);
    });
    optimizer.step();
    optimizer.zeroGrad();
  }
  const after = roundedLoss();
  console.log(`loss in f32 ${loss.toFixed(3)}, in 3 bits ${before.toFixed(3)}`);
  console.log(`in 3 bits after ${steps} steps with rounded weights ${after.toFixed(3)}`);
  return { increases, errors, loss, before, after };
}
