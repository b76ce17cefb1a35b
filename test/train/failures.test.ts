// What ends training and what does not: losses, gradients and weights that are not finite, disks
// that cannot be written, and a run folder that disappears. A good checkpoint is never lost.

import fs, {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DivergedError,
  loadSafetensors,
  mul,
  sqrt,
  sum,
  type Tensor,
  type TrainConfig,
  tensor,
  train,
} from "tinybard";
import * as assert from "uvu/assert";
import { FileError } from "#src/files/file-error.js";
import type { LanguageModel } from "#src/gpt/language-model.js";
import { loadState } from "#src/runs/checkpoint.js";
import { type MetricsRow, readRows } from "#src/runs/metrics.js";
import type { Run } from "#src/runs/run.js";
import { TrainStep } from "#src/train/captured-step.js";
import type { TrainHooks } from "#src/train/hooks.js";
import { diskErrors, makeFullDisk, makeSystemError, patchFs } from "../support/faults.js";
import { eachDevice } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-failures-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));

// the last character is never an input, so no loss depends on its embedding
const dataWithZ = join(folder, "text-z.txt");
writeFileSync(dataWithZ, `${readFileSync(data, "utf8")}Z`);

let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);
const tiny: Partial<TrainConfig> = {
  data,
  nLayer: 1,
  nHead: 2,
  nEmbd: 16,
  blockSize: 8,
  batchSize: 4,
  evalInterval: 1000,
  evalIters: 1,
  logInterval: 1000,
  seed: 3,
};
const maxIters = 12;

/** Results stay on the device until they are needed, as on a GPU, while `body` runs. */
async function withDeferredResults<T>(body: () => Promise<T>): Promise<T> {
  const { prototype } = TrainStep;
  const original = Object.getOwnPropertyDescriptor(prototype, "shouldFlush") as PropertyDescriptor;
  Object.defineProperty(prototype, "shouldFlush", { configurable: true, get: () => false });
  try {
    return await body();
  } finally {
    Object.defineProperty(prototype, "shouldFlush", original);
  }
}

/** Returns the first weight of a model. */
function getWeight(model: LanguageModel): Tensor {
  for (const w of model.parameters()) return w;
  assert.unreachable();
  return undefined as never;
}

/** Returns the step of a checkpoint. Asserts that its weights and its losses are finite. */
function getGoodStep(out: string, name = "last"): number | undefined {
  const state = loadState(join(out, name));
  if (!state) return undefined;
  const losses = Object.values(state.evaluation ?? {});
  assert.ok(losses.every(Number.isFinite), `${losses}`);
  const weights = Object.values(loadSafetensors(join(out, name, "model.safetensors")));
  for (const w of weights) assert.ok(w.data().every(Number.isFinite));
  return state.step;
}

eachDevice("failures of training", (test, on) => {
  const run = (options: Partial<TrainConfig>, hooks: TrainHooks = {}) =>
    train({ ...tiny, maxIters, device: on.name, out: newFolder(), ...options }, hooks);

  /** Trains, asserts that training diverges, and returns the message. */
  const diverge = async (options: Partial<TrainConfig>, hooks: TrainHooks = {}) => {
    const error = await run(options, hooks).catch((error) => error);
    assert.instance(error, DivergedError, `${error?.stack}`);
    return error.message as string;
  };

  test("an evaluation that is not finite is not saved", async () => {
    for (const isFinal of [false, true]) {
      const out = newFolder();
      let model!: LanguageModel;
      const message = await diverge(
        { out, evalInterval: isFinal ? 1000 : 4, maxIters: isFinal ? 4 : 12 },
        {
          start: (run) => {
            model = run.model;
          },
          evaluating({ step, done }) {
            if (step === 4 && done === 1) getWeight(model).fill(NaN);
          },
          evaluation: ({ step }) => assert.is(step, 0),
        },
      );
      assert.match(
        message,
        /^step 4: the loss is NaN; the first tensor that is not finite is weight wte\.weight\. The last/,
      );
      assert.is(getGoodStep(out), 0);
      assert.is(getGoodStep(out, "best"), 0);
    }
  });

  test("weights that are not finite at the start are not saved", async () => {
    const out = newFolder();
    const start = ({ model }: Run) => void getWeight(model).fill(Infinity);
    const message = await diverge({ out }, { start });
    assert.match(
      message,
      /^step 0: the loss is NaN; .* is weight wte\.weight\. The weights at the/,
    );
    assert.not(existsSync(join(out, "last")));
    assert.not(existsSync(join(out, "best")));
  });

  test("a NaN in a weight that no loss shows is not saved on request, stop or evaluation", async () => {
    for (const reason of ["save", "stop", "evaluation"]) {
      const out = newFolder();
      let started!: Run;
      let seen = -1;
      const damage = () => {
        const w = getWeight(started.model); // wte (V, C)
        const values = w.data();
        values[16 * started.tokenizer.encode("Z")[0]] = NaN;
        w.assign(tensor(values, { shape: w.shape, device: on }));
      };
      const isDue = (expected: string) => {
        if (reason !== expected || seen !== 2) return false;
        damage();
        return true;
      };
      const message = await diverge(
        {
          out,
          evalInterval: reason === "evaluation" ? 3 : 1000,
          data: dataWithZ,
          tieWeights: false,
        },
        {
          start: (value) => {
            started = value;
          },
          step: ({ step }) => {
            seen = step;
            if (step === 2 && reason === "evaluation") damage();
          },
          save: () => isDue("save"),
          stop: () => isDue("stop"),
        },
      );
      assert.match(message, /^step 3: weight wte\.weight is not finite\. The last checkpoint/);
      assert.is(getGoodStep(out), 0, reason);
    }
  });

  test("a gradient that is not finite changes no weight, although the loss is finite", async () => {
    for (const gradAccum of [1, 2]) {
      for (const gradClip of [0, 1]) {
        const out = newFolder();
        let w!: Tensor;
        let before!: ArrayLike<number>;
        const message = await diverge(
          { out, gradAccum, gradClip },
          {
            start({ model }) {
              w = getWeight(model);
              before = w.data();
              const forward = model.forward.bind(model);
              model.forward = (...args) => {
                const { logits, loss } = forward(...args);
                const zero = sum(sqrt(mul(w, 0))); // its derivative is 0 * infinity
                return { logits, loss: (loss as Tensor).add(zero) };
              };
            },
          },
        );
        assert.match(
          message,
          /^step 0: the gradient norm is NaN; the first tensor .* is the gradient of wte\.weight/,
        );
        assert.equal(w.data(), before);
        assert.is(getGoodStep(out), 0);
      }
    }
  });

  test("a loss on the device that is not finite is not saved on request or stop", async () => {
    for (const reason of ["save", "stop"]) {
      const out = newFolder();
      let steps = 0;
      const isDue = (expected: string) => reason === expected && steps++ === 6;
      const message = await withDeferredResults(() =>
        diverge(
          { out, learningRate: 1e30, gradClip: 0 },
          {
            save: () => isDue("save"),
            stop: () => isDue("stop"),
            saved: (step) => assert.unreachable(`saved ${step}`),
          },
        ),
      );
      assert.match(message, /^step \d: the (loss|gradient norm) is/);
      assert.is(getGoodStep(out), 0);
    }
  });

  test("results on the device are reported before a save and a stop, and their time counts", async () => {
    for (const reason of ["save", "stop"]) {
      const events: (string | number)[] = [];
      let row: MetricsRow | null = null;
      let checks = 0;
      const isDue = (expected: string) => reason === expected && checks++ === 5;
      let hasWaited = false;
      const { flush } = TrainStep.prototype;
      TrainStep.prototype.flush = function () {
        const isSaving = checks === 6 && !hasWaited;
        hasWaited ||= isSaving;
        if (isSaving) for (const start = performance.now(); performance.now() < start + 300; );
        return flush.call(this);
      };
      try {
        await withDeferredResults(() =>
          run(
            { logInterval: 5, maxIters: 6 },
            {
              step: (result) => {
                events.push(result.step);
                if (result.step === 5) row = result;
              },
              save: () => isDue("save"),
              stop: () => isDue("stop"),
              saved: (step) => events.push(`saved ${step}`),
            },
          ),
        );
      } finally {
        TrainStep.prototype.flush = flush;
      }
      // stop() is also called after each batch of the evaluation, of which there are two
      if (reason === "stop") assert.equal(events, [0, 1, 2]);
      else assert.equal(events, [0, 1, 2, 3, 4, "saved 5", 5]);
      const { tokensPerSecond } = (row as MetricsRow | null) ?? {};
      // 5 steps of 32 tokens
      if (reason === "save") assert.ok((tokensPerSecond as number) <= 160 / 0.3);
    }
  });

  test("a pause does not count as training time", async () => {
    const times: { wall: number; elapsed: number }[] = [];
    let pauseEnd: number | undefined; // the first step is followed by a pause
    await run(
      { maxIters: 3 },
      {
        step: ({ elapsedSeconds: elapsed }) => {
          times.push({ wall: performance.now() / 1000, elapsed });
        },
        paused() {
          if (times.length === 0) return false;
          pauseEnd ??= performance.now() + 500;
          return performance.now() < pauseEnd;
        },
      },
    );
    const [first, second] = times;
    const pause = second.wall - first.wall - (second.elapsed - first.elapsed);
    assert.ok(pause > 0.49, `${pause}`);
  });

  test("the final evaluation of a shorter run is not part of the run that resumes it", async () => {
    const losses = new Map<number, number>();
    const evaluation = ({ step, valLoss }: { step: number; valLoss: number }) =>
      losses.set(step, valLoss);
    const options = { evalInterval: 5, logInterval: 1, learningRate: 1e-2 };
    const { out, bestValLoss } = await run({ ...options, maxIters: 7 }, { evaluation });
    assert.equal([...losses.keys()], [0, 5, 7]);
    assert.ok((losses.get(7) as number) < (losses.get(5) as number), "the loss decreases");
    assert.is(bestValLoss, losses.get(7));
    assert.is(loadState(join(out, "last"))?.bestValLoss, losses.get(5));
    const resumed: number[] = [];
    await train(
      { resume: out, maxIters: 9 },
      { evaluation: ({ step }) => void resumed.push(step) },
    );
    assert.equal(resumed, [9]);
    assert.equal(
      readRows(out)
        .filter(({ valLoss }) => valLoss !== undefined)
        .map(({ step }) => step),
      [0, 5, 9],
    );
    const other = await run({ ...options, maxIters: 7 });
    const repeated: number[] = [];
    await train({ resume: other.out }, { evaluation: ({ step }) => void repeated.push(step) });
    assert.equal(repeated, [], "a finished run is not evaluated again");
  });

  test("a checkpoint that cannot be written ends the run, and the previous one stays", async () => {
    for (const code of diskErrors) {
      const out = newFolder();
      const warnings: string[] = [];
      let error!: Error;
      const fail = () => {
        throw makeSystemError(code, "fsync");
      };
      for (const patch of [makeFullDisk(20_000, code), { fsyncSync: fail }]) {
        rmSync(out, { recursive: true, force: true });
        let restore = () => {};
        error = await run(
          { out, evalInterval: 4 },
          {
            step: ({ step }) => {
              if (step === 2) restore = patchFs(patch as never);
            },
            warning: (message) => warnings.push(message),
          },
        ).catch((error) => error);
        restore();
        assert.instance(error, FileError, `${error?.stack}`);
        assert.ok(error.message.startsWith(out), error.message);
        assert.ok(error.message.includes(`(${code})`), error.message);
        assert.is(getGoodStep(out), 0);
        assert.is(getGoodStep(out, "best"), 0);
        for (const name of ["best", "last"])
          assert.equal(
            fs.readdirSync(join(out, name)).filter((file) => file.endsWith(".tmp")),
            [],
          );
      }
    }
  });

  test("files without which training goes on", async () => {
    const out = newFolder();
    const warnings: string[] = [];
    await run(
      { out, evalInterval: 4, logInterval: 1 },
      {
        start() {
          rmSync(join(out, "metrics.jsonl"));
          fs.mkdirSync(join(out, "metrics.jsonl"));
          fs.mkdirSync(join(out, "loss.svg"));
        },
        warning: (message) => warnings.push(message),
      },
    );
    assert.is(getGoodStep(out), 12);
    assert.is(warnings.length, 2, warnings.join("\n"));
    assert.match(
      warnings.join("\n"),
      /metrics\.jsonl: a folder.* training goes on, but not all of it is written$/m,
    );
    assert.match(
      warnings.join("\n"),
      /loss\.svg: .* training goes on, but not all of it is written$/m,
    );
  });

  test("a run folder that disappears ends the run, and is not created again", async () => {
    const away = join(folder, "away");
    const actions: [string, (out: string) => void, RegExp][] = [
      ["removed", (out) => rmSync(out, { recursive: true }), /the folder was removed or renamed/],
      ["renamed", (out) => renameSync(out, away), /the folder was removed or renamed/],
      ["config", (out) => rmSync(join(out, "config.json")), /config\.json: the file was removed/],
    ];
    for (const [name, remove, message] of actions) {
      for (const logInterval of [1, 1000]) {
        rmSync(away, { recursive: true, force: true });
        const out = newFolder();
        let lastStep = -1;
        const step = (row: MetricsRow) => {
          lastStep = row.step;
          if (row.step === 2) remove(out);
        };
        const error = await run({ out, logInterval, evalInterval: 4 }, { step }).catch((e) => e);
        assert.instance(error, FileError, `${name}: ${error}`);
        assert.match(error.message, message);
        assert.ok(error.message.startsWith(out), error.message);
        assert.is(lastStep, logInterval === 1 ? 2 : 3, "noticed with the next row or save");
        if (name !== "config") assert.not(existsSync(out), name);
        else assert.is(getGoodStep(out), 0);
      }
    }
  });

  test("resuming after damage to metrics.jsonl: good rows are kept in their bytes", async () => {
    const { out } = await run({ logInterval: 1, evalInterval: 4, maxIters: 8 });
    const file = join(out, "metrics.jsonl");
    const lines = readFileSync(file, "utf8").split("\n");
    lines[3] = '{"step":3,"lo';
    lines.splice(5, 0, "", "null", "\0\0\0");
    writeFileSync(file, `${lines.join("\n")}{"step":9,"l`);
    const warnings: string[] = [];
    await train({ resume: out, maxIters: 10 }, { warning: (message) => warnings.push(message) });
    assert.equal(
      readRows(out).map(({ step }) => step),
      [0, 1, 2, 4, 5, 6, 7, 8, 9, 10],
    );
    assert.ok(readFileSync(file, "utf8").startsWith(lines.slice(0, 3).join("\n")));
    assert.match(warnings.join(), /metrics\.jsonl: 4 damaged lines were dropped$/);
  });
});
