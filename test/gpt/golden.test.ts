// A training run recorded in PyTorch: the same initial weights, batches and optimizer give the same
// losses.

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
import { assertClose, eachDevice, fixturePath, loadShakespeare } from "../support/harness.js";

const golden = JSON.parse(readFileSync(fixturePath("gpt/gpt.json"), "utf8"));

eachDevice("golden GPT", (test, on) => {
  const text = loadShakespeare("the golden training run");
  const run = text === null ? test.skip : test;
  const ids = text === null ? [] : CharTokenizer.train(text).encode(text.slice(0, 200_000));
  const { batchSize, ...config } = golden.config;
  const loadModel = () => {
    const model = new GPT({ ...config, scaleResidual: false } as GPTOptions).to(on);
    model.loadStateDict(loadSafetensors(fixturePath("gpt/init.safetensors")));
    return model;
  };
  const getBatch = (step: number, device: Device = on) => {
    const offsets: number[] = golden.offsets[step];
    const getTokens = (shift: number) => {
      const rows = offsets.map((o) => ids.slice(o + shift, o + shift + config.blockSize));
      return tensor(Int32Array.from(rows.flat()), {
        shape: [batchSize, config.blockSize],
        device,
      });
    };
    return [getTokens(0), getTokens(1)];
  };

  const norm = (a: ArrayLike<number>) =>
    Math.sqrt(Array.from(a).reduce((sum, x) => sum + x * x, 0));
  /** Relative error |w - e| / |e| in the Euclidean norm. */
  const relativeError = (w: Tensor, expected: ArrayLike<number>) =>
    norm(Array.from(w.data(), (value, i) => value - expected[i])) / norm(expected);

  run("the first step's logits and gradients", () => {
    const model = loadModel();
    const [x, y] = getBatch(0);
    const { logits, loss } = model.forward(x, y);
    assertClose(logits as Tensor, loadSafetensors(fixturePath("gpt/logits.safetensors")).logits, {
      rtol: 1e-5,
      atol: 2e-6,
    });
    assertClose([(loss as Tensor).item()], [golden.losses[0]], { rtol: 1e-6 });
    (loss as Tensor).backward();
    const grads = loadSafetensors(fixturePath("gpt/grads.safetensors"));
    let count = 0;
    for (const [name, w] of model.namedParameters()) {
      const difference = relativeError(w.grad as Tensor, grads[name].data());
      assert.ok(difference <= 1e-5, `${name}: ${difference}`);
      count++;
    }
    assert.is(count, Object.keys(grads).length);
  });

  /** Returns a function that runs a step of the training run: [loss, gradient norm]. */
  const createStep = (model: GPT) => {
    const { lr, weightDecay, betas, eps } = golden.optimizer;
    const optimizer = new optim.AdamW(model.parameters(), { lr, weightDecay, betas, eps });
    return (step: number) =>
      scope(() => {
        const [x, y] = getBatch(step, model.wte.weight.device);
        const loss = model.forward(x, y).loss as Tensor;
        loss.backward();
        const gradNorm = optim.clipGradNorm(model.parameters(), Infinity);
        optimizer.step();
        optimizer.zeroGrad();
        return [loss.item(), gradNorm];
      });
  };

  run("50 steps match PyTorch", () => {
    const model = loadModel();
    const runStep = createStep(model);
    for (let step = 0; step < 50; step++) {
      const [loss, gradNorm] = runStep(step);
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
    const final = loadSafetensors(fixturePath("gpt/final.safetensors"));
    for (const [name, w] of model.namedParameters())
      assert.ok(
        relativeError(w, final[name].data()) < 0.05,
        `${name}: ${relativeError(w, final[name].data())}`,
      );
  });

  if (on.memory.isHost) return;
  run("50 steps in bf16: losses within the noise of five seeds", () => {
    const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    /** The mean losses of steps 10 to 19, 20 to 29, 30 to 39 and 40 to 49. */
    const average = (losses: number[]) =>
      [10, 20, 30, 40].map((step) => mean(losses.slice(step, step + 10)));
    const trainLosses = (model: GPT) => {
      const runStep = createStep(model);
      return average(Array.from({ length: 50 }, (_, step) => runStep(step)[0]));
    };
    const hasCpu = devices().some(({ name, available }) => name === "cpu" && available);
    const hostDevice = device(hasCpu ? "cpu" : "ts");
    const bf16Losses = trainLosses(loadModel().to("bf16"));
    const goldenLosses = average(golden.losses);
    const otherLosses = [1, 2, 3, 4, 5].map((seed) => {
      manualSeed(seed);
      const other = new GPT({ ...config, scaleResidual: false } as GPTOptions);
      return trainLosses(other.to(hostDevice));
    });
    for (const [i, loss] of bf16Losses.entries()) {
      const samples = otherLosses.map((losses) => losses[i]);
      const center = mean(samples);
      const noise = Math.sqrt(mean(samples.map((x) => (x - center) ** 2)) * (5 / 4));
      const error = Math.abs(loss - goldenLosses[i]);
      assert.ok(error <= noise, `steps ${10 * (i + 1)}: error ${error}, noise ${noise}`);
    }
  });
});
