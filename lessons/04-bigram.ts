// Lesson 4: Characters, and a model that knows the last one
//
// A language model gives each character that may come next a probability. The least model looks at
// one character, the last, in a table with a row for each. The lesson makes numbers of text,
// batches of numbers, a loss of batches, and trains the table. To fill such a table one need only
// count; if training gets as far as counting does, training works. What the lesson makes, later
// ones use too: tiny.ts, beside this file, holds it as functions.

import {
  crossEntropy,
  loadCorpus,
  manualSeed,
  nn,
  optim,
  softmax,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import { addLoss } from "./losses.ts";
import { chart, heatmap, show, visible } from "./picture.ts";
import {
  batchOf,
  blockSize,
  budget,
  fit,
  lossOn,
  parameterCount,
  pieces,
  tokensOf,
  write,
} from "./tiny.ts";

export class BigramLanguageModel extends nn.Module {
  readonly config = { blockSize };
  /** Row i: how likely each character is behind character i, as logits. */
  readonly token_embedding_table: nn.Embedding;

  constructor(vocabSize: number, options: { init?: (shape: number[]) => Tensor } = {}) {
    super();
    this.token_embedding_table = new nn.Embedding(vocabSize, vocabSize, options);
  }

  forward(x: Tensor, y?: Tensor | null) {
    const logits = this.token_embedding_table.forward(x); // (B, T) -> (B, T, V)
    return { logits, loss: y ? crossEntropy(logits, y) : null };
  }
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokensOf(text);
  const V = tokenizer.vocabSize;
  const shown = tokenizer.characters.map(visible).join("");
  console.log(`${name}: ${train.length + val.length} characters, ${V} different:`);
  console.log(shown);

  // Characters to ids and back: an id is a place in that list.
  const ids = tokenizer.encode("hii there");
  console.log(`"hii there" is ${ids.join(" ")}, and back it is "${tokenizer.decode(ids)}"\n`);

  // A piece of T characters holds T examples: each of its characters has one that follows.
  const [x, y] = pieces(train, [0], 8);
  const [from, to] = [Array.from(x.data()), Array.from(y.data())];
  for (const t of [0, 1, 2, 7]) {
    const context = [...tokenizer.decode(from.slice(0, t + 1))].map(visible).join("");
    console.log(`behind ${context} comes ${visible(tokenizer.decode([to[t]]))}`);
  }
  const [batch] = batchOf(train, budget.batchSize, blockSize);
  console.log(`a batch has shape (${batch.shape.join(", ")}): B pieces of T characters\n`);

  // The loss is the mean of -ln(probability of what came). A table of zeros finds all V characters
  // equally likely, and its loss is ln V. Random logits are worse: sure of themselves, and wrong.
  // Logits of variance 1 cost half a nat more: the mean of ln(sum of exp) rises by half of it.
  const drawn = lossOn(new BigramLanguageModel(V), val, 256);
  const model = new BigramLanguageModel(V, { init: zeros });
  const start = lossOn(model, val, 256);
  console.log(
    `ln ${V} is ${Math.log(V).toFixed(4)}; the loss of a table of zeros ${start.toFixed(4)}`,
  );
  console.log(`of a table of normal random numbers ${drawn.toFixed(4)}: about half a nat more\n`);
  console.log(`untrained, it writes ${JSON.stringify(write(model, tokenizer, 40))}`);

  // A step of training: the loss of a batch, its gradients, and a little downhill.
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.1 });
  const step = () => {
    const { loss } = model.forward(...batchOf(train, budget.batchSize, blockSize));
    loss?.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss?.item().toFixed(3);
  };
  console.log(
    `three steps, and the loss of each one's batch: ${[step(), step(), step()].join(", ")}`,
  );

  // And so on. fit(), in tiny.ts, is these lines in a loop, with a rate that falls to 0 in a line:
  // large steps to get there, small ones to arrive.
  const curve = fit(model, train, { ...budget, lr: 0.1 });
  const trained = lossOn(model, val, 256);

  // The same table by counting: how often did each character come behind each? One is added to each
  // count, since what never came in the training text is rare and not impossible.
  const counts = Array.from({ length: V }, () => new Array<number>(V).fill(1));
  for (const [i, id] of train.entries()) if (i > 0) counts[train[i - 1]][id]++;
  const table = tensor(counts); // (V, V)
  const logits = table.div(table.sum({ dim: 1, keepdim: true })).log();
  const counting = new BigramLanguageModel(V, { init: () => logits });
  const counted = lossOn(counting, val, 256);
  console.log(`trained ${trained.toFixed(4)}, counted ${counted.toFixed(4)}`);
  console.log(`trained, it writes   ${JSON.stringify(write(model, tokenizer, 40))}`);
  const flat = [0, budget.steps].map((step) => [step, counted] as const);
  const curves = [
    { name: "training", points: curve },
    { name: "the counted table", points: flat },
  ];
  show(chart(curves, { title: "loss", x: "step" }), "lesson-04-loss");

  // What it has learned can be looked at: rows are the last character, columns the next.
  const letters = [..." etaoinshrdlu,.\n"].filter((c) => tokenizer.characters.includes(c));
  const few = letters.flatMap((c) => tokenizer.encode(c));
  const learned = softmax(model.token_embedding_table.weight, { dim: -1 }).toArray() as number[][];
  const names = letters.map(visible);
  const title = "probability of a column behind a row";
  const values = few.map((i) => few.map((j) => learned[i][j]));
  show(heatmap(values, { title, rows: names, columns: names, high: 0.5 }), "lesson-04");
  addLoss(name, "bigram", { lesson: 4, loss: trained, parameters: parameterCount(model) });

  console.log(`
Exercises
1. What is the loss of the table that knows no last character, only how frequent each is?
2. Count pairs: how far does a table with V * V rows come, and what does its training loss say?
3. Why does the rate 0.1 suit this table, several times that of the models to come?`);
  return { vocabSize: V, roundTrip: tokenizer.decode(ids), start, drawn, trained, counted };
}
