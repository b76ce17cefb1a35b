// A whole training step of a preset: forward, backward, AdamW. usage: step.bench.js [preset]
// [steps]

import { GPT, optim, presets, scope, type Tensor, tensor } from "tinybard";

const [name = "lecture-0.2m", count = "25"] = process.argv.slice(2);
const preset = presets[name as Exclude<keyof typeof presets, "bigram">];
const { nLayer, nHead, nEmbd, blockSize, batchSize, activation, bias, tieWeights } = preset;
const extra = "qkvBias" in preset ? { qkvBias: preset.qkvBias, lmHeadBias: preset.lmHeadBias } : {};
const config = { nLayer, nHead, nEmbd, blockSize, activation, bias, tieWeights, ...extra };
const model = new GPT({ vocabSize: 65, dropout: preset.dropout, ...config });
const optimizer = new optim.AdamW(model.parameters(), { lr: preset.learningRate });
const ids = Int32Array.from({ length: batchSize * blockSize }, (_, i) => (i * i) % 65);
const x = tensor(ids, { shape: [batchSize, blockSize] });

const captured = x.device.capture((x: Tensor) => {
  const loss = model.forward(x, x, { logits: false }).loss as Tensor;
  loss.backward();
  optimizer.step();
  optimizer.zeroGrad();
  return loss;
});
const step = () => captured(x).item();
for (let i = 0; i < 5; i++) scope(step);
const times = Array.from({ length: Number(count) }, () => {
  const start = performance.now();
  scope(step);
  return performance.now() - start;
}).sort((a, b) => a - b);
const median = times[times.length >> 1];
const tokens = Math.round((1000 * ids.length) / median);
console.log(
  `${name} on ${x.device}: ${median.toFixed(1)} ms a step, ${tokens} tokens/s, ` +
    `the fastest of ${count} ${times[0].toFixed(1)} ms`,
);
