// Lesson 4: Characters and the bigram model
//
// A language model assigns a probability to each token that could come next. The simplest one looks
// only at the last token, here a character, in a table with one row per character. This lesson
// turns text into ids, ids into batches and batches into a loss, and then trains the table. The
// best table is also known from counting character pairs, so we can check that training works.
// Later lessons reuse these steps as functions from training.ts.
//
// Time: 2 seconds.

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
import { show, visible } from "./figure.ts";
import { heatmap } from "./heatmap.ts";
import { lineChart } from "./line-chart.ts";
import { addLoss } from "./loss-table.ts";
import { say } from "./print.ts";
import {
  blockSize,
  budget,
  countParameters,
  estimateLoss,
  fit,
  generateText,
  getBatch,
  getBlocks,
  tokenize,
} from "./training.ts";

export class BigramLanguageModel extends nn.Module {
  readonly config = { blockSize };
  /** (V, V): row i holds the logits of the character after character i. */
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
  const { tokenizer, train, val } = tokenize(text);
  const V = tokenizer.vocabSize;
  const characters = tokenizer.characters.map(visible).join("");
  console.log(`\n${name}: ${train.length + val.length} characters, ${V} of them distinct:`);
  console.log(characters);

  say(`Encode and decode: an id is the index of a character in that list.`);
  const ids = tokenizer.encode("hii there");
  console.log(`"hii there" is encoded as ${ids.join(" ")}`);
  console.log(`and decoded as "${tokenizer.decode(ids)}"`);

  say(`A block of T tokens holds T training examples: each of its prefixes has a next token.`);
  const [x, y] = getBlocks(train, [0], 8); // (1, 8), (1, 8)
  const inputs = Array.from(x.data());
  const targets = Array.from(y.data());
  for (const t of [0, 1, 2, 7]) {
    const context = [...tokenizer.decode(inputs.slice(0, t + 1))].map(visible).join("");
    console.log(
      `when the input is ${context}, the target is ${visible(tokenizer.decode([targets[t]]))}`,
    );
  }
  const [batch] = getBatch(train, budget.batchSize, blockSize); // (B, T)
  console.log(`a batch has shape (${batch.shape.join(", ")}): B blocks of T tokens`);

  say(`A model outputs a number for each token of the vocabulary, its logit. Softmax turns logits
    into probabilities: p[i] = exp(logit[i]) / sum of exp(logit[j]) over all j. They are positive
    and sum to 1, and a logit that is larger by 1 makes its token e = 2.718 times as likely. The
    loss is the cross-entropy, -ln p(target): 0 if the model was certain and right, large if it was
    certain and wrong. Of many predictions we take the mean. Its unit is the nat, which is 1 / ln 2
    bits.`);
  const example = tensor([[2, 1, 0]]); // (1, 3): logits of three tokens
  const exampleProbabilities = Array.from(softmax(example, { dim: -1 }).data());
  const exampleLosses = [0, 1, 2].map((target) =>
    crossEntropy(example, tensor([target], { dtype: "i32" })).item(),
  );
  console.log(`logits         2      1      0`);
  console.log(`softmax    ${exampleProbabilities.map((p) => p.toFixed(3)).join("  ")}`);
  console.log(`loss       ${exampleLosses.map((loss) => loss.toFixed(3)).join("  ")}`);

  say(`A table of zeros assigns the same probability to all V characters, so its loss is ln V.
    Random logits are worse: confident and wrong. Logits of variance 1 cost half a nat more, because
    they raise the log of the sum of exponentials by 1/2.`);
  const randomLoss = estimateLoss(new BigramLanguageModel(V), val, 256);
  const model = new BigramLanguageModel(V, { init: zeros });
  const initialLoss = estimateLoss(model, val, 256);
  console.log(`ln ${V} = ${Math.log(V).toFixed(4)}`);
  console.log(`loss of a table of zeros: ${initialLoss.toFixed(4)}`);
  console.log(`loss of a table of random normal logits: ${randomLoss.toFixed(4)}\n`);
  console.log(`before training: ${JSON.stringify(generateText(model, tokenizer, 40))}`);

  say(`A training step: sample a batch, compute its loss and gradients, and update the weights.
    Plain gradient descent subtracts lr * gradient. AdamW divides the gradient by its typical size:
    for each weight it keeps a running mean m of the gradient and v of its square, and subtracts lr
    * m / sqrt(v). So every weight moves by about lr, even in rows of rare characters, whose
    gradients are tiny. The W stands for weight decay: each step also shrinks the weights
    slightly.`);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 0.1 });
  const trainStep = () => {
    const [x, y] = getBatch(train, budget.batchSize, blockSize); // (B, T), (B, T)
    const { loss } = model.forward(x, y);
    loss?.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return loss?.item().toFixed(3);
  };
  const firstLosses = [trainStep(), trainStep(), trainStep()];
  console.log(`batch losses of the first three steps: ${firstLosses.join(", ")}`);

  say(`fit(), in training.ts, is this step in a loop, with a learning rate that decays linearly to
    0: large steps to make progress, small steps to converge.`);
  const curve = fit(model, train, { ...budget, lr: 0.1 });
  const trainedLoss = estimateLoss(model, val, 256);

  say(`Compute the same table by counting how often each character follows each other one. Counts
    start at 1, because a pair that does not occur in the training text is rare, not impossible.`);
  const counts = Array.from({ length: V }, () => new Array<number>(V).fill(1));
  for (let i = 1; i < train.length; i++) counts[train[i - 1]][train[i]]++;
  const table = tensor(counts); // (V, V)
  const logits = table.div(table.sum({ dim: 1, keepdim: true })).log(); // (V, V)
  const countedModel = new BigramLanguageModel(V, { init: () => logits });
  const countedLoss = estimateLoss(countedModel, val, 256);
  console.log(`loss of the trained table ${trainedLoss.toFixed(4)}`);
  console.log(`loss of the counted table ${countedLoss.toFixed(4)}`);
  console.log(`after training:  ${JSON.stringify(generateText(model, tokenizer, 40))}`);

  say(`Losses are often reported as the perplexity, the exponential of the loss. A model that
    chooses among k equally likely tokens has perplexity k, so it says how many tokens are left to
    guess from.`);
  const perplexity = Math.exp(trainedLoss);
  console.log(`perplexity: ${V} before training, ${perplexity.toFixed(1)} after\n`);
  const curves = [
    { name: "training", points: curve },
    {
      name: "counted table",
      points: [0, budget.steps].map((step) => [step, countedLoss] as const),
    },
  ];
  show(lineChart(curves, { title: "loss", xLabel: "step" }), "lesson-04-loss");

  say(`The learned table is readable: rows are the last character, columns the next one.`);
  const letters = [..." etaoinshrdlu,.\n"].filter((c) => tokenizer.characters.includes(c));
  const letterIds = letters.flatMap((c) => tokenizer.encode(c));
  const { weight } = model.token_embedding_table;
  const learned = softmax(weight, { dim: -1 }).toArray() as number[][];
  const probabilities = letterIds.map((i) => letterIds.map((j) => learned[i][j]));
  const labels = letters.map(visible);
  const figure = heatmap(probabilities, {
    title: "p(column | row): the next character after the last",
    rowLabels: labels,
    columnLabels: labels,
    high: 0.5,
  });
  show(figure, "lesson-04");
  addLoss(name, "bigram", { lesson: 4, loss: trainedLoss, parameters: countParameters(model) });

  console.log(`
Exercises
1. What is the loss of a unigram table, which knows only how frequent each character is?
2. Count trigrams: what is the validation loss of a table with V * V rows, and its training loss?
3. Why does this table work with a learning rate of 0.1, several times that of later models?`);
  return {
    vocabSize: V,
    decoded: tokenizer.decode(ids),
    exampleProbabilities,
    exampleLosses,
    perplexity,
    initialLoss,
    randomLoss,
    trainedLoss,
    countedLoss,
  };
}
