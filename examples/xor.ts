// XOR: the smallest problem that needs a hidden layer.

import { binaryCrossEntropyWithLogits, manualSeed, nn, optim, sigmoid, tensor } from "tinybard";

manualSeed(1);
const x = tensor([
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
]);
const y = tensor([[0], [1], [1], [0]]);

const model = new nn.Sequential(new nn.Linear(2, 8), new nn.Tanh(), new nn.Linear(8, 1));
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.05 });

for (let step = 0; step <= 200; step++) {
  const loss = binaryCrossEntropyWithLogits(model.forward(x), y);
  loss.backward();
  optimizer.step();
  optimizer.zeroGrad();
  if (step % 50 === 0) console.log(`step ${step}: loss ${loss.item().toFixed(4)}`);
}

for (const [i, p] of sigmoid(model.forward(x)).data().entries())
  console.log(`${[...x.data().slice(2 * i, 2 * i + 2)].join(" xor ")} = ${p.toFixed(3)}`);
