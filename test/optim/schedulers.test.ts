import { ones, optim, tensor } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { assertClose, eachDevice } from "../support/harness.js";

const test = suite("schedulers");

/** Returns the rate at the start and after each of five steps. */
function collectRates(
  make: (optimizer: optim.SGD) => { step(): void; getLastLr(): number[] },
): number[] {
  const optimizer = new optim.SGD([ones([1], { requiresGrad: true })], { lr: 0.5 });
  const scheduler = make(optimizer);
  const rates = [optimizer.lr];
  for (let i = 0; i < 5; i++) {
    scheduler.step();
    assert.is(scheduler.getLastLr()[0], optimizer.lr);
    rates.push(optimizer.lr);
  }
  return rates;
}

// the rates that PyTorch's schedulers set
test("the rates are PyTorch's", () => {
  const rates = {
    step: collectRates((o) => new optim.StepLR(o, { stepSize: 2, gamma: 0.1 })),
    exponential: collectRates((o) => new optim.ExponentialLR(o, { gamma: 0.5 })),
    linear: collectRates((o) => new optim.LinearLR(o, { startFactor: 0.5, totalIters: 4 })),
    cosine: collectRates((o) => new optim.CosineAnnealingLR(o, { tMax: 4, etaMin: 0.1 })),
    lambda: collectRates((o) => new optim.LambdaLR(o, (step) => 1 - step / 10)),
  };
  assertClose(rates.step, [0.5, 0.5, 0.05, 0.05, 0.005, 0.005]);
  assertClose(rates.exponential, [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625]);
  assertClose(rates.linear, [0.25, 0.3125, 0.375, 0.4375, 0.5, 0.5]);
  assertClose(rates.cosine, [0.5, 0.44142136, 0.3, 0.15857864, 0.1, 0.15857864]);
  assertClose(rates.lambda, [0.5, 0.45, 0.4, 0.35, 0.3, 0.25]);
});

test("invalid arguments are errors", () => {
  assert.throws(
    () => new optim.StepLR({} as never, { stepSize: 1 }),
    /StepLR: optimizer is object/,
  );
  const optimizer = new optim.SGD([ones([1], { requiresGrad: true })]);
  assert.throws(() => new optim.StepLR(optimizer, {} as never), /StepLR: stepSize is undefined/);
  assert.throws(
    () => new optim.CosineAnnealingLR(optimizer, { T_max: 5 } as never),
    /CosineAnnealingLR: unknown option T_max, expected tMax, etaMin/,
  );
});
test.run();

eachDevice("RMSprop", (test, on) => {
  test("three steps equal the formula", () => {
    const values = [0.5, -1, 2];
    const grads = [0.1, -3, 1e-3];
    const w = tensor(values, { device: on, requiresGrad: true });
    const optimizer = new optim.RMSprop([w], { lr: 0.1, alpha: 0.9, weightDecay: 0.01 });
    const average = [0, 0, 0];
    for (let step = 0; step < 3; step++) {
      w.grad = tensor(grads, { device: on });
      optimizer.step();
      for (const i of values.keys()) {
        const g = grads[i] + 0.01 * values[i];
        average[i] = 0.9 * average[i] + 0.1 * g * g;
        values[i] -= (0.1 * g) / (Math.sqrt(average[i]) + 1e-8);
      }
    }
    assertClose(w.detach(), values, { rtol: 1e-5 });
    assert.throws(() => new optim.RMSprop([w], { alpha: 1 }), /RMSprop: alpha is 1, expected/);
  });
});
