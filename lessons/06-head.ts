// Lesson 6: One head of self-attention
//
// In lesson 5 every past token had the same weight. Now the tokens decide. Each one computes a
// query (what am I looking for?), a key (what do I contain?) and a value (what do I contribute?).
// The score of a pair is query . key: the better they match, the larger the weight of that value.
//
// A weighted average is the same in any order of its terms, so attention alone does not know where
// a token is. "The previous token", the most useful one of all, could not be found. So a token
// enters the model as the sum of two vectors, each a row of a table: one for what the token is, and
// one for its position in the block, 0 to T - 1. Both tables are learned. Lesson 12 compares other
// ways.
//
// Time: 2 seconds.

import { crossEntropy, loadCorpus, manualSeed, nn, noGrad, randn, type Tensor } from "tinybard";
import { causalSoftmax } from "./05-averages.ts";
import { show } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { addLoss } from "./loss-table.ts";
import { say } from "./print.ts";
import {
  blockSize,
  budget,
  countParameters,
  estimateLoss,
  fit,
  getBatch,
  tokenize,
} from "./training.ts";

/** Causal self-attention: softmax(mask(q k^T / sqrt(headSize))) v. Vaswani et al. (2017). */
export class Head extends nn.Module {
  readonly query: nn.Linear;
  readonly key: nn.Linear;
  readonly value: nn.Linear;

  constructor(nEmbd: number, headSize: number) {
    super();
    this.query = new nn.Linear(nEmbd, headSize, { bias: false });
    this.key = new nn.Linear(nEmbd, headSize, { bias: false });
    this.value = new nn.Linear(nEmbd, headSize, { bias: false });
  }

  /** Returns the attention weights (B, T, T): row t holds the weights of the tokens up to t. */
  weights(x: Tensor): Tensor {
    const q = this.query.forward(x); // (B, T, hs)
    const k = this.key.forward(x); // (B, T, hs)
    const headSize = k.shape[2];
    const scores = q.matmul(k.transpose(-2, -1)).mul(headSize ** -0.5); // (B, T, T)
    return causalSoftmax(scores);
  }

  forward(x: Tensor): Tensor {
    const weights = this.weights(x); // (B, T, T)
    const v = this.value.forward(x); // (B, T, hs)
    return weights.matmul(v); // (B, T, T) @ (B, T, hs) -> (B, T, hs)
  }
}

/** A module that maps (B, T, C) to (B, T, C). */
export type Layer = nn.Module & { forward(x: Tensor): Tensor };

/** Token and position embeddings, then the layers, then a linear head that computes logits. */
export class LanguageModel extends nn.Module {
  readonly config: { readonly blockSize: number };
  readonly token_embedding_table: nn.Embedding;
  readonly position_embedding_table: nn.Embedding;
  readonly layers: Layer[];
  readonly lm_head: nn.Linear;

  constructor(vocabSize: number, nEmbd: number, blockSize: number, ...layers: Layer[]) {
    super();
    this.config = { blockSize };
    const init = (shape: number[]) => randn(shape).mul(0.3); // small, so that no score is large
    this.token_embedding_table = new nn.Embedding(vocabSize, nEmbd, { init });
    this.position_embedding_table = new nn.Embedding(blockSize, nEmbd, { init });
    this.layers = layers;
    this.lm_head = new nn.Linear(nEmbd, vocabSize);
  }

  /** Returns the input of the first layer, (B, T, C), for ids x (B, T) with T <= blockSize. */
  embed(x: Tensor): Tensor {
    const T = x.shape[1];
    const positions = this.position_embedding_table.weight.slice({ dim: 0, end: T }); // (T, C)
    return this.token_embedding_table.forward(x).add(positions); // (B, T, C)
  }

  forward(x: Tensor, y?: Tensor | null) {
    let hidden = this.embed(x); // (B, T, C)
    for (const layer of this.layers) hidden = layer.forward(hidden); // (B, T, C)
    const logits = this.lm_head.forward(hidden); // (B, T, V)
    return { logits, loss: y ? crossEntropy(logits, y) : null };
  }
}

export async function lesson() {
  manualSeed(1337);

  say(`Why divide by sqrt(headSize)? A score is a sum of headSize products of numbers with variance
    1, so its variance is headSize. The softmax of such scores is nearly one-hot and stops learning,
    because its derivative is p (1 - p). Dividing brings the variance back to 1.`);
  const q = randn([64, 32]);
  const k = randn([64, 32]);
  const raw = q.matmul(k.transpose(0, 1)); // (64, 64)
  const scaled = raw.mul(32 ** -0.5); // (64, 64)
  const variances = [raw, scaled].map((scores) => scores.var().item());
  const largestWeights = [raw, scaled].map((scores) => {
    const weights = scores.softmax({ dim: -1 }); // (64, 64)
    return weights.max({ dim: -1 }).mean().item();
  });
  console.log("                              q . k   q . k / sqrt(32)");
  printPair("variance of the scores", variances);
  printPair("largest of 64 weights, mean", largestWeights);

  say(`The rows of a batch are independent texts, and nothing may pass between them. Compare three
    rows with and without the fourth one.`);
  const head = new Head(32, 32);
  const x = randn([4, 8, 32]);
  const firstThree = { dim: 0, end: 3 };
  const alone = head.forward(x.slice(firstThree)); // (3, 8, 32)
  const together = head.forward(x).slice(firstThree); // (3, 8, 32)
  const leak = alone.sub(together).abs().max().item();
  console.log(`three rows of a batch with and without the fourth: difference ${leak}`);

  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const sa = new Head(32, 32);
  const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, sa);
  const initialLoss = estimateLoss(model, val, 256);
  fit(model, train, { ...budget, lr: 0.02 });
  const loss = estimateLoss(model, val, 256);
  console.log(
    `loss of one head: ${initialLoss.toFixed(3)} before and ${loss.toFixed(3)} after training`,
  );

  say(`What do vowels and consonants attend to? The mean attention weight from one kind of character
    to another, relative to the uniform average of lesson 5.`);
  const [ids] = getBatch(train, 64, blockSize); // (64, T)
  const attention = noGrad(() => sa.weights(model.embed(ids))); // (64, T, T)
  const weights = attention.toArray() as number[][][];
  const kinds = [...tokenizer.decode(ids.data())].map(getKind); // 64 * T
  const ratios = KINDS.map((from) =>
    KINDS.map((to) => relativeAttention(weights, kinds, from, to)),
  );
  const figure = heatmap(ratios, {
    title: "attention from row to column, relative to a uniform average",
    rowLabels: KINDS,
    columnLabels: KINDS,
    cellText: ratios.map((row) => row.map((ratio) => ratio.toFixed(1))),
  });
  show(figure, "lesson-06");
  addLoss(name, "one head", { lesson: 6, loss, parameters: countParameters(model) });

  console.log(`
Exercises
1. Remove the mask. Why does the loss fall so far, and why can such a model not generate text?
2. Remove the position embeddings and shuffle the past of a token. What changes in its output?
3. Multiply by sqrt(headSize) instead of dividing, and train.`);
  return { variances, largestWeights, leak, initialLoss, loss, ratios };
}

const KINDS = ["vowel", "consonant", "blank", "other"] as const;
type Kind = (typeof KINDS)[number];

function getKind(character: string): Kind {
  if (/[aeiou]/i.test(character)) return "vowel";
  if (/[a-z]/i.test(character)) return "consonant";
  return /\s/.test(character) ? "blank" : "other";
}

/**
 * Returns the total attention from tokens of kind `from` to tokens of kind `to`, divided by the
 * total if each token attended uniformly to its past. `weights` is (B, T, T), `kinds` (B * T).
 */
function relativeAttention(
  weights: number[][][],
  kinds: readonly Kind[],
  from: Kind,
  to: Kind,
): number {
  let attention = 0;
  let uniform = 0;
  for (const [b, sequence] of weights.entries()) {
    const kindsInRow = kinds.slice(b * blockSize, (b + 1) * blockSize);
    for (const [t, row] of sequence.entries()) {
      if (kindsInRow[t] !== from) continue;
      for (let j = 0; j <= t; j++) {
        if (kindsInRow[j] !== to) continue;
        attention += row[j];
        uniform += 1 / (t + 1);
      }
    }
  }
  return attention / uniform;
}

function printPair(label: string, [first, second]: number[]): void {
  console.log(
    `${label.padEnd(28)}${first.toFixed(2).padStart(7)}${second.toFixed(2).padStart(19)}`,
  );
}
