// Solutions to lesson 15
//
// A low learning rate for longer, the rank of LoRA, and freezing a part of the model.
//
// Time: 4 seconds.

import { CharTokenizer, type GPT, loadCorpus, manualSeed, nn } from "tinybard";
import { readSource } from "../15-finetuning.ts";
import { say } from "../print.ts";
import { countParameters, estimateLoss, fit, tinyGPT, tokenize } from "../training.ts";

export async function solution() {
  const { text } = await loadCorpus();
  const source = readSource();
  const tokenizer = CharTokenizer.train(text + source);
  const prose = tokenize(text, tokenizer);
  const code = tokenize(source, tokenizer);
  manualSeed(15);
  const base = tinyGPT(tokenizer.vocabSize);
  fit(base, prose.train, { steps: 300, lr: 5e-3, batchSize: 8 });
  const weights = base.stateDict();
  const tune = (
    label: string,
    options: { steps: number; lr: number },
    prepare: (m: GPT) => void,
  ) => {
    const model = tinyGPT(tokenizer.vocabSize);
    model.loadStateDict(weights);
    manualSeed(15);
    prepare(model);
    const trained = countParameters(model);
    fit(model, code.train, { ...options, batchSize: 8 });
    const result = {
      prose: estimateLoss(model, prose.val),
      code: estimateLoss(model, code.val),
      trained,
    };
    const losses = `prose ${result.prose.toFixed(2)}, code ${result.code.toFixed(2)}`;
    console.log(`${label.padEnd(28)} ${losses}, ${trained} weights trained`);
    return result;
  };
  const all = () => {};

  say(`1. A tenth of the rate for ten times as many steps moves the weights about as far. It learns
    more about code, because it sees ten times as much of it, and in the end it has forgotten nearly
    as much prose.`);
  const fast = tune("lr 0.005, 60 steps", { steps: 60, lr: 5e-3 }, all);
  const slow = tune("lr 0.0005, 60 steps", { steps: 60, lr: 5e-4 }, all);
  const long = tune("lr 0.0005, 600 steps", { steps: 600, lr: 5e-4 }, all);

  say(`2. A higher rank trains more weights, learns more and forgets more. A matrix of 32 x 32 has
    as many weights as an adapter of rank 16; of a matrix of 32 x 128, that is rank 26. The whole
    model, embeddings included, has as many weights as adapters of rank 32.`);
  const byRank = [1, 4, 16].map((rank) =>
    tune(`LoRA, rank ${rank}`, { steps: 60, lr: 2e-2 }, (model) => {
      nn.freeze([model]);
      for (const block of model.h) nn.adapt(block, { rank });
    }),
  );

  say(`3. With only the first block frozen, the model learns nearly as much as without. With all
    else frozen, it learns less: the embeddings and the head, which know the characters, cannot
    change.`);
  const firstFrozen = tune("first block frozen", { steps: 60, lr: 5e-3 }, (model) =>
    nn.freeze([model.h[0]]),
  );
  const firstOnly = tune("all but first block frozen", { steps: 60, lr: 5e-3 }, (model) => {
    nn.freeze([model]);
    for (const parameter of model.h[0].parameters()) parameter.requiresGrad = true;
  });
  return { fast, slow, long, byRank, firstFrozen, firstOnly };
}
