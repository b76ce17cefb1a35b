// Solutions to lesson 8
//
// A block without its nonlinearity, where its parameters are, and the gradient that reaches the
// embeddings.
//
// Time: 4 seconds.

import { loadCorpus, manualSeed, type Tensor } from "tinybard";
import { LanguageModel } from "../06-head.ts";
import { Block, FeedForward } from "../08-block.ts";
import { say } from "../print.ts";
import {
  blockSize,
  budget,
  countParameters,
  estimateLoss,
  fit,
  getBatch,
  tokenize,
} from "../training.ts";

class LinearFeedForward extends FeedForward {
  override forward(x: Tensor): Tensor {
    return this.proj.forward(this.fc.forward(x)); // (B, T, C), without relu
  }
}

class LinearBlock extends Block {
  override readonly ffwd = new LinearFeedForward(32);
}

export async function solution() {
  const { text } = await loadCorpus();
  const { tokenizer, train, val } = tokenize(text);
  const createModel = (...blocks: Block[]) =>
    new LanguageModel(tokenizer.vocabSize, 32, blockSize, ...blocks);

  say(`1. Without relu the whole feed-forward network is one linear map, which lm_head could also
    learn. The model can compute no more than that of lesson 7, and it trains a little worse: a
    product of three matrices in a row is harder to train than one.`);
  const trainBlock = (block: Block) => {
    const model = createModel(block);
    fit(model, train, { ...budget, lr: 0.02 });
    return estimateLoss(model, val, 256);
  };
  manualSeed(1337);
  const withRelu = trainBlock(new Block(32, 4));
  manualSeed(1337);
  const withoutRelu = trainBlock(new LinearBlock(32, 4));
  console.log(`loss with relu ${withRelu.toFixed(3)}, without ${withoutRelu.toFixed(3)}`);

  say(`2. Attention has 4 C^2 + C parameters (query, key, value, proj) and the feed-forward network
    8 C^2 + 5 C: two thirds of a block. Both grow with the square of the width.`);
  const counts = [32, 64].map((nEmbd) => {
    const { sa, ffwd } = new Block(nEmbd, 4);
    const count = { sa: countParameters(sa), ffwd: countParameters(ffwd) };
    console.log(`nEmbd ${nEmbd}: attention ${count.sa}, feed-forward ${count.ffwd}`);
    return count;
  });

  say(`3. With three blocks the gradient of the embeddings is much smaller: each layer has passed on
    a fraction of it.`);
  const gradients = [1, 3].map((count) => {
    manualSeed(1337);
    const model = createModel(...Array.from({ length: count }, () => new Block(32, 4)));
    const [x, y] = getBatch(train, budget.batchSize, blockSize);
    model.forward(x, y).loss?.backward();
    const gradient = model.token_embedding_table.weight.grad?.abs().mean().item() as number;
    console.log(`${count} block(s): mean |gradient| ${gradient.toExponential(1)}`);
    return gradient;
  });
  return { withRelu, withoutRelu, counts, gradients };
}
