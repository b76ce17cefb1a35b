// Lesson 6: One head of self-attention
//
// In lesson 5 the past was averaged with weights that nobody chose. Now the tokens choose. Each one
// sends out a query (what am I looking for?), a key (what do I have?) and a value (what do I tell
// whoever is interested?). The score of a pair is query . key: where they agree, much is told.

import { crossEntropy, loadCorpus, manualSeed, nn, noGrad, randn, type Tensor } from "tinybard";
import { softmaxOf } from "./05-averages.ts";
import { addLoss } from "./losses.ts";
import { heatmap, show } from "./picture.ts";
import { batchOf, blockSize, budget, fit, lossOn, parameterCount, tokensOf } from "./tiny.ts";

/** softmax(q k^T / sqrt(hs), the future masked) v.  Vaswani et al. (2017) */
export class Head extends nn.Module {
  readonly query: nn.Linear;
  readonly key: nn.Linear;
  readonly value: nn.Linear;

  constructor(C: number, headSize: number) {
    super();
    this.query = new nn.Linear(C, headSize, { bias: false });
    this.key = new nn.Linear(C, headSize, { bias: false });
    this.value = new nn.Linear(C, headSize, { bias: false });
  }

  /** Who takes how much from whom: each row adds up to 1. */
  weights(x: Tensor): Tensor {
    const q = this.query.forward(x); // (B, T, hs)
    const k = this.key.forward(x); // (B, T, hs)
    const scores = q.matmul(k.transpose(-2, -1)).mul(k.shape[2] ** -0.5); // (B, T, T)
    return softmaxOf(scores);
  }

  forward(x: Tensor): Tensor {
    return this.weights(x).matmul(this.value.forward(x)); // (B, T, T) @ (B, T, hs) -> (B, T, hs)
  }
}

/** A part of a model: (B, T, C) in, (B, T, C) out. */
export type Part = nn.Module & { forward(x: Tensor): Tensor };

/** What a token is, plus where it stands; then `body`; then the logits of what comes next. */
export class LanguageModel extends nn.Module {
  readonly config: { readonly blockSize: number };
  readonly token_embedding_table: nn.Embedding;
  readonly position_embedding_table: nn.Embedding;
  readonly body: Part[];
  readonly lm_head: nn.Linear;

  constructor(vocabSize: number, C: number, blockSize: number, ...body: Part[]) {
    super();
    this.config = { blockSize };
    const init = (shape: number[]) => randn(shape).mul(0.3); // small: no head is sure of anything
    this.token_embedding_table = new nn.Embedding(vocabSize, C, { init });
    this.position_embedding_table = new nn.Embedding(blockSize, C, { init });
    this.body = body;
    this.lm_head = new nn.Linear(C, vocabSize);
  }

  /** x (B, T) of ids, T at most blockSize; gives (B, T, C), what the body reads. */
  embed(x: Tensor): Tensor {
    const places = this.position_embedding_table.weight.slice({ dim: 0, end: x.shape[1] });
    return this.token_embedding_table.forward(x).add(places);
  }

  forward(x: Tensor, y?: Tensor | null) {
    const hidden = this.body.reduce((h, part) => part.forward(h), this.embed(x)); // (B, T, C)
    const logits = this.lm_head.forward(hidden); // (B, T, V)
    return { logits, loss: y ? crossEntropy(logits, y) : null };
  }
}

export async function lesson() {
  manualSeed(1337);

  // Why divide by sqrt(hs)? A score is a sum of hs products of numbers with variance 1, and has
  // variance hs. Softmax of such scores is nearly all or nothing, and learns no more: its slope is
  // p (1 - p). Divided, the scores have variance 1 again.
  const [q, k] = [randn([64, 32]), randn([64, 32])];
  const raw = q.matmul(k.transpose(0, 1)); // (64, 64)
  const scaled = raw.mul(32 ** -0.5);
  const variances = [raw, scaled].map((scores) => scores.var().item());
  const largest = [raw, scaled].map((s) => s.softmax({ dim: -1 }).max({ dim: -1 }).mean().item());
  console.log(
    `variance of q . k: ${variances[0].toFixed(2)}, over sqrt(32): ${variances[1].toFixed(2)}`,
  );
  console.log(
    `the greatest of 64 weights: ${largest[0].toFixed(2)}, and ${largest[1].toFixed(2)}\n`,
  );

  // A batch is many texts side by side; none may hear of another. Here one of four is changed.
  const head = new Head(32, 32);
  const x = randn([4, 8, 32]);
  const others = x.slice({ dim: 0, end: 3 });
  const alone = head.forward(others).sub(head.forward(x).slice({ dim: 0, end: 3 }));
  const leak = alone.abs().max().item();
  console.log(`three rows of a batch, with and without the fourth: ${leak} apart`);

  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const sa = new Head(32, 32);
  const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, sa);
  const before = lossOn(model, val, 256);
  fit(model, train, { ...budget, lr: 0.02 });
  const loss = lossOn(model, val, 256);
  console.log(
    `the loss of one head: ${before.toFixed(3)} before, ${loss.toFixed(3)} after training`,
  );

  // What do vowels and consonants attend to? The mean weight from a kind to a kind, as a multiple
  // of what an average of the past would give.
  const kinds = ["vowel", "consonant", "blank", "other"];
  const kindOf = (character: string) => {
    if (/[aeiou]/i.test(character)) return 0;
    return /[a-z]/i.test(character) ? 1 : /\s/.test(character) ? 2 : 3;
  };
  const [ids] = batchOf(train, 64, blockSize);
  const weights = noGrad(() => sa.weights(model.embed(ids)).data());
  const kind = [...tokenizer.decode(ids.data())].map(kindOf);
  const map = kinds.map((_, from) =>
    kinds.map((_, to) => {
      let [given, even] = [0, 0];
      for (const [i, w] of weights.entries()) {
        const [row, j] = [Math.floor(i / blockSize), i % blockSize];
        const [t, start] = [row % blockSize, row - (row % blockSize)];
        if (j > t || kind[row] !== from || kind[start + j] !== to) continue;
        given += w;
        even += 1 / (t + 1);
      }
      return given / even;
    }),
  );
  const title = "attention from a row's kind to a column's, over that of an average";
  const marks = map.map((row) => row.map((value) => value.toFixed(1)));
  show(heatmap(map, { title, rows: kinds, columns: kinds, marks }), "lesson-06");
  addLoss(name, "one head", { lesson: 6, loss, parameters: parameterCount(model) });

  console.log(`
Exercises
1. Leave the mask out. Why does the loss fall so far, and what can such a model not be used for?
2. Leave the position table out, and shuffle the past of a token. What changes in its output?
3. Multiply by sqrt(hs) instead of dividing, and train.`);
  return { variances, largest, leak, before, loss, map };
}
