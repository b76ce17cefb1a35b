import { mul, optim, sum, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { clipGradNorm } from "#src/optim/clip.js";
import { assertClose, eachDevice } from "../support/harness.js";

eachDevice("optim", (test, on) => {
  const createWeight = () => tensor([1, -2, 3], { device: on, requiresGrad: true });
  /** Takes three steps on the loss sum(c w^2), c = [0.5, 1, 2]. */
  const descend = (w: Tensor, optimizer: { step(): void; zeroGrad(): void }) => {
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      sum(mul(mul(w, w), tensor([0.5, 1, 2], { device: on }))).backward();
      optimizer.step();
    }
    return w;
  };

  test("SGD, with momentum and weight decay", () => {
    const withoutMomentum = createWeight();
    assertClose(
      descend(withoutMomentum, new optim.SGD([withoutMomentum], { lr: 0.1 })),
      [0.729, -1.024, 0.648],
      {
        rtol: 1e-6,
      },
    );
    const withMomentum = createWeight();
    const options = { lr: 0.1, momentum: 0.9, weightDecay: 0.01 };
    assertClose(
      descend(withMomentum, new optim.SGD([withMomentum], options)),
      computeExpected(sgd(options)),
      {
        rtol: 1e-6,
      },
    );
  });

  test("AdamW and Adam", () => {
    const options = { lr: 0.1, betas: [0.8, 0.9] as [number, number], eps: 1e-6, weightDecay: 0.1 };
    const w = createWeight();
    assertClose(descend(w, new optim.AdamW([w], options)), computeExpected(adam(options, true)), {
      rtol: 1e-5,
    });
    const v = createWeight();
    assertClose(descend(v, new optim.Adam([v], options)), computeExpected(adam(options, false)), {
      rtol: 1e-5,
    });
  });

  test("each group has its own options; lr can be set", () => {
    const a = createWeight();
    const b = createWeight();
    const optimizer = new optim.SGD(
      [
        { params: [a], lr: 1 },
        { params: [b], weightDecay: 1 },
      ],
      { lr: 0.5 },
    );
    for (const w of [a, b]) sum(w).backward();
    optimizer.step();
    assertClose(a, [0, -3, 2]);
    assertClose(b, [0, -1.5, 1]); // w - 0.5 (1 + w)
    optimizer.lr = 0.25;
    assert.is(optimizer.lr, 0.25);
    optimizer.step();
    assertClose(a, [-0.25, -3.25, 1.75]);
  });

  test("clipping invalidates graphs that a gradient is part of", () => {
    const w = createWeight();
    sum(mul(w, w)).backward();
    const scale = tensor([1, 1, 1], { device: on, requiresGrad: true });
    const penalty = sum(mul(w.grad as Tensor, scale));
    clipGradNorm([w], 1);
    assert.throws(() => penalty.backward(), /input 0 of mul was changed in place/);
  });

  test("a parameter without a gradient is unchanged; zeroGrad() sets null", () => {
    const a = createWeight();
    const b = createWeight();
    const optimizer = new optim.AdamW([a, b], { lr: 0.1 });
    sum(a).backward();
    optimizer.step();
    assert.equal(b.toArray(), [1, -2, 3]);
    optimizer.zeroGrad();
    assert.is(a.grad, null);
  });

  test("Adam corrects the bias of each parameter by its own number of updates", () => {
    const a = createWeight();
    const b = createWeight();
    const optimizer = new optim.Adam([a, b], { lr: 0.1 });
    for (let i = 0; i < 3; i++) {
      optimizer.zeroGrad();
      sum(i < 2 ? a : a.add(b)).backward(); // without b in the first two steps
      optimizer.step();
    }
    // its first step is lr times the sign of the gradient
    assertClose(b, [0.9, -2.1, 2.9], { rtol: 1e-6 });
  });

  test("stateDict() and loadStateDict() restore the state", () => {
    const options = { lr: 0.1 };
    const a = createWeight();
    const b = createWeight();
    const first = new optim.AdamW([a], options);
    const second = new optim.AdamW([b], options);
    descend(a, first);
    b.assign(a.detach());
    second.loadStateDict(first.stateDict());
    assert.equal(descend(b, second).data(), descend(a, first).data());
    assert.equal(Object.keys(first.stateDict()), ["0.m", "0.v", "0.t"]);
    assert.is(first.stateDict()["0.t"].item(), 6);
    assert.throws(() => second.loadStateDict({}), /loadStateDict: 0.m missing/);
  });

  test("AdamW's decay leaves the moments alone, Adam's is part of the gradient", () => {
    const update = (Algorithm: typeof optim.AdamW | typeof optim.Adam) => {
      const w = createWeight();
      sum(mul(w, 0)).backward();
      const optimizer = new Algorithm([w], { lr: 0.5, weightDecay: 0.1 });
      optimizer.step();
      return { w: w.toArray(), m: optimizer.stateDict()["0.m"] };
    };
    const decoupled = update(optim.AdamW);
    assertClose(decoupled.w as number[], [0.95, -1.9, 2.85]);
    assertClose(decoupled.m, [0, 0, 0], { atol: 0 });
    const penalized = update(optim.Adam);
    assertClose(penalized.w as number[], [0.5, -1.5, 2.5], { rtol: 1e-5 });
    assertClose(penalized.m, [0.01, -0.02, 0.03], { rtol: 1e-5 });
  });

  test("lr is the rate of the first group; setting it sets that of all groups", () => {
    const [a, b] = [createWeight(), createWeight()];
    const optimizer = new optim.SGD([{ params: [a], lr: 0.25 }, { params: [b] }], { lr: 0.5 });
    assert.is(optimizer.lr, 0.25);
    optimizer.lr = 1;
    sum(a.add(b)).backward();
    optimizer.step();
    assert.equal(
      [a.toArray(), b.toArray()],
      [
        [0, -3, 2],
        [0, -3, 2],
      ],
    );
  });

  test("clipGradNorm() returns the norm before clipping and scales each gradient once", () => {
    const a = createWeight();
    const b = createWeight();
    sum(mul(a, 3)).backward();
    sum(mul(b, 4)).backward();
    const norm = Math.sqrt(75);
    assertClose([clipGradNorm([a, b], 1)], [norm]);
    assertClose(
      a.grad as Tensor,
      [3, 3, 3].map((g) => g / (norm + 1e-6)),
    );
    assertClose([clipGradNorm([a, b], 5)], [1], { rtol: 1e-5 });
    assertClose(
      b.grad as Tensor,
      [4, 4, 4].map((g) => g / norm),
      { rtol: 1e-5 },
    );
    assert.is(clipGradNorm([createWeight()], 1), 0);
    assert.throws(() => clipGradNorm([a], 0), /maxNorm is 0/);
    // add() returns the same gradient for both operands; each is scaled once
    const c = createWeight();
    const d = createWeight();
    sum(c.add(d)).backward();
    clipGradNorm([c, d], 0.5);
    assertClose([clipGradNorm([c, d], Infinity)], [0.5], { rtol: 1e-5 });
  });

  test("clipGradNorm() divides by the norm plus 1e-6, as PyTorch does", () => {
    const w = createWeight();
    sum(mul(w, 2 ** -20)).backward();
    const norm = Math.sqrt(3) * 2 ** -20; // 1.65e-6: without the 1e-6 the result differs by 60 %
    clipGradNorm([w], 1e-6);
    const expected = (2 ** -20 * 1e-6) / (norm + 1e-6);
    assertClose(w.grad as Tensor, [expected, expected, expected], { rtol: 1e-5, atol: 0 });
  });

  test("cosineSchedule: warmup, decay, then constant", () => {
    const rate = optim.cosineSchedule({ lr: 1, minLr: 0.1, warmupIters: 9, decayIters: 109 });
    assertClose([0, 4, 9, 59, 84, 109, 500].map(rate), [
      0.1,
      0.5,
      1,
      0.55,
      0.1 + 0.45 * (1 - Math.SQRT1_2),
      0.1,
      0.1,
    ]);
    assert.is(optim.cosineSchedule({ lr: 2, decayIters: Infinity })(10 ** 6), 2);
    // nanoGPT divides by warmup_iters + 1, so that the first step after the warmup is not repeated
    const short = optim.cosineSchedule({ lr: 1, warmupIters: 2, decayIters: Infinity });
    assertClose([0, 1, 2, 3].map(short), [1 / 3, 2 / 3, 1, 1], { rtol: 1e-12, atol: 0 });
  });

  test("invalid parameters and options are errors", () => {
    const w = createWeight();
    assert.throws(() => new optim.AdamW([], {}), /AdamW: params is empty/);
    assert.throws(() => new optim.AdamW([w, w]), /AdamW: params has a parameter twice/);
    assert.throws(() => new optim.AdamW([w.mul(2)]), /must be leaf tensors with requiresGrad/);
    assert.throws(
      () => new optim.AdamW([w], 0.1 as never),
      /AdamW: options are 0.1, expected an object/,
    );
    assert.throws(
      () => new optim.SGD([w], { learningRate: 1 } as never),
      /SGD: unknown option learningRate/,
    );
    assert.throws(() => new optim.SGD([w], { lr: -1 }), /SGD: lr is -1/);
    assert.throws(() => new optim.SGD([{ params: [w], lr: NaN }]), /SGD: lr is NaN/);
    assert.throws(() => new optim.AdamW([w], { eps: "1e-8" } as never), /AdamW: eps is 1e-8/);
    assert.throws(() => new optim.AdamW(w as never), /AdamW: params is object, expected a list/);
    assert.throws(() => new optim.AdamW([{ lr: 1 }] as never), /AdamW: a group has no params/);
    const optimizer = new optim.SGD([w]);
    assert.throws(() => {
      optimizer.lr = Infinity;
    }, /SGD: lr is Infinity, expected a finite number/);
    assert.throws(() => optim.cosineSchedule({ lr: 1 } as never), /decayIters is undefined/);
    assert.throws(() => clipGradNorm(w as never, 1), /clipGradNorm: params is .*, expected a list/);
  });
});

const coefficients = [0.5, 1, 2];

/** Computes w after three steps of an update rule in f64, by the formulas of its paper. */
function computeExpected(rule: () => (w: number, g: number, t: number) => number): number[] {
  return [1, -2, 3].map((start, i) => {
    const update = rule();
    let w = start;
    for (let t = 1; t <= 3; t++) w = update(w, 2 * coefficients[i] * w, t);
    return w;
  });
}

function sgd({ lr, momentum, weightDecay }: { lr: number; momentum: number; weightDecay: number }) {
  return () => {
    let velocity = 0;
    return (w: number, g: number, t: number) => {
      const d = g + weightDecay * w;
      velocity = t === 1 ? d : momentum * velocity + d;
      return w - lr * velocity;
    };
  };
}

function adam(
  {
    lr,
    betas,
    eps,
    weightDecay,
  }: { lr: number; betas: [number, number]; eps: number; weightDecay: number },
  decoupled: boolean,
) {
  return () => {
    let m = 0;
    let v = 0;
    return (w: number, dw: number, t: number) => {
      const g = decoupled ? dw : dw + weightDecay * w;
      m = betas[0] * m + (1 - betas[0]) * g;
      v = betas[1] * v + (1 - betas[1]) * g * g;
      const decayed = decoupled ? w - lr * weightDecay * w : w;
      return (
        decayed - (lr * (m / (1 - betas[0] ** t))) / (Math.sqrt(v / (1 - betas[1] ** t)) + eps)
      );
    };
  };
}
