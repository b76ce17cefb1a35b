// Lesson 14: Sampling: temperature, top-k, top-p
//
// A language model does not output text. It outputs a logit for each token of the vocabulary,
// softmax turns the logits into probabilities, and the next token is sampled from them. How we
// sample matters as much as how we trained. If we always take the most likely token, the text runs
// in circles. If we sample as the model predicts, an unlikely token sooner or later derails it.
//
// Time: 3 seconds.

import {
  type GPT,
  generate,
  loadCorpus,
  manualSeed,
  multinomial,
  noGrad,
  scope,
  tensor,
} from "tinybard";
import { show, visible } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { lineChart } from "./line-chart.ts";
import { percent, say } from "./print.ts";
import { estimateLoss, fit, tinyGPT, tokenize } from "./training.ts";

export interface SamplingOptions {
  temperature?: number;
  topK?: number;
  topP?: number;
}

/** Returns softmax(logits / temperature), restricted to the tokens that top-k and top-p keep. */
export function distribution(logits: ArrayLike<number>, options: SamplingOptions = {}): number[] {
  const { temperature = 1, topK = Infinity, topP = 1 } = options;
  const largest = Math.max(...Array.from(logits));
  // The temperature divides differences of logits: below 1 they grow, above 1 they shrink. At 0
  // only the largest logit is left.
  const weights = Array.from(logits, (x) =>
    temperature > 0 ? Math.exp((x - largest) / temperature) : Number(x === largest),
  );
  const total = sum(weights);
  const ranking = weights.map((_, i) => i).sort((i, j) => weights[j] - weights[i] || i - j);
  // Top-k always keeps the same number of tokens. Top-p keeps as many as are needed for a total
  // probability of topP: one where the model is sure, dozens where it is not.
  let cumulative = 0;
  const kept = ranking.slice(0, topK).filter((i) => {
    const isKept = cumulative < topP * total;
    cumulative += weights[i];
    return isKept;
  });
  const keptTotal = sum(kept.map((i) => weights[i]));
  return weights.map((weight, i) => (kept.includes(i) ? weight / keptTotal : 0));
}

/** Returns the entropy -sum p log2 p in bits: 0 for a certain outcome, 1 for a fair coin. */
export function entropy(probabilities: readonly number[]): number {
  return -sum(probabilities.map((p) => (p > 0 ? p * Math.log2(p) : 0)));
}

/** Returns the fraction of the character n-grams of a text that repeat an earlier one. */
export function repetition(text: string, n = 4): number {
  const distinct = new Set<string>();
  const total = text.length - n + 1;
  for (let i = 0; i < total; i++) distinct.add(text.slice(i, i + n));
  return 1 - distinct.size / total;
}

/** Returns the logits (V) of the token after ids. */
export function nextTokenLogits(model: GPT, ids: readonly number[]): Float32Array {
  const { blockSize, vocabSize } = model.config;
  const idx = tensor([ids.slice(-blockSize)], { dtype: "i32" }); // (1, T)
  const logits = scope(() => noGrad(() => model.forward(idx).logits?.data())); // 1 * T * V
  return logits?.slice(-vocabSize) as Float32Array;
}

/** Samples `count` tokens one by one. Returns them, and the mean entropy of their distributions. */
export function sampleTokens(
  model: GPT,
  prompt: readonly number[],
  count: number,
  options: SamplingOptions,
) {
  const ids = [...prompt];
  let bits = 0;
  for (let i = 0; i < count; i++) {
    const probabilities = distribution(nextTokenLogits(model, ids), options);
    bits += entropy(probabilities) / count;
    ids.push(multinomial(tensor(probabilities), 1).item());
  }
  return { ids: ids.slice(prompt.length), bits };
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  manualSeed(14);
  const model = tinyGPT(tokenizer.vocabSize);
  fit(model, train, { steps: 500, lr: 5e-3 });
  const loss = estimateLoss(model, val);
  const lossInBits = loss / Math.LN2;
  console.log(`\nA tiny GPT after 500 steps on ${name}: the validation loss is ${loss.toFixed(2)}`);
  console.log(`nats, which is ${lossInBits.toFixed(2)} bits per character.`);

  say(`One distribution, and how each option changes it.`);
  const prompt = tokenizer.encode("\nThe ");
  const logits = nextTokenLogits(model, prompt);
  const settings: Record<string, SamplingOptions> = {
    unchanged: {},
    "temperature 0.5": { temperature: 0.5 },
    "temperature 2": { temperature: 2 },
    "top-k 5": { topK: 5 },
    "top-p 0.8": { topP: 0.8 },
  };
  const distributions = Object.values(settings).map((options) => distribution(logits, options));
  const [unchanged] = distributions;
  const topIds = [...unchanged.keys()].sort((i, j) => unchanged[j] - unchanged[i]).slice(0, 24);
  const figure = heatmap(
    distributions.map((probabilities) => topIds.map((id) => probabilities[id])),
    {
      title: 'probability of the next character after "The "',
      rowLabels: Object.keys(settings).map(
        (setting, i) => `${setting}, ${entropy(distributions[i]).toFixed(2)} bits`,
      ),
      columnLabels: topIds.map((id) => visible(tokenizer.decode([id]))),
    },
  );
  show(figure, "lesson-14-cuts");

  say(`The number of tokens that are left where the model is unsure, and where it is sure.`);
  const countKept = (context: string, options: SamplingOptions) => {
    const probabilities = distribution(nextTokenLogits(model, tokenizer.encode(context)), options);
    return probabilities.filter((p) => p > 0).length;
  };
  const kept = ["\nThe ", "\nThe q"].map((context) => ({
    context: JSON.stringify(context),
    topK: countKept(context, { topK: 5 }),
    topP: countKept(context, { topP: 0.8 }),
  }));
  for (const { context, topK, topP } of kept)
    console.log(`after ${context}: top-k 5 keeps ${topK} tokens, top-p 0.8 keeps ${topP}`);

  say(`The library samples from the same distribution: compare 200 first tokens with it.`);
  const counts = new Array<number>(tokenizer.vocabSize).fill(0);
  const options = { temperature: 0.8, topK: 5 };
  for (let seed = 0; seed < 200; seed++) {
    const tokens = generate(model, { prompt, maxNewTokens: 1, seed, ...options });
    for await (const id of tokens) counts[id]++;
  }
  const expected = distribution(logits, options);
  const totalVariation = sum(expected.map((p, i) => Math.abs(p - counts[i] / 200))) / 2;
  const outsideTopK = sum(counts.filter((_, i) => expected[i] === 0));
  console.log("200 samples of generate(), compared with our distribution:");
  console.log(`  total variation distance   ${percent(totalVariation, 0)}`);
  console.log(`  samples outside the top 5  ${outsideTopK}`);

  say(`Generation repeats work. With a causal mask, a new token does not change the keys and values
    of the tokens before it, so they can be kept: this is the KV cache. Then only the new token
    passes through the model, and its query is compared with all cached keys. Without a cache, the
    whole context is computed again for each token.`);
  const newTokens = model.config.blockSize - prompt.length; // while the context is not full
  let start = performance.now();
  const uncached = [...prompt];
  for (let i = 0; i < newTokens; i++) uncached.push(argmax(nextTokenLogits(model, uncached)));
  const uncachedTime = performance.now() - start;
  start = performance.now();
  const cached = [...prompt];
  const greedy = generate(model, { prompt, maxNewTokens: newTokens, temperature: 0 });
  for await (const id of greedy) cached.push(id);
  const cachedTime = performance.now() - start;
  const isSameText = cached.join() === uncached.join();
  const passed = sum(uncached.slice(prompt.length).map((_, i) => prompt.length + i));
  console.log(`${newTokens} tokens without a KV cache: ${passed} tokens pass through the model`);
  console.log(`  (${uncachedTime.toFixed(0)} ms); with one: ${cached.length - 1} tokens`);
  console.log(`  (${cachedTime.toFixed(0)} ms), and ${isSameText ? "the same" : "another"} text`);

  say(`Whole texts. Repeated 4-grams measure how little variety there is. Known words, of three or
    more letters that occur in the corpus, measure how much sense the text makes.`);
  const findWords = (text: string) => text.match(/[a-z]{3,}/gi) ?? [];
  const corpusWords = new Set(findWords(text));
  const temperatures = [0, 0.25, 0.5, 0.75, 1, 1.5, 2];
  const results = [
    ...temperatures.map((temperature) => ({ name: `temperature ${temperature}`, temperature })),
    { name: "top-k 5", topK: 5 },
    { name: "top-p 0.8", topP: 0.8 },
  ].map(({ name, ...options }) => {
    const { ids, bits } = sampleTokens(model, prompt, 300, options);
    const sample = tokenizer.decode(ids);
    const words = findWords(sample);
    const knownWords = words.filter((word) => corpusWords.has(word)).length / words.length;
    return { name, sample, bits, repeated: repetition(sample), knownWords };
  });
  const excerpt = tokenizer.decode(val.subarray(0, 300));
  const reference = {
    name: "the corpus itself",
    sample: excerpt,
    bits: lossInBits,
    repeated: repetition(excerpt),
    knownWords: 1,
  };
  console.log("300 characters each   bits  repeated  known words");
  for (const { name, sample, bits, repeated, knownWords } of [...results, reference]) {
    const columns = [
      bits.toFixed(2).padStart(5),
      percent(repeated, 0).padStart(9),
      percent(knownWords, 0).padStart(12),
    ];
    const start = JSON.stringify(sample.slice(0, 45));
    console.log(`  ${name.padEnd(18)}${columns.join("")}  ${start}`);
  }
  const curve = (name: string, metric: (result: (typeof results)[number]) => number) => ({
    name,
    points: temperatures.map((temperature, i) => [temperature, metric(results[i])] as const),
  });
  const curves = [
    curve("entropy / log2 V", ({ bits }) => bits / Math.log2(tokenizer.vocabSize)),
    curve("repeated 4-grams", ({ repeated }) => repeated),
    curve("known words", ({ knownWords }) => knownWords),
  ];
  const title = "from repetition to noise";
  show(lineChart(curves, { title, xLabel: "temperature" }), "lesson-14");
  say(`At temperature 1 the entropy is close to the loss, as it must be for a calibrated model. The
    corpus repeats what the language repeats; below temperature 0.5 the model repeats itself.`);

  console.log(`Exercises
1. At which temperature does the model repeat as much as the corpus? What does it write there?
2. Sample with top-p 0.8 at temperature 1.5. Why does top-k 5 tolerate high temperatures better?
3. Keep the tokens whose probability is at least a tenth of the largest one ("min-p") in
   distribution(). How many does it keep after the two contexts above?`);
  return {
    loss,
    kept,
    totalVariation,
    outsideTopK,
    isSameText,
    passed,
    results,
    corpusRepetition: reference.repeated,
  };
}

function argmax(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, x) => total + x, 0);
}
