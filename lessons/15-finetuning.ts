// Lesson 15: The learning rate, and fine-tuning
//
// The learning rate matters more than any other hyperparameter. If it is too small, the budget ends
// before the model has learned much; if it is too large, the steps overshoot. A sweep of a few
// short runs finds a good value in between.
//
// Then a model that was trained on one text is fine-tuned on another: first prose, then TypeScript,
// namely source files of this library. What it learns and what it forgets depends on which weights
// may change, how fast, and whether the old text is still in the training data.
//
// Time: 3 seconds.

import { readdirSync, readFileSync } from "node:fs";
import { CharTokenizer, type GPT, loadCorpus, manualSeed, nn } from "tinybard";
import { show } from "./figure.ts";
import { lineChart } from "./line-chart.ts";
import { say } from "./print.ts";
import { countParameters, estimateLoss, fit, tinyGPT, tokenize } from "./training.ts";

/** Returns source files of this library, half as many characters as Tiny Shakespeare has. */
export function readSource(): string {
  const length = 500_000;
  const folder = new URL("../../src/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".ts"));
  return files
    .sort()
    .map((file) => readFileSync(new URL(file, folder), "utf8"))
    .join("\n")
    .slice(0, length);
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const source = readSource();
  // One vocabulary for both texts: a character without an id could not be learned later.
  const tokenizer = CharTokenizer.train(text + source);
  const prose = tokenize(text, tokenizer);
  const code = tokenize(source, tokenizer);

  say(`The sweep: the same model, the same batches, 150 steps at each learning rate.`);
  const uniformLoss = Math.log(tokenizer.vocabSize).toFixed(2);
  console.log(`150 steps on ${name}; uniform predictions would have loss ln V = ${uniformLoss}`);
  const sweep = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1].map((lr) => {
    manualSeed(15);
    const model = tinyGPT(tokenizer.vocabSize, { nLayer: 1 });
    fit(model, prose.train, { steps: 150, lr, batchSize: 8 });
    const loss = estimateLoss(model, prose.val);
    console.log(`  learning rate ${String(lr).padEnd(8)}validation loss ${loss.toFixed(3)}`);
    return { lr, loss };
  });
  const curve = {
    name: "validation loss",
    points: sweep.map(({ lr, loss }) => [lr, loss] as const),
  };
  const title = "after 150 steps";
  show(lineChart([curve], { title, xLabel: "learning rate", logX: true }), "lesson-15");
  const best = sweep.reduce((a, b) => (b.loss < a.loss ? b : a));
  say(`The best of these is ${best.lr}. A rate that is far too small and one that is far too large
    look alike: both leave the loss high. The training curve tells them apart: if the rate is too
    small, the loss is still falling.`);

  say(`Fine-tuning starts from a base model that has seen only prose. There are five ways to train
    on code for 60 steps; each has a loss on both texts.`);
  manualSeed(15);
  const base = tinyGPT(tokenizer.vocabSize);
  fit(base, prose.train, { steps: 300, lr: 5e-3, batchSize: 8 });
  const baseWeights = base.stateDict();
  const copyBase = () => {
    const model = tinyGPT(tokenizer.vocabSize);
    model.loadStateDict(baseWeights);
    return model;
  };

  const results: Record<string, { prose: number; code: number; weights: number }> = {};
  const evaluate = (label: string, model: GPT, weights = countParameters(model)) => {
    const result = {
      prose: estimateLoss(model, prose.val),
      code: estimateLoss(model, code.val),
      weights,
    };
    results[label] = result;
    const columns = [result.prose.toFixed(2), result.code.toFixed(2), String(weights)];
    console.log(`  ${label.padEnd(32)}${columns.map((text) => text.padStart(9)).join("")}`);
  };
  const budget = { steps: 60, batchSize: 8 };
  console.log("\n                                           loss on     trained");
  console.log("  60 steps on TypeScript              prose     code  weights");
  evaluate("base model, before fine-tuning", base, 0);

  const scratch = tinyGPT(tokenizer.vocabSize);
  fit(scratch, code.train, { ...budget, lr: 5e-3 });
  evaluate("trained from scratch", scratch);

  const tuned = copyBase();
  fit(tuned, code.train, { ...budget, lr: 5e-3 });
  evaluate("fine-tuned, lr 0.005", tuned);

  const slow = copyBase();
  fit(slow, code.train, { ...budget, lr: 5e-4 });
  evaluate("fine-tuned, lr 0.0005", slow);

  const mixed = copyBase();
  fit(mixed, new Int32Array([...prose.train, ...code.train]), { ...budget, lr: 5e-3 });
  evaluate("fine-tuned on code and prose", mixed);

  say(`LoRA freezes the weights. For each matrix W it learns a low-rank update B A: with rank 4 it
    has 4 (in + out) numbers instead of in * out. Hu et al. (2021).`);
  const adapted = copyBase();
  nn.freeze([adapted]);
  for (const block of adapted.h) nn.adapt(block, { rank: 4 });
  fit(adapted, code.train, { ...budget, lr: 2e-2 });
  evaluate("LoRA, rank 4, lr 0.02", adapted);
  const unmergedLoss = estimateLoss(adapted, code.val);
  nn.mergeAdapters(adapted); // W + B A: from now on the adapters cost nothing
  const mergedLoss = estimateLoss(adapted, code.val);
  console.log(`LoRA's loss on code: ${unmergedLoss.toFixed(6)}, merged ${mergedLoss.toFixed(6)}`);
  say(`Fine-tuning beats training from scratch, but the model forgets part of the prose. A lower
    learning rate forgets less and learns less; mixing in the old text preserves most of it. LoRA
    trains an eighth of the weights and gets about as far as training from scratch. Until it is
    merged, the base weights are unchanged: without the adapters, nothing is forgotten.`);

  console.log(`Exercises
1. Give the lower learning rate ten times as many steps. Does it end up like the higher one?
2. Try ranks 1 and 16 for LoRA. How do learning and forgetting change? At which rank do the adapters
   have as many weights as the model?
3. Freeze only the first block with nn.freeze([model.h[0]]), then everything else. Which works
   better?`);
  return { sweep, best, results, unmergedLoss, mergedLoss };
}
