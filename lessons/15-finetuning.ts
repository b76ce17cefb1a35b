// Lesson 15: The learning rate, and fine-tuning
//
// First the number that decides over a training more than any other: how far each step goes. Too
// small, and the budget ends before anything is learned; too large, and steps overshoot. A sweep
// finds the place between, in a few short trainings.
//
// Then a model that has learned one text is taught another: prose first, then TypeScript, which is
// always at hand, as the source of this library. What it learns, and what it forgets, hangs on
// which weights may change, how fast, and whether the old text is seen again.

import { readdirSync, readFileSync } from "node:fs";
import { CharTokenizer, type GPT, loadCorpus, manualSeed, nn } from "tinybard";
import { chart, show } from "./picture.ts";
import { fit, lossOn, parameterCount, tinyGPT, tokensOf } from "./tiny.ts";

/** The source of this library, one file behind the other. */
function ownSource(): string {
  const folder = new URL("../../src/", import.meta.url);
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((file) => file.replaceAll("\\", "/"))
    .filter((file) => file.endsWith(".ts"));
  return files
    .sort()
    .map((file) => readFileSync(new URL(file, folder), "utf8"))
    .join("\n");
}

export async function lesson() {
  const { name, text } = await loadCorpus();
  const code = ownSource();
  // One vocabulary for both: a character without a number could not be learned later.
  const tokenizer = CharTokenizer.train(text + code);
  const [prose, source] = [tokensOf(text, tokenizer), tokensOf(code, tokenizer)];

  // The sweep: the same model, the same batches, 150 steps, and one rate after the other.
  const chance = Math.log(tokenizer.vocabSize).toFixed(2);
  console.log(`150 steps on ${name}; the loss of one who knows nothing is ln V = ${chance}`);
  const sweep = [1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 1].map((lr) => {
    manualSeed(15);
    const model = tinyGPT(tokenizer.vocabSize, { nLayer: 1 });
    fit(model, prose.train, { steps: 150, lr, batchSize: 8 });
    const loss = lossOn(model, prose.val);
    console.log(`  rate ${String(lr).padEnd(8)}validation loss ${loss.toFixed(3)}`);
    return { lr, loss };
  });
  const curve = {
    name: "validation loss",
    points: sweep.map(({ lr, loss }) => [lr, loss] as const),
  };
  show(chart([curve], { title: "150 steps", x: "learning rate", logX: true }), "lesson-15");
  const best = sweep.reduce((a, b) => (b.loss < a.loss ? b : a));
  console.log(
    `The best of these rates is ${best.lr}. Much too small and much too large look alike: a loss`,
  );
  console.log("that stays high. The curve of the training tells them apart: one still falls.");

  // A model of prose.
  manualSeed(15);
  const base = tinyGPT(tokenizer.vocabSize);
  fit(base, prose.train, { steps: 300, lr: 5e-3, batchSize: 8 });
  const learned = base.stateDict();
  const copy = () => {
    const model = tinyGPT(tokenizer.vocabSize);
    model.loadStateDict(learned);
    return model;
  };
  const both = new Int32Array([...prose.train.subarray(0, source.train.length), ...source.train]);

  // The same 60 steps for each, and the two losses that matter.
  const results: Record<string, { prose: number; code: number; weights: number }> = {};
  const row = (label: string, model: GPT, weights = parameterCount(model)) => {
    const losses = { prose: lossOn(model, prose.val), code: lossOn(model, source.val), weights };
    results[label] = losses;
    const columns = [losses.prose.toFixed(2), losses.code.toFixed(2), String(weights)];
    console.log(`  ${label.padEnd(30)}${columns.map((each) => each.padStart(8)).join("")}`);
  };
  const budget = { steps: 60, batchSize: 8 };
  console.log(`\n  then TypeScript, 60 steps        prose    code   weights`);
  row("before", base, 0);
  const fresh = tinyGPT(tokenizer.vocabSize);
  fit(fresh, source.train, { ...budget, lr: 5e-3 });
  row("a new model", fresh);
  const tuned = copy();
  fit(tuned, source.train, { ...budget, lr: 5e-3 });
  row("all weights, rate 0.005", tuned);
  const gentle = copy();
  fit(gentle, source.train, { ...budget, lr: 5e-4 });
  row("all weights, rate 0.0005", gentle);
  const mixed = copy();
  fit(mixed, both, { ...budget, lr: 5e-3 });
  row("and half of it prose again", mixed);

  // LoRA: no weight changes. Beside each matrix w, a product B A of two thin ones is learned: of
  // rank 4, it has 4 (in + out) numbers instead of in x out. Hu et al. (2021).
  const adapted = copy();
  nn.freeze([adapted]);
  for (const block of adapted.h) nn.adapt(block, { rank: 4 });
  fit(adapted, source.train, { ...budget, lr: 2e-2 });
  row("LoRA of rank 4, rate 0.02", adapted);
  const before = lossOn(adapted, source.val);
  nn.mergeAdapters(adapted); // w + B A: the adapters cost nothing from now on
  const merged = lossOn(adapted, source.val);
  console.log(
    `LoRA's loss with the adapters merged: ${merged.toFixed(6)}, before ${before.toFixed(6)}`,
  );
  console.log(`
What was learned is worth more than a new start, and is in part lost while the new is learned. A
lower rate forgets less and learns less; some of the old text among the new keeps most of it.
LoRA, with an eighth of the numbers, gets about as far as a new model; and before it is merged, the
weights beneath are what they were: without the adapters nothing is forgotten.

Exercises
1. Give the gentle rate ten times the steps. Does it end where the other one does?
2. Ranks 1 and 16 for LoRA: how do learning and forgetting change? At which rank do the adapters
   have as many numbers as the model?
3. Freeze the first block alone, nn.freeze([model.h[0]]), and then all but it. Which does better?`);
  return { sweep, best, results, unmerged: before, merged };
}
