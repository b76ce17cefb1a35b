// Lesson 14: Sampling: temperature, top-k, top-p
//
// A language model gives no text. It gives, for each token of the vocabulary, a logit, and softmax
// makes probabilities of them; what is written is drawn. How it is drawn decides as much over the
// result as the training does: always the likeliest token, and the text runs in circles; each
// token as likely as the model says, and sooner or later an odd one leads it astray.

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
import { chart, heatmap, show, visible } from "./picture.ts";
import { fit, lossOn, tinyGPT, tokensOf } from "./tiny.ts";

export interface Sampling {
  temperature?: number;
  topK?: number;
  topP?: number;
}

/** What is drawn from: softmax(logits / temperature), without all but the likeliest tokens. */
export function distribution(logits: ArrayLike<number>, options: Sampling = {}): number[] {
  const { temperature = 1, topK = Infinity, topP = 1 } = options;
  const greatest = Math.max(...Array.from(logits));
  // Differences of logits are divided: below 1 they grow, above 1 they shrink. At 0 only the
  // greatest is left.
  const weights = Array.from(logits, (x) =>
    temperature > 0 ? Math.exp((x - greatest) / temperature) : Number(x === greatest),
  );
  const total = sum(weights);
  const order = weights.map((_, i) => i).sort((i, j) => weights[j] - weights[i] || i - j);
  // top-k keeps as many tokens everywhere. top-p keeps as many as it takes to have the share topP:
  // one where the model is sure, dozens where it is not.
  let share = 0;
  const kept = order.slice(0, topK).filter((i) => {
    const isWanted = share < topP * total;
    share += weights[i];
    return isWanted;
  });
  const rest = sum(kept.map((i) => weights[i]));
  return weights.map((w, i) => (kept.includes(i) ? w / rest : 0));
}

/** -sum p log2 p: how many bits of choice there are. 0 for no choice, 1 for a fair coin. */
export function entropy(probabilities: readonly number[]): number {
  return -sum(probabilities.map((p) => (p > 0 ? p * Math.log2(p) : 0)));
}

/** The share of the pieces of n characters that stood in the text before. */
export function repetition(text: string, n = 4): number {
  const seen = new Set<string>();
  const all = text.length - n + 1;
  for (let i = 0; i < all; i++) seen.add(text.slice(i, i + n));
  return 1 - seen.size / all;
}

/** The logits of the token behind the last blockSize of these. */
function read(model: GPT, ids: readonly number[]): ArrayLike<number> {
  const idx = tensor([ids.slice(-model.config.blockSize)], { dtype: "i32" });
  const { vocabSize } = model.config;
  return scope(() =>
    noGrad(() => model.forward(idx).logits?.data().slice(-vocabSize)),
  ) as Float32Array;
}

/** Draws `count` tokens one after the other; also the mean entropy of what they were drawn from. */
function write(model: GPT, prompt: readonly number[], count: number, options: Sampling) {
  const ids = [...prompt];
  let bits = 0;
  for (let i = 0; i < count; i++) {
    const p = distribution(read(model, ids), options);
    bits += entropy(p) / count;
    ids.push(multinomial(tensor(p), 1).item());
  }
  return { ids: ids.slice(prompt.length), bits };
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  manualSeed(14);
  const model = tinyGPT(tokenizer.vocabSize);
  fit(model, train, { steps: 500, lr: 5e-3 });
  const loss = lossOn(model, val);
  console.log(`a tiny GPT, 500 steps on ${name}: validation loss ${loss.toFixed(2)} nats,`);
  console.log(`which is ${(loss / Math.LN2).toFixed(2)} bits for a character\n`);

  // One distribution, and what becomes of it.
  const prompt = tokenizer.encode("\nThe ");
  const logits = read(model, prompt);
  const cuts: Record<string, Sampling> = {
    "as it is": {},
    "temperature 0.5": { temperature: 0.5 },
    "temperature 2": { temperature: 2 },
    "top-k 5": { topK: 5 },
    "top-p 0.8": { topP: 0.8 },
  };
  const shown = Object.values(cuts).map((cut) => distribution(logits, cut));
  const order = [...shown[0].keys()].sort((i, j) => shown[0][j] - shown[0][i]).slice(0, 24);
  const rows = Object.entries(cuts).map(
    ([cut], i) => `${cut}, ${entropy(shown[i]).toFixed(2)} bits`,
  );
  const columns = order.map((id) => visible(tokenizer.decode([id])));
  const likeliest = shown.map((p) => order.map((id) => p[id]));
  show(heatmap(likeliest, { title: 'What follows "The "', rows, columns }), "lesson-14-cuts");

  // How many tokens each cut leaves, where the model is unsure and where it is not.
  const left = (context: string, cut: Sampling) =>
    distribution(read(model, tokenizer.encode(context)), cut).filter((p) => p > 0).length;
  const kept = ["\nThe ", "\nThe q"].map((context) => ({
    context: JSON.stringify(context),
    topK: left(context, { topK: 5 }),
    topP: left(context, { topP: 0.8 }),
  }));
  for (const { context, topK, topP } of kept)
    console.log(`behind ${context}: top-k 5 leaves ${topK} tokens, top-p 0.8 leaves ${topP}`);

  // The library draws from the same distribution: 200 first tokens against its probabilities.
  const counts = new Array<number>(tokenizer.vocabSize).fill(0);
  const cut = { temperature: 0.8, topK: 5 };
  for (let seed = 0; seed < 200; seed++) {
    for await (const id of generate(model, { prompt, maxNewTokens: 1, seed, ...cut })) counts[id]++;
  }
  const expected = distribution(logits, cut);
  const apart = sum(expected.map((p, i) => Math.abs(p - counts[i] / 200))) / 2;
  const strays = sum(counts.filter((_, i) => expected[i] === 0));
  console.log(`\n200 draws of generate(): ${percent(apart)} elsewhere than expected,`);
  console.log(`${strays} outside of the 5 likeliest`);

  // Whole texts. Repetition tells how little variety is left; words that the training text has, of
  // three letters or more, how much sense.
  const words = (text: string) => text.match(/[a-z]{3,}/gi) ?? [];
  const known = new Set(words(text));
  const temperatures = [0, 0.25, 0.5, 0.75, 1, 1.5, 2];
  const results = [
    ...temperatures.map((temperature) => ({ name: `temperature ${temperature}`, temperature })),
    { name: "top-k 5", topK: 5 },
    { name: "top-p 0.8", topP: 0.8 },
  ].map(({ name, ...setting }) => {
    const { ids, bits } = write(model, prompt, 300, setting);
    const sample = tokenizer.decode(ids);
    const real = words(sample).filter((word) => known.has(word)).length / words(sample).length;
    return { name, sample, bits, repeated: repetition(sample), real };
  });
  const own = tokenizer.decode(val.subarray(0, 300));
  const itself = { name: "the text itself", sample: own, bits: loss / Math.LN2, real: 1 };
  console.log("\n300 characters each   bits  repeated  known words");
  for (const row of [...results, { ...itself, repeated: repetition(own) }]) {
    const bits = row.bits.toFixed(2).padStart(5);
    const [repeated, real] = [percent(row.repeated).padStart(9), percent(row.real).padStart(12)];
    const start = JSON.stringify(row.sample.slice(0, 45));
    console.log(`  ${row.name.padEnd(18)}${bits}${repeated}${real}  ${start}`);
  }
  const curve = (name: string, y: (row: (typeof results)[number]) => number) => ({
    name,
    points: temperatures.map((t, i) => [t, y(results[i])] as const),
  });
  const curves = [
    curve("entropy / log2 V", ({ bits }) => bits / Math.log2(tokenizer.vocabSize)),
    curve("repeated 4-grams", ({ repeated }) => repeated),
    curve("known words", ({ real }) => real),
  ];
  show(chart(curves, { title: "from circles to noise", x: "temperature" }), "lesson-14");
  console.log(`At temperature 1 the model is about as unsure as its loss says: it is calibrated. The
text itself repeats what the language repeats; below 0.5 the model repeats itself.

Exercises
1. Which temperature repeats as much as the text itself? What does the model write there?
2. Give write() top-p 0.8 at temperature 1.5. Why does top-k 5 bear heat better than top-p?
3. Keep the tokens with at least a tenth of the likeliest one's probability ("min-p") in
   distribution(). How many does it keep behind the two contexts above?`);
  return { loss, kept, apart, strays, results, own: repetition(own) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, x) => total + x, 0);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(0)} %`;
}
