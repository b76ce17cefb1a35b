// Lesson 11: Encoder, decoder, cross-attention
//
// A GPT may not look ahead, for it guesses what comes. Who only reads may look everywhere: take the
// mask away, and a transformer is an encoder. The first part classifies sentences in which the same
// words mean the opposite in another order. In the second an encoder reads a word, and a decoder,
// which is a GPT that also looks at what the encoder made, writes it backwards. Where it looks is
// the picture to see.

import {
  crossEntropy,
  EncoderDecoder,
  type EncoderDecoderOptions,
  manualSeed,
  nn,
  noGrad,
  optim,
  rand,
  scope,
  type Tensor,
  tensor,
} from "tinybard";
import { heatmap, show } from "./picture.ts";

const good = ["lovely", "clever", "bright", "funny", "warm", "fresh"];
const bad = ["dull", "silly", "dark", "slow", "cold", "stale"];
const nouns = ["film", "music", "cast", "story", "ending"];
const words = ["the", "was", "but", ...nouns, ...good, ...bad];

/** Nine words, and whether their writer is content: 1 or 0. */
export interface Review {
  text: string;
  label: number;
}

/** All reviews as "the film was dull but the music was lovely". What counts comes after "but". */
export function reviews(): Review[] {
  const pairs = good.flatMap((g) => bad.flatMap((b) => [[g, b, 1] as const, [b, g, 0] as const]));
  const subjects = nouns.flatMap((a) => nouns.filter((b) => b !== a).map((b) => [a, b]));
  return subjects.flatMap(([a, b]) =>
    pairs.map(([first, second, isFirstGood]) => ({
      text: `the ${a} was ${first} but the ${b} was ${second}`,
      label: 1 - isFirstGood,
    })),
  );
}

/** Word vectors, blocks that look at all of them or none, and the mean of what comes out. */
class Classifier extends nn.Module {
  readonly wte = new nn.Embedding(words.length, 32);
  readonly places = nn.sinusoidalTable(9, 32);
  readonly h: nn.EncoderBlock[];
  readonly mlp = new nn.MLP({ nEmbd: 32 });
  readonly head = new nn.Linear(32, 2);

  constructor(nLayer: number) {
    super();
    this.h = Array.from({ length: nLayer }, () => new nn.EncoderBlock({ nEmbd: 32, nHead: 4 }));
  }

  forward(idx: Tensor): Tensor {
    const x = this.wte.forward(idx); // (B, T, C)
    const y = this.h.length ? this.h.reduce((y, each) => each.forward(y), x.add(this.places)) : x;
    return this.head.forward(this.mlp.forward(y.mean({ dim: 1 }))); // (B, 2)
  }
}

/** `count` elements drawn with the generator. */
function draw<T>(from: readonly T[], count: number): T[] {
  return [...rand([count]).data()].map((u) => from[Math.floor(u * from.length)]);
}

/** Steps of AdamW; the rate falls from lr to 0 in a line. */
function descend(module: nn.Module, lr: number, steps: number, loss: () => Tensor): void {
  const optimizer = new optim.AdamW(module.parameters(), { lr });
  for (let step = 0; step < steps; step++) {
    optimizer.lr = lr * (1 - step / steps);
    scope(() => {
      loss().backward();
      optimizer.step();
    });
    optimizer.zeroGrad();
  }
}

const integers = (rows: number[][] | number[]) => tensor(rows, { dtype: "i32" });
const idsOf = ({ text }: Review) => text.split(" ").map((word) => words.indexOf(word));

/** The share of reviews that a classifier gets right once it has been trained on others. */
function accuracy(nLayer: number, train: Review[], test: Review[]): number {
  manualSeed(11);
  const model = new Classifier(nLayer);
  descend(model, 3e-3, 150, () => {
    const batch = draw(train, 32);
    const logits = model.forward(integers(batch.map(idsOf)));
    return crossEntropy(logits, integers(batch.map(({ label }) => label)));
  });
  const logits = scope(() => noGrad(() => model.forward(integers(test.map(idsOf))).toArray()));
  const isRight = ([no, yes]: number[], i: number) => Number(yes > no) === test[i].label;
  return (logits as number[][]).filter(isRight).length / test.length;
}

const letters = [..."abcdefgh"];
const [END, START, MOST] = [letters.length, letters.length + 1, 8];

/**
 * A word as the encoder reads it, as long for all: ends, and then its letters. The ends are tokens
 * like others, so that nothing has to be masked.
 */
export function sourceOf(word: string): number[] {
  const ids = [...word].map((letter) => letters.indexOf(letter));
  return [...new Array<number>(MOST + 1 - ids.length).fill(END), ...ids];
}

/** What the decoder is given, and what it has to say: the word backwards and an end. */
export function targetOf(word: string): { input: number[]; output: number[] } {
  const backwards = sourceOf(word).reverse();
  // behind the first end nothing is asked for
  const output = backwards.map((id, i) => (i > word.length ? -100 : id));
  return { input: [START, ...backwards.slice(0, -1)], output };
}

/** Words of 3 to 8 letters drawn with the generator. */
function drawWords(count: number): string[] {
  const lengths = draw([3, 4, 5, 6, 7, 8], count);
  const all = draw(letters, count * MOST);
  return lengths.map((length, i) => all.slice(i * MOST, i * MOST + length).join(""));
}

/** The letters that a model writes for each word. */
function translations(model: EncoderDecoder, list: readonly string[]): string[] {
  const source = integers(list.map(sourceOf));
  const rows = model.translate(source, { start: START, stop: END, maxNewTokens: MOST + 1 });
  return rows.map((row) => row.map((id) => letters[id] ?? "?").join(""));
}

/** softmax(q k^T / sqrt(D)) of a layer's heads, for x that looks at context: (H, T, S). */
export function attentionMap(layer: nn.MultiHeadAttention, x: Tensor, context: Tensor): Tensor {
  const [[, , C], { nHead }] = [x.shape, layer];
  const heads = (y: Tensor) => y.reshape([-1, nHead, C / nHead]).permute([1, 0, 2]); // (H, T, D)
  const q = heads((layer.q_attn as nn.Linear).forward(x));
  const k = heads(layer.c_attn.forward(context).slice({ dim: 2, end: C }));
  return q
    .matmul(k.transpose(1, 2))
    .mul((C / nHead) ** -0.5)
    .softmax({ dim: -1 });
}

/** The map of the last block of a decoder, the mean of its heads, while it writes a word. */
function mapOf(model: EncoderDecoder, word: string): number[][] {
  const { cross } = model.decoder.h[model.decoder.h.length - 1];
  let map: Tensor | null = null;
  const forward = cross.forward.bind(cross);
  cross.forward = (x, context) => {
    map = attentionMap(cross, x, context as Tensor).mean({ dim: 0 });
    return forward(x, context);
  };
  noGrad(() => model.forward(integers([sourceOf(word)]), integers([targetOf(word).input])));
  cross.forward = forward;
  return (map as unknown as Tensor).toArray() as number[][];
}

export async function lesson() {
  // Adjectives that never met in training; so that nothing can be known by heart.
  const isUnseen = ({ text }: Review) => {
    const [i, j] = [good, bad].map((list) => list.findIndex((word) => text.includes(word)));
    return (i + j) % 4 === 0;
  };
  const all = reviews();
  const [train, test] = [all.filter((review) => !isUnseen(review)), all.filter(isUnseen)];
  console.log(`${all.length} reviews, ${test.length} of them to test with:`);
  for (const { text, label } of test.slice(0, 4)) console.log(`  ${label ? "+" : "-"} ${text}`);
  const [bag, encoder] = [0, 1].map((nLayer) => accuracy(nLayer, train, test));
  console.log(`the mean of word vectors, order unknown   ${percent(bag)} right`);
  console.log(`an encoder block before the mean          ${percent(encoder)} right`);

  manualSeed(11);
  const unseen = [...new Set(drawWords(200))];
  const isTest = new Set(unseen);
  const sizes = { blockSize: MOST + 1, nEncoderLayer: 1, nDecoderLayer: 1, nHead: 2, nEmbd: 48 };
  const vocabSize = letters.length + 2;
  const options: EncoderDecoderOptions = {
    ...sizes,
    ...{ sourceVocabSize: vocabSize, targetVocabSize: vocabSize, positions: "learned" },
  };
  const model = new EncoderDecoder(options);
  // Matrices begin at 0.02, for hundreds of channels; with 48 the scores would be all but 0.
  noGrad(() => {
    for (const w of model.parameters()) if (w.shape.length === 2) w.assign(w.mul(7));
  });
  descend(model, 5e-3, 250, () => {
    const batch = drawWords(32).filter((word) => !isTest.has(word));
    const targets = batch.map(targetOf);
    const [input, output] = [targets.map((x) => x.input), targets.map((x) => x.output)];
    const source = integers(batch.map(sourceOf));
    return model.forward(source, integers(input), integers(output)).loss as Tensor;
  });
  const written = translations(model, unseen);
  console.log("\nwords backwards, after 250 steps:");
  for (const [i, word] of unseen.slice(0, 4).entries())
    console.log(`  ${word.padEnd(9)} -> ${written[i]}`);
  const isExact = (each: string, i: number) => each === [...unseen[i]].reverse().join("");
  const exact = written.filter(isExact).length / unseen.length;
  console.log(`of ${unseen.length} that it has not seen, ${percent(exact)} letter for letter`);

  // A row for each letter that is asked for, a column for each place that it can look at.
  const map = mapOf(model, "abcdefgh");
  const rows = ["h", "g", "f", "e", "d", "c", "b", "a", "."];
  const labels = { rows, columns: [...rows].reverse(), low: 0, high: 1 };
  show(heatmap(map, { ...labels, title: "cross-attention: written, read" }), "lesson-11");
  console.log(`The map is the translation: it runs from the last letter to the first. That is how
attention was first met, as the alignment of two languages. A GPT has the same in one text: a
question is read where an encoder would have read it, and the mask is all that is added.

Exercises
1. Give "although" a part: what counts then comes before it. How many more steps does it take to
   learn both, and why is that harder than "but" alone?
2. Take out the line that makes the first weights larger. What does the loss do, and for how long?
3. Put the ends behind the letters in sourceOf(). Now a letter's place does not tell how far it is
   from the end. Does the decoder still learn it, and what must the encoder find out?
4. Draw the map of each head by itself. Do they share the work?`);
  return { bag, encoder, exact, map };
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
