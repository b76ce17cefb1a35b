// A GPT in a training loop of one's own: batches, loss, optimizer and schedule are all in view. The
// text is built in, so that there is nothing to download.

import { CharTokenizer, GPT, generate, manualSeed, optim, randint, tensor } from "tinybard";

const verse = `Twinkle, twinkle, little star, how I wonder what you are!
Up above the world so high, like a diamond in the sky.
When the blazing sun is gone, when he nothing shines upon,
then you show your little light, twinkle, twinkle, all the night.
`;
const blockSize = 32;
const batchSize = 16;
const steps = 300;

manualSeed(1);
const tokenizer = CharTokenizer.train(verse);
const ids = tokenizer.encode(verse);
const model = new GPT({
  vocabSize: tokenizer.vocabSize,
  blockSize,
  nLayer: 2,
  nHead: 4,
  nEmbd: 32,
  positions: "rotary",
});
const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-2 });
const rateAt = optim.cosineSchedule({ lr: 1e-2, minLr: 1e-3, warmupIters: 20, decayIters: steps });

/** Returns random pieces of the text [B, T], and the next character of each position. */
function makeBatch() {
  const starts = [...randint(0, ids.length - blockSize, [batchSize]).data()];
  const cut = (offset: number) =>
    tensor(
      starts.map((start) => [...ids.slice(start + offset, start + offset + blockSize)]),
      { dtype: "i32" },
    );
  return { x: cut(0), y: cut(1) };
}

for (let step = 1; step <= steps; step++) {
  const { x, y } = makeBatch();
  const { loss } = model.forward(x, y, { logits: false });
  loss?.backward();
  optim.clipGradNorm(model.parameters(), 1);
  optimizer.lr = rateAt(step);
  optimizer.step();
  optimizer.zeroGrad();
  if (step % 100 === 0) console.log(`step ${step}: loss ${loss?.item().toFixed(3)}`);
}

const options = {
  prompt: tokenizer.encode("Up above"),
  maxNewTokens: 46,
  temperature: 0.5,
  seed: 1,
};
const generated: number[] = [];
for await (const id of generate(model, options)) generated.push(id);
console.log(`Up above${tokenizer.decode(generated)}`);
