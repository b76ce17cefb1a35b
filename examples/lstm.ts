// An LSTM that keeps the parity of the bits it has read: 1 if the number of ones so far is odd. One
// wrong position makes all later ones wrong, so the state has to be exact.

import {
  binaryCrossEntropyWithLogits,
  manualSeed,
  nn,
  noGrad,
  optim,
  randint,
  type Tensor,
} from "tinybard";

class Parity extends nn.Module {
  lstm = new nn.LSTM(1, 16);
  head = new nn.Linear(16, 1);

  /** bits [T, B, 1] to logits of the parity [T, B, 1]. */
  forward(bits: Tensor) {
    const [y] = this.lstm.forward(bits);
    return this.head.forward(y);
  }
}

/** Returns bits [T, B, 1], and the parity of each one and those before it. */
function makeBits(length: number, batch: number) {
  const bits = randint(0, 2, [length, batch, 1]).to("f32");
  const count = bits.cumsum(0);
  return { bits, parity: count.sub(count.div(2).floor().mul(2)) };
}

manualSeed(1);
const model = new Parity();
const optimizer = new optim.AdamW(model.parameters(), { lr: 0.02, weightDecay: 0 });
const steps = 300;
for (let step = 1; step <= steps; step++) {
  // short sequences first: with long ones from the start it stays at guessing for long
  const { bits, parity } = makeBits(2 + Math.floor((14 * step) / steps), 64);
  const loss = binaryCrossEntropyWithLogits(model.forward(bits), parity);
  loss.backward();
  optim.clipGradNorm(model.parameters(), 1);
  optimizer.step();
  optimizer.zeroGrad();
  if (step % 100 === 0) console.log(`step ${step}: loss ${loss.item().toFixed(4)}`);
}

const { bits, parity } = makeBits(100, 50); // six times as long as in training
const isRight = noGrad(() => model.forward(bits).gt(0).eq(parity.to("i32")));
console.log(`accuracy on 100 bits: ${isRight.to("f32").mean().item().toFixed(3)}`);
