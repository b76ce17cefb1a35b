// Solutions to lesson 4
//
// Tables of counts with less and more context than a bigram, and what a learning rate of 0.1 means
// for AdamW.
//
// Time: 2 seconds.

import { loadCorpus, manualSeed, zeros } from "tinybard";
import { BigramLanguageModel } from "../04-bigram.ts";
import { say } from "../print.ts";
import { budget, estimateLoss, fit, tokenize } from "../training.ts";

/**
 * Returns the mean loss on `ids` of a table of counts with the `context` tokens before each token.
 * Counts of `train` start at 1.
 */
export function countedLoss(
  train: Int32Array,
  ids: Int32Array,
  V: number,
  context: number,
): number {
  const counts = new Map<number, Float64Array>();
  const rowOf = (text: Int32Array, i: number) => {
    let key = 0;
    for (let k = context; k > 0; k--) key = key * V + text[i - k];
    return key;
  };
  for (let i = context; i < train.length; i++) {
    const key = rowOf(train, i);
    const row = counts.get(key) ?? new Float64Array(V + 1).fill(1, 0, V); // the last is the total
    row[train[i]]++;
    row[V]++;
    counts.set(key, row);
  }
  let sum = 0;
  for (let i = context; i < ids.length; i++) {
    const row = counts.get(rowOf(ids, i));
    const p = row ? row[ids[i]] / (row[V] + V) : 1 / V;
    sum -= Math.log(p);
  }
  return sum / (ids.length - context);
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const V = tokenizer.vocabSize;

  say(`1. and 2. Tables of counts with the last 0, 1 and 2 characters as context. Each character of
    context multiplies the number of rows by V. A million characters fill a table of trigrams well:
    it is much better than bigrams, and about as good on new text as on the training text. With
    longer contexts that changes, because most rows are rare: see lesson 0.`);
  const losses = [0, 1, 2].map((context) => ({
    train: countedLoss(train, train, V, context),
    val: countedLoss(train, val, V, context),
  }));
  console.log("           training text   new text");
  for (const [context, { train, val }] of losses.entries()) {
    const name = ["unigrams", "bigrams", "trigrams"][context].padEnd(10);
    console.log(`${name} ${train.toFixed(3).padStart(13)} ${val.toFixed(3).padStart(10)}`);
  }

  say(`3. AdamW moves a weight by about lr in each step. A logit starts at 0 and must reach 5 or
    more, in 1000 steps whose rate falls to 0. With lr = 0.001 it can move by 0.5 at most. In the
    larger models a logit is a sum over many weights, so that small changes of each are enough, and
    large ones would be too much. In the table each logit is one weight.`);
  const byRate = [0.1, 0.01, 0.001].map((lr) => {
    manualSeed(1337);
    const model = new BigramLanguageModel(V, { init: zeros });
    fit(model, train, { ...budget, lr });
    const largest = model.token_embedding_table.weight.abs().max().item();
    const loss = estimateLoss(model, val, 256);
    console.log(`lr ${lr}: loss ${loss.toFixed(3)}, the largest logit is ${largest.toFixed(2)}`);
    return { lr, loss, largest };
  });
  return { losses, byRate, V };
}
