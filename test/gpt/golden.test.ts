// PyTorch's training run: the same weights, batches and optimizer give the same losses, step by
// step.

import { readFileSync } from "node:fs";
import {
  CharTokenizer,
  GPT,
  type GPTOptions,
  loadSafetensors,
  optim,
  scope,
  type Tensor,
  tensor,
} from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, fixture, shakespeare } from "../support.js";

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
  const batch = (step: number) => {
    const piece = (shift: number) =>
      (golden.offsets[step] as number[]).flatMap((o) =>
        ids.slice(o + shift, o + shift + config.blockSize),
      );
    const make = (shift: number) =>
      tensor(Int32Array.from(piece(shift)), { shape: [batchSize, config.blockSize], device: on });
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

  run("50 steps as PyTorch's", () => {
    const gpt = model();
    const { lr, weightDecay, betas, eps } = golden.optimizer;
    const optimizer = new optim.AdamW(gpt.parameters(), { lr, weightDecay, betas, eps });
    for (let step = 0; step < 50; step++) {
      const [loss, gradNorm] = scope(() => {
        const [x, y] = batch(step);
        const out = gpt.forward(x, y).loss as Tensor;
        out.backward();
        const before = optim.clipGradNorm(gpt.parameters(), Infinity);
        optimizer.step();
        optimizer.zeroGrad();
        return [out.item(), before];
      });
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
});
