// An op of one's own: the Huber loss, which is a square near 0 and a line far from it, so a few wrong
// values change a fit less. Its derivative is the difference, cut off at +-1.

import {
  checkGradient,
  clamp,
  manualSeed,
  noGrad,
  optim,
  randn,
  record,
  scope,
  type Tensor,
  tensor,
  where,
} from "tinybard";

/** y = the mean of x^2 / 2 where |x| < 1, and |x| - 1 / 2 elsewhere */
function huber(x: Tensor): Tensor {
  const y = scope(() =>
    noGrad(() => where(x.abs().lt(1), x.mul(x).div(2), x.abs().sub(0.5)).mean()),
  );
  return record("huber", y, [x], (dy) => [clamp(x, -1, 1).mul(dy).div(x.size)]);
}

manualSeed(1);
console.log(`the derivative is right: ${checkGradient(huber, [randn([4, 3]).mul(2)]).ok}`);

// Points on y = 2 x + 1 with small errors; every tenth one is far off.
const x = randn([200]);
const outliers = tensor(Array.from({ length: 200 }, (_, i) => (i % 10 === 0 ? 20 : 0)));
const y = x
  .mul(2)
  .add(1)
  .add(randn([200]).mul(0.1))
  .add(outliers);

/** Returns the equation of the line with the lowest loss. */
function fit(loss: (error: Tensor) => Tensor): string {
  const weight = tensor(0, { requiresGrad: true });
  const bias = tensor(0, { requiresGrad: true });
  const optimizer = new optim.SGD([weight, bias], { lr: 0.2 });
  for (let step = 0; step < 200; step++) {
    loss(x.mul(weight).add(bias).sub(y)).backward();
    optimizer.step();
    optimizer.zeroGrad();
  }
  return `y = ${weight.item().toFixed(2)} x + ${bias.item().toFixed(2)}`;
}

console.log(`squared error: ${fit((error) => error.pow(2).mean())}`);
console.log(`Huber loss:    ${fit(huber)}`);
