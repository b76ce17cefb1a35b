// Lesson 10: The whole model
//
// All parts are ready. Put together, they are the small GPT of Karpathy's lecture "Let's build GPT"
// (2023). The library has the same model, built for speed. With the same weights, both must compute
// the same logits and the same gradients. Then we train the model and let it write.
//
// Time: 8 seconds.

import { cat, GPT, loadCorpus, manualSeed, nn, presets, scope, type Tensor } from "tinybard";
import { LanguageModel } from "./06-head.ts";
import { NormalizedBlock } from "./09-residuals.ts";
import { barChart } from "./bar-chart.ts";
import { show } from "./figure.ts";
import { addLoss, getLosses } from "./loss-table.ts";
import { say } from "./print.ts";
import {
  budget,
  countParameters,
  estimateLoss,
  fit,
  generateText,
  getBatch,
  tokenize,
} from "./training.ts";

const { blockSize, nEmbd, nHead, nLayer, batchSize, ...lecture } = presets["lecture-0.2m"];
const { bias, qkvBias, tieWeights, lmHeadBias, activation, dropout } = lecture;

/** The model of these lessons: blocks and a final layer normalization in a LanguageModel. */
export class LectureGPT {
  readonly blocks = Array.from({ length: nLayer }, () => new NormalizedBlock(nEmbd, nHead));
  readonly ln = new nn.LayerNorm(nEmbd);
  readonly model: LanguageModel;

  constructor(vocabSize: number, T: number = blockSize) {
    this.model = new LanguageModel(vocabSize, nEmbd, T, ...this.blocks, this.ln);
  }

  /**
   * Returns `select(weight)` for each weight, under the names of the library's GPT. The GPT has one
   * matrix for the queries, keys and values of all heads, so those are concatenated.
   */
  toStateDict(select: (weight: Tensor) => Tensor): Record<string, Tensor> {
    const dict: Record<string, Tensor> = {};
    const add = (name: string, layer: { weight: Tensor; bias?: Tensor | null }) => {
      dict[`${name}.weight`] = select(layer.weight);
      if (layer.bias) dict[`${name}.bias`] = select(layer.bias);
    };
    add("wte", this.model.token_embedding_table);
    add("wpe", this.model.position_embedding_table);
    for (const [i, { ln1, sa, ln2, ffwd }] of this.blocks.entries()) {
      const queries = sa.heads.map(({ query }) => select(query.weight)); // nHead times (hs, C)
      const keys = sa.heads.map(({ key }) => select(key.weight));
      const values = sa.heads.map(({ value }) => select(value.weight));
      add(`h.${i}.ln_1`, ln1);
      const qkv = [...queries, ...keys, ...values];
      dict[`h.${i}.attn.c_attn.weight`] = cat(qkv, { dim: 0 }); // (3C, C)
      add(`h.${i}.attn.c_proj`, sa.proj);
      add(`h.${i}.ln_2`, ln2);
      add(`h.${i}.mlp.c_fc`, ffwd.fc);
      add(`h.${i}.mlp.c_proj`, ffwd.proj);
    }
    add("ln_f", this.ln);
    add("lm_head", this.model.lm_head);
    return dict;
  }
}

/** Returns the largest difference between two tensors, relative to the largest element. */
function relativeDifference(a: Tensor, b: Tensor): number {
  return a.sub(b).abs().max().item() / b.abs().max().item();
}

export async function lesson() {
  manualSeed(1337);
  const { name, text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const { vocabSize } = tokenizer;
  const lectureGPT = new LectureGPT(vocabSize);
  const { model } = lectureGPT;
  const parameters = countParameters(model);
  console.log(`${nLayer} blocks, ${nHead} heads, ${nEmbd} channels: ${parameters} parameters`);

  // The library's GPT, configured like the lecture's, with our weights.
  const sizes = { vocabSize, blockSize, nEmbd, nHead, nLayer };
  const options = { bias, qkvBias, tieWeights, lmHeadBias, activation, dropout };
  const gpt = new GPT({ ...sizes, ...options });
  gpt.loadStateDict(lectureGPT.toStateDict((weight) => weight.detach()));

  say(`The same batch for both: compare logits, loss and the gradient of every weight.`);
  const [x, y] = getBatch(train, batchSize, blockSize); // (B, T), (B, T)
  const ours = model.forward(x, y);
  const theirs = gpt.forward(x, y);
  const losses = [ours.loss?.item() as number, theirs.loss?.item() as number];
  const logitDifference = relativeDifference(ours.logits, theirs.logits as Tensor);
  ours.loss?.backward();
  theirs.loss?.backward();
  const gradients = lectureGPT.toStateDict((weight) => weight.grad as Tensor);
  const gradientDifferences = [...gpt.namedParameters()].map(([name, weight]) =>
    relativeDifference(weight.grad as Tensor, gradients[name]),
  );
  const gradientDifference = Math.max(...gradientDifferences);
  console.log(`loss: ours ${losses[0].toFixed(6)}, the library's ${losses[1].toFixed(6)}`);
  console.log("largest difference, relative to the largest element");
  console.log(`  logits: ${logitDifference.toExponential(1)}`);
  console.log(
    `  gradients of ${gradientDifferences.length} tensors: ${gradientDifference.toExponential(1)}`,
  );

  say(`What does the library do differently? It makes fewer passes over memory.`);
  console.log(`ours                the library
MultiHeadAttention  one matrix for all queries, keys and values, and one op, selfAttention, for
                    the scores, mask, softmax and weighted average of all heads
FeedForward         relu is fused into the matmul of the first layer
x.add(...), ln      one op, residualLayerNorm, adds and normalizes in one pass
loss                one op, linearCrossEntropy, for the head and the loss; it stores no logits`);

  // Interleaved, and the fastest of five, so that other load affects both.
  const timeStep = (computeLoss: () => Tensor | null) => {
    const start = performance.now();
    scope(() => {
      const loss = computeLoss();
      loss?.backward();
      return loss?.item(); // waits for a GPU to finish
    });
    return performance.now() - start;
  };
  const rounds = Array.from({ length: 5 }, () => ({
    ours: timeStep(() => model.forward(x, y).loss),
    theirs: timeStep(() => gpt.forward(x, y, { logits: false }).loss),
  }));
  const ourTime = Math.min(...rounds.map((round) => round.ours));
  const theirTime = Math.min(...rounds.map((round) => round.theirs));
  console.log(`\nforward and backward: ours ${ourTime.toFixed(1)} ms`);
  console.log(`             the library's ${theirTime.toFixed(1)} ms`);
  console.log(`                   speedup ${(ourTime / theirTime).toFixed(1)}\n`);
  for (const weight of gpt.parameters()) weight.grad = null;

  // Training would take minutes on the device ts, so there it is only a short demonstration.
  const isSlow = x.device.name === "ts";
  const steps = isSlow ? 40 : budget.steps;
  const initialLoss = estimateLoss(gpt, val, 256);
  fit(gpt, train, { steps, batchSize, lr: 5e-3 });
  const loss = estimateLoss(gpt, val, 256);
  console.log(`${steps} steps: validation loss ${initialLoss.toFixed(3)} -> ${loss.toFixed(3)}`);
  const sample = generateText(gpt, tokenizer, isSlow ? 60 : 300);
  console.log(`sample:\n${sample}`);

  say(`All models so far. The last one trains for as many steps as the others, but it has ten times
    as many parameters and twice the context.`);
  if (!isSlow) addLoss(name, "the whole model", { lesson: 10, loss, parameters });
  const allLosses = getLosses(name);
  const title = `validation losses on ${name} so far`;
  const format = (value: number) => value.toFixed(3);
  if (Object.keys(allLosses).length > 0)
    show(barChart(allLosses, { title, low: 1.5, format }), "lesson-10");

  console.log(`
Exercises
1. Halve the context to 16 tokens, as in lessons 4 to 9. How much worse is the loss?
2. Train our own model next to gpt from the same weights and batches. When do their losses diverge,
   and why at all?`);
  return {
    vocabSize,
    parameters,
    losses,
    logitDifference,
    gradientDifference,
    initialLoss,
    loss,
    steps,
    sample,
  };
}
