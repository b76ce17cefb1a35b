// Lesson 11: Encoder, decoder, cross-attention
//
// A GPT must not look ahead, because it predicts what comes next. A model that only reads may look
// everywhere: without the causal mask, a transformer is an encoder. The first part of this lesson
// classifies sentences in which the same words mean the opposite in another order. In the second
// part an encoder reads a word and a decoder writes it backward. A decoder is a GPT that also
// attends to the encoder's output, and a picture shows where it looks.
//
// Time: 2 seconds.

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
import { show } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { percent, say } from "./print.ts";
import { createReviews, isInTest, type Review, vocabulary } from "./reviews.ts";

/** Word embeddings, `nLayer` encoder blocks, and a classifier on the mean over all positions. */
class Classifier extends nn.Module {
  readonly usesPositions: boolean;
  readonly wte = new nn.Embedding(vocabulary.length, 32);
  readonly positions = nn.sinusoidalTable(9, 32); // (T, C)
  readonly h: nn.EncoderBlock[];
  readonly mlp = new nn.MLP({ nEmbd: 32 });
  readonly head = new nn.Linear(32, 2);

  constructor(nLayer: number, usesPositions: boolean) {
    super();
    this.usesPositions = usesPositions;
    this.h = Array.from({ length: nLayer }, () => new nn.EncoderBlock({ nEmbd: 32, nHead: 4 }));
  }

  forward(idx: Tensor): Tensor {
    let x = this.wte.forward(idx); // (B, T, C)
    if (this.usesPositions) x = x.add(this.positions); // (B, T, C)
    for (const block of this.h) x = block.forward(x); // (B, T, C)
    return this.head.forward(this.mlp.forward(x.mean({ dim: 1 }))); // (B, 2)
  }
}

/** Returns `count` random elements of a list, with replacement. */
function sample<T>(list: readonly T[], count: number): T[] {
  return [...rand([count]).data()].map((u) => list[Math.floor(u * list.length)]);
}

/** Trains with AdamW; the learning rate decays linearly from `lr` to 0. */
function trainModule(module: nn.Module, lr: number, steps: number, loss: () => Tensor): void {
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

function toTensor(ids: number[][] | number[]): Tensor {
  return tensor(ids, { dtype: "i32" });
}

function encodeReview({ text }: Review): number[] {
  return text.split(" ").map((word) => vocabulary.indexOf(word));
}

/** Trains a classifier with `nLayer` encoder blocks and returns its accuracy on the test set. */
export function testAccuracy(
  nLayer: number,
  train: Review[],
  test: Review[],
  { steps = 150, usesPositions = nLayer > 0 } = {},
): number {
  manualSeed(11);
  const model = new Classifier(nLayer, usesPositions);
  trainModule(model, 3e-3, steps, () => {
    const batch = sample(train, 32);
    const logits = model.forward(toTensor(batch.map(encodeReview))); // (B, 2)
    return crossEntropy(logits, toTensor(batch.map(({ label }) => label)));
  });
  const idx = toTensor(test.map(encodeReview)); // (B, T)
  const logits = scope(() => noGrad(() => model.forward(idx).toArray())) as number[][]; // (B, 2)
  const isCorrect = ([no, yes]: number[], i: number) => Number(yes > no) === test[i].label;
  return logits.filter(isCorrect).length / test.length;
}

const letters = [..."abcdefgh"];
const END = letters.length;
const START = letters.length + 1;
const MAX_LENGTH = 8;

/** Returns the encoder's input: the letters, left-padded with END tokens to a fixed length. */
export function toSource(word: string): number[] {
  const ids = [...word].map((letter) => letters.indexOf(letter));
  const padding = new Array<number>(MAX_LENGTH + 1 - ids.length).fill(END);
  return [...padding, ...ids]; // END is an ordinary token, so no padding mask is needed
}

/** Returns the decoder's input and targets: the word backward, then END; -100 is ignored. */
export function toTarget(word: string): { input: number[]; target: number[] } {
  const reversed = toSource(word).reverse();
  const target = reversed.map((id, i) => (i > word.length ? -100 : id));
  return { input: [START, ...reversed.slice(0, -1)], target };
}

/** Returns random words of 3 to 8 letters. */
function sampleWords(count: number): string[] {
  const lengths = sample([3, 4, 5, 6, 7, 8], count);
  const text = sample(letters, count * MAX_LENGTH).join("");
  return lengths.map((length, i) => text.slice(i * MAX_LENGTH, i * MAX_LENGTH + length));
}

/** Returns what the model writes for each word. */
function translate(model: EncoderDecoder, words: readonly string[]): string[] {
  const options = { start: START, stop: END, maxNewTokens: MAX_LENGTH + 1 };
  const rows = model.translate(toTensor(words.map(toSource)), options);
  return rows.map((row) => row.map((id) => letters[id] ?? "?").join(""));
}

/** Returns softmax(q k^T / sqrt(hs)), (nh, T, S), for x (1, T, C) and context (1, S, C). */
export function attentionMap(layer: nn.MultiHeadAttention, x: Tensor, context: Tensor): Tensor {
  const C = x.shape[2];
  const headSize = C / layer.nHead;
  const splitHeads = (y: Tensor) => y.reshape([-1, layer.nHead, headSize]).permute([1, 0, 2]);
  const q = splitHeads((layer.q_attn as nn.Linear).forward(x)); // (nh, T, hs)
  const keys = layer.c_attn.forward(context).slice({ dim: 2, end: C }); // (1, S, C)
  const k = splitHeads(keys); // (nh, S, hs)
  const scores = q.matmul(k.transpose(1, 2)).mul(headSize ** -0.5); // (nh, T, S)
  return scores.softmax({ dim: -1 }); // (nh, T, S)
}

/** Returns the last cross-attention's weights, averaged over heads (T, S), as it writes a word. */
function crossAttentionMap(model: EncoderDecoder, word: string): number[][] {
  const { cross } = model.decoder.h[model.decoder.h.length - 1];
  const forward = cross.forward.bind(cross);
  let weights: Tensor | null = null;
  cross.forward = (x, context) => {
    weights = attentionMap(cross, x, context as Tensor).mean({ dim: 0 }); // (T, S)
    return forward(x, context);
  };
  noGrad(() => model.forward(toTensor([toSource(word)]), toTensor([toTarget(word).input])));
  cross.forward = forward;
  return (weights as unknown as Tensor).toArray() as number[][];
}

export async function lesson() {
  say(`Reviews like "the film was dull but the music was lovely": the end decides. The two
    adjectives of a test review do not occur together in training, so nothing can be memorized.`);
  const all = createReviews();
  const train = all.filter((review) => !isInTest(review));
  const test = all.filter(isInTest);
  console.log(`${all.length} reviews, ${test.length} of them in the test set:`);
  for (const { text, label } of test.slice(0, 4)) console.log(`  ${label ? "+" : "-"} ${text}`);
  const bagOfWords = testAccuracy(0, train, test);
  const encoder = testAccuracy(1, train, test);
  console.log("accuracy on the test set");
  console.log(`  mean of word embeddings (a bag of words)  ${percent(bagOfWords)}`);
  console.log(`  one encoder block before the mean         ${percent(encoder)}`);

  manualSeed(11);
  const testWords = [...new Set(sampleWords(200))];
  const testSet = new Set(testWords);
  const options: EncoderDecoderOptions = {
    sourceVocabSize: letters.length + 2,
    targetVocabSize: letters.length + 2,
    blockSize: MAX_LENGTH + 1,
    nEncoderLayer: 1,
    nDecoderLayer: 1,
    nHead: 2,
    nEmbd: 48,
    positions: "learned",
  };
  const model = new EncoderDecoder(options);
  // The initial standard deviation of 0.02 suits hundreds of channels. With 48, all attention
  // scores would be close to 0.
  noGrad(() => {
    for (const parameter of model.parameters()) {
      if (parameter.shape.length === 2) parameter.assign(parameter.mul(7));
    }
  });
  trainModule(model, 5e-3, 250, () => {
    const batch = sampleWords(32).filter((word) => !testSet.has(word));
    const source = toTensor(batch.map(toSource)); // (B, S)
    const input = toTensor(batch.map((word) => toTarget(word).input)); // (B, T)
    const target = toTensor(batch.map((word) => toTarget(word).target)); // (B, T)
    return model.forward(source, input, target).loss as Tensor;
  });
  const outputs = translate(model, testWords);
  console.log("\nwords written backward, after 250 steps:");
  for (const [i, word] of testWords.slice(0, 4).entries())
    console.log(`  ${word.padEnd(9)} -> ${outputs[i]}`);
  const isExact = (output: string, i: number) => output === [...testWords[i]].reverse().join("");
  const exactMatch = outputs.filter(isExact).length / testWords.length;
  console.log(`${percent(exactMatch)} of ${testWords.length} unseen words are fully correct`);

  say(`Where does the decoder look? One row for each letter that it writes, one column for each
    position that it can read.`);
  const map = crossAttentionMap(model, "abcdefgh");
  const rowLabels = ["h", "g", "f", "e", "d", "c", "b", "a", "."];
  const columnLabels = [...rowLabels].reverse();
  const title = "cross-attention from written to read letters";
  show(heatmap(map, { title, rowLabels, columnLabels, low: 0, high: 1 }), "lesson-11");
  say(`The weights show the alignment: the decoder reads from the last letter to the first.
    Attention was invented to align two languages in this way. A GPT does both jobs on one text: a
    prompt takes the place of the encoder's input, and only the causal mask is added.`);

  console.log(`Exercises
1. Add reviews with "although", where the beginning decides: createReviews("although"). How many
   more steps does it take to learn both, and why is that harder than "but" alone?
2. Remove the positions from the classifier. Is it still better than a bag of words?`);
  return { bagOfWords, encoder, exactMatch, map };
}
