// The types of the API, which the compiler checks with this file: an error is a failed build.

import {
  BigramLanguageModel,
  EncoderDecoder,
  GPT,
  type LanguageModel,
  type NestedNumbers,
  nn,
  ones,
  relu,
  Tensor,
  tensor,
} from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("types");
const idx = tensor([[0, 1]], { dtype: "i32" });
const sizes = { blockSize: 4, nHead: 1, nEmbd: 4 };
const model = new GPT({ ...sizes, vocabSize: 5, nLayer: 1 });

test("forward() has logits unless they are turned off, and a loss with targets", () => {
  for (const made of [model, new BigramLanguageModel(5)]) {
    const logits: Tensor = made.forward(idx).logits;
    const noLoss: null = made.forward(idx).loss;
    const loss: Tensor = made.forward(idx, idx).loss;
    const training = made.forward(idx, idx, { logits: false });
    const noLogits: null = training.logits;
    const trainingLoss: Tensor = training.loss;
    assert.equal([logits.shape, loss.shape, trainingLoss.shape], [[1, 2, 5], [], []]);
    assert.equal([noLoss, noLogits], [null, null]);
  }
  // @ts-expect-error the loss is null without targets
  assert.throws(() => model.forward(idx).loss.item());
  // @ts-expect-error the logits are turned off
  assert.throws(() => model.forward(idx, null, { logits: false }).logits.shape);
});

test("the layers of nn.Sequential keep their types", () => {
  const layers = new nn.Sequential(new nn.Linear(2, 3), relu, new nn.Linear(3, 1));
  const weight: Tensor = layers.layers[2].weight;
  assert.equal(weight.shape, [1, 3]);
  // @ts-expect-error a function has no weight
  assert.is(layers.layers[1].weight, undefined);
  const list: nn.Module[] = Array.from({ length: 2 }, () => new nn.Linear(2, 2));
  assert.is(new nn.Sequential(...(list as nn.Linear[])).layers.length, 2);
  const any: nn.Sequential = layers; // one whose layers are not known
  assert.is(any.layers.length, 3);
});

test("a result is nullable if its arguments may be null", () => {
  const targets = [idx, null].at(1) as Tensor | null;
  const loss: Tensor | null = model.forward(idx, targets).loss;
  assert.is(loss, null);
  const general: LanguageModel = model;
  assert.ok(general.forward(idx).logits instanceof Tensor);
});

test("an encoder-decoder has logits, and a loss with targets", () => {
  const options = { ...sizes, nEncoderLayer: 1, nDecoderLayer: 1 };
  const translator = new EncoderDecoder({ ...options, sourceVocabSize: 5, targetVocabSize: 6 });
  const logits: Tensor = translator.forward(idx, idx).logits;
  const loss: Tensor = translator.forward(idx, idx, idx).loss;
  assert.equal([logits.shape, loss.shape], [[1, 2, 6], []]);
});

test("toArray() has the type of the number of axes that it is passed", () => {
  const value: number = tensor(2).toArray(0);
  const list: number[] = ones([2]).toArray(1);
  const rows: number[][] = ones([2, 2]).toArray(2);
  const blocks: number[][][] = ones([1, 1, 1]).toArray(3);
  const any: NestedNumbers = ones([2]).toArray();
  assert.equal(
    [value, list, rows, blocks, any],
    [
      2,
      [1, 1],
      [
        [1, 1],
        [1, 1],
      ],
      [[[1]]],
      [1, 1],
    ],
  );
  // @ts-expect-error a matrix is not a list of numbers
  const wrong: number[] = ones([2, 2]).toArray(2);
  assert.is(wrong.length, 2);
});

test.run();
