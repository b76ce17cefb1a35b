// Solutions to lesson 6
//
// A head without the mask, without positions, and with scores that are multiplied instead of
// divided.
//
// Time: 3 seconds.

import { loadCorpus, manualSeed, noGrad, randn, stack, type Tensor } from "tinybard";
import { causalSoftmax } from "../05-averages.ts";
import { Head, LanguageModel } from "../06-head.ts";
import { say } from "../print.ts";
import { blockSize, budget, estimateLoss, fit, tokenize } from "../training.ts";

/** A head whose tokens see all tokens, also later ones. */
class UnmaskedHead extends Head {
  override weights(x: Tensor): Tensor {
    const q = this.query.forward(x); // (B, T, hs)
    const k = this.key.forward(x); // (B, T, hs)
    return q
      .matmul(k.transpose(-2, -1))
      .mul(k.shape[2] ** -0.5)
      .softmax({ dim: -1 }); // (B, T, T)
  }
}

/** A head whose scores are multiplied by sqrt(headSize). */
class MultiplyingHead extends Head {
  override weights(x: Tensor): Tensor {
    const q = this.query.forward(x); // (B, T, hs)
    const k = this.key.forward(x); // (B, T, hs)
    return causalSoftmax(q.matmul(k.transpose(-2, -1)).mul(k.shape[2] ** 0.5)); // (B, T, T)
  }
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const trainHead = (head: Head) => {
    manualSeed(1337);
    const model = new LanguageModel(tokenizer.vocabSize, 32, blockSize, head);
    fit(model, train, { ...budget, lr: 0.02 });
    return estimateLoss(model, val, 256);
  };
  manualSeed(1337);
  const masked = trainHead(new Head(32, 32));

  say(`1. Without the mask a position sees the next token, which is its target: the head only has to
    look one position ahead. In generation the next token does not exist yet, so that what the model
    has learned is of no use.`);
  manualSeed(1337);
  const unmasked = trainHead(new UnmaskedHead(32, 32));
  console.log(`loss with the mask ${masked.toFixed(3)}, without ${unmasked.toFixed(3)}`);

  say(`2. The output of a token is a weighted average of the values before it, and a sum does not
    depend on its order. Without positions, shuffling the past changes nothing but rounding.`);
  const head = new Head(32, 32);
  const x = randn([1, 8, 32]);
  const positions = randn([1, 8, 32]);
  const shuffle = (x: Tensor) => {
    const tokens = [3, 0, 6, 2, 5, 1, 4, 7].map((t) => x.slice({ dim: 1, start: t, end: t + 1 }));
    return stack(
      tokens.map((token) => token.reshape([1, 32])),
      { dim: 1 },
    ); // (1, 8, 32)
  };
  const change = (a: Tensor, b: Tensor) => {
    const last = { dim: 1, start: 7 };
    const difference = noGrad(() => head.forward(a).sub(head.forward(b)).slice(last));
    return difference.abs().max().item();
  };
  const without = change(x, shuffle(x));
  const withPositions = change(x.add(positions), shuffle(x).add(positions));
  console.log("change in the output of the last token if the seven before it are shuffled");
  console.log(`  without positions ${without.toExponential(0)}`);
  console.log(`  with positions    ${withPositions.toFixed(2)}`);

  say(`3. Scores that are 32 times larger make the softmax nearly one-hot: each token copies a
    single other one, and the gradient p (1 - p) of all weights is near 0. The head learns less.`);
  manualSeed(1337);
  const multiplied = trainHead(new MultiplyingHead(32, 32));
  console.log(`loss divided ${masked.toFixed(3)}, multiplied ${multiplied.toFixed(3)}`);
  return { masked, unmasked, without, withPositions, multiplied };
}
