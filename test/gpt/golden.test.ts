// PyTorch's training run: the same weights, batches and optimizer give the same losses, step by
// step.

import { readFileSync } from "node:fs";
import {
  CharTokenizer,
  type Device,
  device,
  devices,
  GPT,
  type GPTOptions,
  loadSafetensors,
  manualSeed,
  optim,
  scope,
  type Tensor,
  tensor,
} from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, fixture, shakespeare } from "../support/support.js";

const golden = JSON.parse(readFileSync(fixture("gpt/gpt.json"), "utf8"));

eachDevice("golden GPT", (test, on) => {
  const text = shakespeare("the golden training run");
  const run = text === null ? test.skip : test;
  const ids = text === null ? [] : CharTokenizer.train(text).encode(text.slice(0, 200_000));
  const { batchSize, ...config } = golden.config;
  const model = () => {
    const made = new GPT({ ...config, scaleResidual: false } as GPTOptions).to(on);
    made.loadStateDict(loadSafetensors(fixture("gpt/init.safetensors")));
    return made;
  };
  const batch = (step: number, device: Device = on) => {
    const piece = (shift: number) =>
      (golden.offsets[step] as number[]).flatMap((o) =>
        ids.slice(o + shift, o + shift + config.blockSize),
      );
    const make = (shift: number) =>
      tensor(Int32Array.from(piece(shift)), { shape: [batchSize, config.blockSize], device });
    return [make(0), make(1)];
  };

  const norm = (a: ArrayLike<number>) =>
    Math.sqrt(Array.from(a).reduce((sum, each) => sum + each * each, 0));
  /** |w - e| / |e|, in the Euclidean norm. */
  const distance = (w: Tensor, expected: ArrayLike<number>) =>
    norm(Array.from(w.data(), (each, i) => each - expected[i])) / norm(expected);

  run("the first step's logits and gradients", () => {
    const gpt = model();
    const [x, y] = batch(0);
    const { logits, loss } = gpt.forward(x, y);
    assertClose(logits as Tensor, loadSafetensors(fixture("gpt/logits.safetensors")).logits, {
      rtol: 1e-5,
      atol: 2e-6,
    });
    assertClose([(loss as Tensor).item()], [golden.losses[0]], { rtol: 1e-6 });
    (loss as Tensor).backward();
    const grads = loadSafetensors(fixture("gpt/grads.safetensors"));
    let count = 0;
    for (const [name, w] of gpt.namedParameters()) {
      const difference = distance(w.grad as Tensor, grads[name].data());
      assert.ok(difference <= 1e-5, `${name}: ${difference}`);
      count++;
    }
    assert.is(count, Object.keys(grads).length);
  });

  /** A training step of the golden run, as a function of its number. */
  const training = (gpt: GPT) => {
    const { lr, weightDecay, betas, eps } = golden.optimizer;
    const optimizer = new optim.AdamW(gpt.parameters(), { lr, weightDecay, betas, eps });
    return (step: number) =>
      scope(() => {
        const [x, y] = batch(step, gpt.wte.weight.device);
        const out = gpt.forward(x, y).loss as Tensor;
        out.backward();
        const before = optim.clipGradNorm(gpt.parameters(), Infinity);
        optimizer.step();
        optimizer.zeroGrad();
        return [out.item(), before];
      });
  };

  run("50 steps as PyTorch's", () => {
    const gpt = model();
    const take = training(gpt);
    for (let step = 0; step < 50; step++) {
      const [loss, gradNorm] = take(step);
      assertClose([loss], [golden.losses[step]], {
        rtol: 0,
        atol: step < 20 ? 1e-5 : 1e-3,
        what: `loss of step ${step}`,
      });
      assertClose([gradNorm], [golden.gradNorms[step]], {
        rtol: step < 15 ? 1e-4 : 5e-2,
        what: `gradient norm of step ${step}`,
      });
    }
    const final = loadSafetensors(fixture("gpt/final.safetensors"));
    for (const [name, w] of gpt.namedParameters())
      assert.ok(
        distance(w, final[name].data()) < 0.05,
        `${name}: ${distance(w, final[name].data())}`,
      );
  });

  if (on.memory.isHost) return;
  run("50 steps in bf16: losses within the noise of five seeds", () => {
    const parts = (losses: number[]) =>
      [10, 20, 30, 40].map((at) => mean(losses.slice(at, at + 10))); // ten steps each
    const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length;
    const take = (step: (at: number) => number[]) =>
      Array.from({ length: 50 }, (_, at) => step(at)[0]);
    const cheap = device(
      devices().some(({ name, available }) => name === "cpu" && available) ? "cpu" : "ts",
    );
    const runBf16 = parts(take(training(model().to("bf16"))));
    const exact = parts(golden.losses);
    const others = [1, 2, 3, 4, 5].map((seed) => {
      manualSeed(seed);
      const other = new GPT({ ...config, scaleResidual: false } as GPTOptions);
      return parts(take(training(other.to(cheap))));
    });
    for (const [i, loss] of runBf16.entries()) {
      const center = mean(others.map((each) => each[i]));
      const noise = Math.sqrt(mean(others.map((each) => (each[i] - center) ** 2)) * (5 / 4));
      const off = Math.abs(loss - exact[i]);
      assert.ok(off <= noise, `steps ${10 * (i + 1)}: off by ${off}, noise ${noise}`);
    }
  });
});
