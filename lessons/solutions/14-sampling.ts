// Solutions to lesson 14
//
// The temperature at which a model repeats as much as its corpus, top-p at a high temperature, and
// min-p.
//
// Time: 5 seconds.

import { loadCorpus, manualSeed } from "tinybard";
import { distribution, nextTokenLogits, repetition, sampleTokens } from "../14-sampling.ts";
import { percent, say } from "../print.ts";
import { fit, tinyGPT, tokenize } from "../training.ts";

/** Keeps the tokens with at least `fraction` of the largest probability. Returns the new ones. */
export function minP(probabilities: readonly number[], fraction: number): number[] {
  const threshold = fraction * Math.max(...probabilities);
  const kept = probabilities.map((p) => (p >= threshold ? p : 0));
  const total = kept.reduce((sum, p) => sum + p, 0);
  return kept.map((p) => p / total);
}

const count = (probabilities: readonly number[]) => probabilities.filter((p) => p > 0).length;

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  manualSeed(14);
  const model = tinyGPT(tokenizer.vocabSize);
  fit(model, train, { steps: 500, lr: 5e-3 });
  const prompt = tokenizer.encode("\nThe ");

  say(`1. Repetition falls as the temperature rises, so bisection finds the temperature. The text
    there repeats frequent words and syllables, but no whole phrases.`);
  const repeatedAt = (temperature: number) => {
    manualSeed(14);
    const { ids } = sampleTokens(model, prompt, 600, { temperature });
    return { sample: tokenizer.decode(ids), repeated: repetition(tokenizer.decode(ids)) };
  };
  const corpusRepetition = repetition(tokenizer.decode(val.subarray(0, 600)));
  let low = 0.25;
  let high = 1.5;
  for (let i = 0; i < 5; i++) {
    const middle = (low + high) / 2;
    if (repeatedAt(middle).repeated > corpusRepetition) low = middle;
    else high = middle;
  }
  const { sample, repeated } = repeatedAt(high);
  console.log(`the corpus repeats ${percent(corpusRepetition, 0)} of its 4-grams`);
  console.log(`temperature ${high.toFixed(2)}: ${percent(repeated, 0)}`);
  console.log(JSON.stringify(sample.slice(0, 80)));

  say(`2. Top-p is applied after the temperature. A high one flattens the distribution, so that more
    tokens are needed for a probability of 0.8, unlikely ones among them. Top-k keeps five in any
    case.`);
  const logits = nextTokenLogits(model, prompt);
  const kept = [1, 1.5].map((temperature) => ({
    topP: count(distribution(logits, { temperature, topP: 0.8 })),
    topK: count(distribution(logits, { temperature, topK: 5 })),
  }));
  for (const [i, { topP, topK }] of kept.entries())
    console.log(
      `temperature ${[1, 1.5][i]}: top-p 0.8 keeps ${topP} tokens, top-k 5 keeps ${topK}`,
    );

  say("3. Like top-p, min-p keeps few tokens where the model is sure and many where it is not.");
  const contexts = ["\nThe ", "\nThe q"];
  const minPKept = contexts.map((context) => {
    const probabilities = distribution(nextTokenLogits(model, tokenizer.encode(context)));
    const left = count(minP(probabilities, 0.1));
    console.log(`after ${JSON.stringify(context)}: min-p 0.1 keeps ${left} tokens`);
    return left;
  });
  return { temperature: high, corpusRepetition, kept, minPKept };
}
