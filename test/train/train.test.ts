// The training loop: it learns, writes the files of a run, and resumes bit for bit.

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import {
  cat,
  DivergedError,
  loadSafetensors,
  optim,
  type Tensor,
  type TrainConfig,
  tensor,
  train,
} from "tinybard";
import * as assert from "uvu/assert";
import { sampleBatch, toCounterTensor } from "#src/data/batches.js";
import { UsageError } from "#src/errors.js";
import { loadState } from "#src/runs/checkpoint.js";
import { loadRun } from "#src/runs/load.js";
import { readRows } from "#src/runs/metrics.js";
import type { Run } from "#src/runs/run.js";
import { assertClose, eachDevice } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-train-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(
  data,
  "To be, or not to be, that is the question:\nWhether 'tis nobler in the mind to suffer\n".repeat(
    40,
  ),
);

let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);
const tiny: Partial<TrainConfig> = {
  data,
  nLayer: 1,
  nHead: 2,
  nEmbd: 16,
  blockSize: 8,
  batchSize: 4,
  evalInterval: 5,
  evalIters: 2,
  logInterval: 1,
  seed: 3,
};

/** Reads all results of a run except its timings. */
function readResults(out: string): Record<string, unknown> {
  const rows = readRows(out).map(({ tokensPerSecond, elapsedSeconds, ...row }) => row);
  const files = ["best", "last"].flatMap((name) =>
    ["model", "optimizer"].map((part) => join(name, `${part}.safetensors`)),
  );
  const { elapsedSeconds, ...state } =
    loadState(join(out, "last")) ?? (assert.unreachable() as never);
  return {
    rows,
    state,
    ...Object.fromEntries(
      files.map((file) => [file, readFileSync(join(out, file)).toString("hex")]),
    ),
  };
}

eachDevice("train", (test, on) => {
  const run = (options: Partial<TrainConfig>, hooks = {}) =>
    train({ ...tiny, device: on.name, out: newFolder(), ...options }, hooks);
  const resume = (out: string, maxIters?: number) => train({ resume: out, maxIters });

  test("learns, and writes metrics and checkpoints", async () => {
    const seen: number[] = [];
    const result = await run(
      { maxIters: 150, evalInterval: 50, learningRate: 1e-2, logInterval: 10 },
      {
        evaluation: ({ step }: { step: number }) => seen.push(step),
      },
    );
    assert.equal(seen, [0, 50, 100, 150]);
    const [title, figures, model] = inspect(result).split("\n");
    assert.is(title, "TrainResult(");
    assert.match(figures, /^ {2}step=150, stopped=false, trainLoss=\d\.\d+, valLoss=\d\.\d+, best/);
    assert.match(model, /^ {2}model: GPT, [\d,]+ parameters, on /);
    const rows = readRows(result.out);
    assert.ok(Math.abs((rows[0].loss as number) - Math.log(result.tokenizer.vocabSize)) < 0.2);
    assert.ok((result.valLoss as number) < 1.6, `${result.valLoss}`);
    assert.equal(Object.keys(rows[0]), [
      "step",
      "loss",
      "lr",
      "gradNorm",
      "tokensPerSecond",
      "elapsedSeconds",
      "trainLoss",
      "valLoss",
    ]);
    assert.equal(Object.keys(rows[1]), [
      "step",
      "loss",
      "lr",
      "gradNorm",
      "tokensPerSecond",
      "elapsedSeconds",
    ]);
    assert.equal(
      rows.map((row) => row.step),
      [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130, 140, 150],
    );
    assert.is(rows.at(-1)?.valLoss, result.valLoss);
    for (const file of [
      "config.json",
      "tokenizer.json",
      "loss.svg",
      "best/model.safetensors",
      "last/optimizer.safetensors",
    ])
      assert.ok(existsSync(join(result.out, file)), file);
    assert.match(
      readFileSync(join(result.out, "loss.svg"), "utf8"),
      /^<svg [^>]+>\n[\s\S]*<polyline[^>]+points="[\d., ]+"[\s\S]*<\/svg>\n$/,
    );
    const loaded = loadRun(result.out, on);
    assert.is(loaded.tokenizer.vocabSize, result.tokenizer.vocabSize);
    const saved = loadSafetensors(join(result.out, "best", "model.safetensors"));
    for (const [name, w] of loaded.model.namedParameters())
      assert.equal(w.data(), saved[name].data());
  });

  test("an evaluation reports the number of its batches so far", async () => {
    const seen: string[] = [];
    await run(
      { maxIters: 1 },
      {
        evaluating({ step, done, total }: { step: number; done: number; total: number }) {
          seen.push(`${step}: ${done}/${total}`);
        },
        evaluation: ({ step }: { step: number }) => seen.push(`${step}: evaluated`),
      },
    );
    const batches = (step: number) => [1, 2, 3, 4].map((done) => `${step}: ${done}/4`);
    assert.equal(seen, [...batches(0), "0: evaluated", ...batches(1), "1: evaluated"]);
  });

  const allFeatures = {
    dropout: 0.2,
    gradAccum: 2,
    gradClip: 0.5,
    warmupIters: 3,
    lrDecayIters: 18,
    minLr: 1e-4,
    learningRate: 1e-2,
  };
  for (const [name, options] of [
    ["default options", {}],
    ["with dropout, accumulation, clipping, schedule", allFeatures],
    ["bigram", { model: "bigram" }],
    [
      "rotary, rmsNorm, SwiGLU",
      { ...allFeatures, positions: "rotary", norm: "rms", activation: "swiglu" },
    ],
    ["sinusoidal positions", { positions: "sinusoidal" }],
    ["token shift", { ...allFeatures, positions: "rotary", tokenShift: true }],
    [
      "QK-norm, relu2, zero projections, softcap",
      {
        ...allFeatures,
        positions: "rotary",
        activation: "relu2",
        qkNorm: true,
        zeroInitProjections: true,
        logitSoftcap: 15,
      },
    ],
  ] as const) {
    test(`20 steps equal 10 + resume + 10, byte for byte: ${name}`, async () => {
      for (const evalInterval of [5, 500]) {
        const whole = await run({ ...options, evalInterval, maxIters: 20 });
        const resumed = await run({ ...options, evalInterval, maxIters: 10 });
        await resume(resumed.out, 20);
        assert.equal(readResults(resumed.out), readResults(whole.out));
      }
    });
  }

  test("a run that was stopped at any step resumes bit for bit", async () => {
    const whole = readResults((await run({ ...allFeatures, maxIters: 12 })).out);
    for (const stopStep of [0, 1, 5, 6, 11]) {
      let steps = 0;
      const { out, stopped, state } = await run(
        { ...allFeatures, maxIters: 12 },
        {
          step: () => steps++,
          stop: () => steps >= stopStep,
        },
      );
      assert.ok(stopped);
      assert.is(state.step, stopStep);
      await resume(out);
      assert.equal(readResults(out), whole, `stopped at ${stopStep}`);
    }
  });

  test("resuming a finished run changes nothing; incomplete and later metrics are dropped", async () => {
    const { out } = await run({ maxIters: 7 });
    const before = readResults(out);
    writeFileSync(
      join(out, "metrics.jsonl"),
      `${readFileSync(join(out, "metrics.jsonl"), "utf8")}{"step":8,"loss":1}\n{"step":9,`,
    );
    await resume(out);
    assert.equal(readResults(out), before);
  });

  test("matmulPrecision medium is recorded, resumes bit for bit, and ends with the run", async () => {
    const warnings: string[] = [];
    const hooks = { warning: (message: string) => void warnings.push(message) };
    const medium = { matmulPrecision: "medium", maxIters: 12 } as const;
    const whole = readResults((await run(medium, hooks)).out);
    assert.equal(warnings, on.precisionFallback ? [on.precisionFallback] : []);
    assert.is(on.matmulPrecision, "highest");
    const { out } = await run({ ...medium, maxIters: 6 }, hooks);
    await resume(out, 12);
    assert.equal(readResults(out), whole);
    assert.match(readFileSync(join(out, "config.json"), "utf8"), /"matmulPrecision": "medium"/);
    const highest = readResults((await run({ maxIters: 12 })).out);
    if (on.precisionFallback) assert.equal(highest, whole);
    else assert.not.equal(highest.rows, whole.rows);
    const other = await train({ resume: out, matmulPrecision: "highest" }).catch((error) => error);
    assert.match(other.message, /resume: matmulPrecision is medium in .* and cannot change/);
  });

  test("equal seeds give bit-equal runs; other seeds do not", async () => {
    const losses = async (seed: number) =>
      readRows((await run({ maxIters: 4, seed, dropout: 0.1 })).out).map((row) => row.loss);
    assert.equal(await losses(1), await losses(1));
    assert.not.equal(await losses(1), await losses(2));
  });

  test("gradient accumulation: loss and gradient are the means over the batches", async () => {
    let loss = 0;
    let norm = 0;
    const { out } = await run(
      { maxIters: 1, gradAccum: 2 },
      {
        start({ model, tokens, device, config }: Run) {
          const text = tensor(tokens.train as Int32Array, { device });
          const batches = [0, 1].map((site) =>
            sampleBatch(
              text,
              toCounterTensor({ site, step: 0, seed: config.seed }, device),
              "batch",
              [4, 8],
            ),
          );
          const [x, y] = [0, 1].map((part) => cat(batches.map((batch) => batch[part])));
          const combined = model.forward(x, y).loss as Tensor; // both batches as one
          combined.backward();
          loss = combined.item();
          norm = optim.clipGradNorm(model.parameters(), Infinity);
          for (const w of model.parameters()) w.grad = null;
        },
      },
    );
    const [row] = readRows(out);
    assertClose([row.loss as number, row.gradNorm as number], [loss, norm], { rtol: 1e-5 });
  });

  test("weight decay applies to all parameters, or to matrices only", async () => {
    for (const decay of ["all", "matrices"] as const) {
      // lr * weightDecay is 0.5: decay halves the weights of ln_f, which start at 1
      const { model } = await run({
        maxIters: 1,
        learningRate: 0.5,
        weightDecay: 1,
        decay,
        beta1: 0,
        beta2: 0,
      });
      const weight = [...model.namedParameters()]
        .find(([name]) => name === "ln_f.weight")?.[1]
        .data() as Float32Array;
      // the first step of AdamW then moves each of them by lr, 0.5, up or down
      const expected = decay === "all" ? [0, 1] : [0.5, 1.5];
      assert.ok(
        weight.every((w) => expected.some((e) => Math.abs(w - e) < 1e-3)),
        `${decay}: ${weight}`,
      );
    }
  });

  test("metrics record the learning-rate schedule", async () => {
    const { out } = await run({
      maxIters: 8,
      warmupIters: 2,
      lrDecayIters: 6,
      learningRate: 0.3,
      minLr: 0.03,
    });
    const rates = readRows(out).flatMap((row) => row.lr ?? []);
    const cosine = (t: number) => 0.03 + 0.27 * 0.5 * (1 + Math.cos((Math.PI * (t - 2)) / 4));
    assertClose(rates, [0.1, 0.2, 0.3, cosine(3), cosine(4), cosine(5), 0.03, 0.03]);
  });

  test("a loss that is not finite stops the run, and leaves the last good checkpoint", async () => {
    const out = newFolder();
    const error = await run({ out, maxIters: 50, learningRate: 1e30 }).catch((error) => error);
    assert.instance(error, DivergedError);
    assert.match(
      error.message,
      /^step \d+: the loss is (NaN|-?Infinity); the first tensor that is not finite is \S+/,
    );
    const saved = loadSafetensors(join(out, "last", "model.safetensors"));
    assert.ok(Object.values(saved).every((w) => w.data().every(Number.isFinite)));
  });

  test("the error names the first tensor that is not finite", async () => {
    const error = await run(
      { maxIters: 5 },
      {
        start({
          model,
        }: {
          model: { h: { mlp: { c_fc: { weight: { fill(x: number): void } } } }[] };
        }) {
          model.h[0].mlp.c_fc.weight.fill(NaN);
        },
        evaluation() {},
      },
    ).catch((error) => error);
    assert.match(
      error.message,
      "step 0: the loss is NaN; the first tensor that is not finite is weight h.0.mlp.c_fc.weight",
    );
  });

  test("memory: nothing is allocated after the second step", async () => {
    const allocations: number[] = [];
    const bytes: number[] = [];
    await run(
      { maxIters: 1000, evalInterval: 2000, logInterval: 500, dropout: 0.1 },
      {
        step: () => {
          allocations.push(on.pool.allocations);
          bytes.push(on.pool.liveBytes);
        },
      },
    );
    assert.is(allocations.at(-1), allocations[2]);
    assert.ok((bytes.at(-1) as number) <= bytes[2]); // less if earlier tensors are collected
  });

  test("wrong options: the error names the option and the nearest valid one", async () => {
    const { out } = await run({ maxIters: 0 });
    const cases: [object, RegExp][] = [
      [{ learnRate: 1 }, /train: unknown option learnRate; did you mean learningRate\?/],
      [
        { preset: "lecture-0.3m" },
        /preset is "lecture-0.3m", expected .*did you mean lecture-0.2m\?/,
      ],
      [{ batchSize: 0 }, /batchSize is 0, expected a whole number from 1 up/],
      [{ batchSize: "4" }, /batchSize is "4", expected a whole number/],
      [{ dropout: 1.5 }, /dropout is 1.5, expected a number from 0 to 0.99/],
      [{ nHead: 3 }, /nEmbd is 16, expected a multiple of nHead, 3/],
      [
        { blockSize: 5000 },
        /data: the train split of .* has \d+ tokens, expected more than blockSize, 5000/,
      ],
      [{ out }, /holds a run already; --resume/],
      [{ data: join(folder, "none") }, /cannot read .*none/],
    ];
    for (const [options, message] of cases) {
      const error = await run(options as object).catch((error) => error);
      assert.instance(error, Error);
      assert.match(error.message, message);
    }
    const other = await train({ resume: out, batchSize: 8 }).catch((error) => error);
    assert.instance(other, UsageError);
    assert.match(other.message, /resume: batchSize is 4 in .* and cannot change/);
    await train({ resume: out, batchSize: 4, device: on.name }); // unchanged options may be repeated
    const none = await train({ resume: newFolder() }).catch((error) => error);
    assert.match(none.message, /is not a run/);
  });
});
