// Solutions to lesson 10
//
// The whole model with half the context, and two implementations trained side by side.
//
// Time: 10 seconds.

import { GPT, loadCorpus, manualSeed, optim, presets, type Tensor, zeros } from "tinybard";
import { LectureGPT } from "../10-gpt.ts";
import { say } from "../print.ts";
import { estimateLoss, fit, getBatch, tokenize } from "../training.ts";

const { blockSize, batchSize, nEmbd, nHead, nLayer } = presets["lecture-0.2m"];
const { bias, qkvBias, tieWeights, lmHeadBias, activation, dropout } = presets["lecture-0.2m"];
const sizes = { nEmbd, nHead, nLayer };
const options = { bias, qkvBias, tieWeights, lmHeadBias, activation, dropout };

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const { vocabSize } = tokenizer;

  say(`1. Twice the context improves the loss after 500 steps. It also doubles the number of tokens
    in each step, so this is not the context alone.`);
  const isSlow = zeros([1]).device.name === "ts";
  const createModels = (T: number) => {
    manualSeed(1337);
    const lectureGPT = new LectureGPT(vocabSize, T);
    const gpt = new GPT({ vocabSize, blockSize: T, ...sizes, ...options });
    gpt.loadStateDict(lectureGPT.toStateDict((weight) => weight.detach()));
    return { lectureGPT, gpt };
  };
  const byContext = [16, blockSize].map((T) => {
    const { gpt } = createModels(T);
    fit(gpt, train, { steps: isSlow ? 20 : 500, batchSize, lr: 5e-3 });
    const loss = estimateLoss(gpt, val, 256);
    console.log(`context ${T}: validation loss ${loss.toFixed(3)}`);
    return loss;
  });

  say(`2. At first the losses are equal in all digits shown. The two add in another order, and their
    sums differ in the last bit; each step amplifies the difference, and after some hundred steps
    the models are different ones of equal quality.`);
  const { lectureGPT, gpt } = createModels(blockSize);
  const models = [lectureGPT.model, gpt];
  const optimizers = models.map((model) => new optim.AdamW(model.parameters(), { lr: 5e-3 }));
  const differences: number[] = [];
  for (let step = 0; step < 50; step++) {
    const [x, y] = getBatch(train, batchSize, blockSize);
    const losses = models.map((model, i) => {
      const loss = model.forward(x, y).loss as Tensor;
      loss.backward();
      optimizers[i].step();
      optimizers[i].zeroGrad();
      return loss.item();
    });
    differences.push(Math.abs(losses[0] - losses[1]));
    if (step % 10 === 0 || step === 49)
      console.log(`step ${step}: losses ${losses.map((loss) => loss.toFixed(6)).join(" and ")}`);
  }
  return { byContext, differences, isSlow };
}
