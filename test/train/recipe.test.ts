// The switches of the training recipe: Muon, rates of groups, schedules, the average of the weights
// and the time budget. Runs with them resume bit for bit, and the files of their checkpoints are
// what they should be.

import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadSafetensors, saveSafetensors, type TrainConfig, train } from "tinybard";
import * as assert from "uvu/assert";
import { loadState } from "#src/runs/checkpoint.js";
import { loadRun } from "#src/runs/load.js";
import { readRows } from "#src/runs/metrics.js";
import { makeEvaluator } from "#src/train/evaluate.js";
import type { TrainHooks } from "#src/train/hooks.js";
import { assertClose, eachDevice } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-recipe-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));

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
  maxIters: 12,
  learningRate: 1e-2,
  seed: 3,
};

/** Reads all results of a run except its times. */
function readResults(out: string): Record<string, unknown> {
  const rows = readRows(out).map(({ tokensPerSecond, elapsedSeconds, ...row }) => row);
  const { elapsedSeconds, ...state } = loadState(join(out, "last")) as NonNullable<
    ReturnType<typeof loadState>
  >;
  const files = ["model", "optimizer"].map((name) =>
    readFileSync(join(out, "last", `${name}.safetensors`)).toString("base64"),
  );
  return { rows, state, files };
}

/** Returns hooks that stop a run before a step. */
function stopAt(step: number): TrainHooks {
  let steps = 0;
  return { step: () => void steps++, stop: () => steps >= step };
}

const recipes: Record<string, Partial<TrainConfig>> = {
  "muon with swiglu": { optimizer: "muon", activation: "swiglu", muonMomentum: 0.9 },
  "an average of the weights": { emaDecay: 0.9 },
  "rates of groups": {
    tieWeights: false,
    embeddingLrScale: 2,
    headLrScale: 0.5,
    vectorLrScale: 0.1,
  },
  wsd: { schedule: "wsd", decayShare: 0.5, minLr: 1e-4 },
  everything: {
    optimizer: "muon",
    emaDecay: 0.99,
    schedule: "linear",
    warmupIters: 2,
    embeddingLrScale: 3,
    dropout: 0.1,
    gradAccum: 2,
  },
};

eachDevice("recipe", (test, on) => {
  const run = (options: Partial<TrainConfig>, hooks: TrainHooks = {}) =>
    train({ ...tiny, device: on.name, out: newFolder(), ...options }, hooks);

  for (const [name, options] of Object.entries(recipes)) {
    test(`a stopped run resumes bit for bit: ${name}`, async () => {
      const whole = await run(options);
      const { out } = await run(options, stopAt(7));
      assert.is((loadState(join(out, "last")) as { step: number }).step, 7);
      await train({ resume: out });
      assert.equal(readResults(out), readResults(whole.out));
      assert.ok((whole.valLoss as number) < 3.2, `${whole.valLoss}`); // it learns: at first 3.2
    });
  }

  test("captured steps equal steps one by one", async () => {
    const captured = await run({ ...recipes.everything, maxIters: 6 });
    const capture = (step: unknown) => step;
    Object.defineProperty(on, "capture", { value: capture, configurable: true });
    try {
      const eager = await run({ ...recipes.everything, maxIters: 6 });
      assert.equal(readResults(eager.out), readResults(captured.out));
    } finally {
      delete (on as { capture?: unknown }).capture; // its own; the method is left
    }
  });

  test("the rates of groups multiply the rate of a step", async () => {
    const { out, optimizer } = await run({ ...recipes["rates of groups"], maxIters: 1 });
    assert.is(optimizer.lr, 0.01);
    const before = loadSafetensors(
      join(
        (await run({ ...recipes["rates of groups"], maxIters: 0 })).out,
        "last",
        "model.safetensors",
      ),
    );
    const after = loadSafetensors(join(out, "last", "model.safetensors"));
    // the first step of AdamW moves each weight by its rate, apart from the decay
    const rates = {
      "wte.weight": 0.02,
      "wpe.weight": 0.02,
      "lm_head.weight": 0.005,
      "ln_f.weight": 0.001,
      "h.0.mlp.c_fc.weight": 0.01,
    };
    for (const [name, rate] of Object.entries(rates)) {
      const [x, y] = [before, after].map((dict) => dict[name].data() as Float32Array);
      const largest = x.reduce((max, value, i) => Math.max(max, Math.abs(value - y[i])), 0);
      assertClose([largest], [rate], { rtol: 0.02, what: name });
    }
  });

  test("with an average, it is evaluated and saved, and the weights are beside it", async () => {
    const { out, valLoss, model, ema } = await run({ emaDecay: 0.9 });
    const [weights, state] = ["model", "optimizer"].map((name) =>
      loadSafetensors(join(out, "last", `${name}.safetensors`)),
    );
    const own = weights["wte.weight"].data();
    assert.equal(
      [...model.namedParameters()].find(([name]) => name === "wte.weight")?.[1].data(),
      own,
    );
    assert.not.equal(state["weights.wte.weight"].data(), own);
    assert.is(state["ema.t"].item(), 12);
    assert.equal(
      ema?.stateDict()["averages.wte.weight"].data(),
      state["weights.wte.weight"].data(),
    ); // swapped
    const loaded = loadRun(out, on, ["last"]);
    const { config, tokenizer } = loaded;
    const text = readFileSync(data, "utf8");
    const split = Math.floor(0.9 * text.length);
    const tokens = {
      train: Int32Array.from(tokenizer.encode(text.slice(0, split))),
      val: Int32Array.from(tokenizer.encode(text.slice(split))),
    };
    const losses = await makeEvaluator({ device: on, model: loaded.model, config, tokens })(12);
    assert.is(losses?.valLoss, valLoss);
    const raw = await run({});
    assert.not.equal(raw.valLoss, valLoss);
    const rawWeights = loadSafetensors(join(raw.out, "last", "model.safetensors"));
    assert.equal(state["weights.wte.weight"].data(), rawWeights["wte.weight"].data()); // training is the same
  });

  test("fine-tuning with adapters or frozen blocks works with muon and an average", async () => {
    const base = await run({ maxIters: 2 });
    for (const options of [{ loraRank: 2 }, { freeze: 0 }] as const) {
      const recipe = { initFrom: base.out, optimizer: "muon", emaDecay: 0.9, ...options } as const;
      const whole = await run(recipe);
      const { out } = await run(recipe, stopAt(7));
      await train({ resume: out });
      assert.equal(readResults(out), readResults(whole.out));
      assert.ok(loadRun(out, on).model);
    }
    const frozen = run({ initFrom: base.out, optimizer: "muon", freeze: 1 });
    await assertRejects(frozen, /optimizer: muon has no matrices to update: no block is trained/);
    await assertRejects(run({ model: "bigram", optimizer: "muon" }), /muon has no matrices/);
  });

  test("damaged averages: the error names the file and the tensor", async () => {
    const { out } = await run({ emaDecay: 0.9, maxIters: 2 });
    const file = join(out, "last", "optimizer.safetensors");
    const dict = loadSafetensors(file);
    const save = (change: (copy: typeof dict) => void) => {
      const copy = { ...dict };
      change(copy);
      saveSafetensors(file, copy, { step: "2" });
    };
    const cases: [(copy: typeof dict) => void, RegExp][] = [
      [
        (copy) => delete copy["weights.wte.weight"],
        /optimizer\.safetensors: .*weights\.wte\.weight/,
      ],
      [(copy) => delete copy["ema.t"], /optimizer\.safetensors: .*ema\.t/],
      [
        (copy) => {
          copy["weights.ln_f.bias"] = dict["ema.t"];
        },
        /weights\.ln_f\.bias/,
      ],
      [
        (copy) => {
          copy["weights.other"] = dict["ema.t"];
        },
        /weights\.other/,
      ],
    ];
    for (const [change, message] of cases) {
      save(change);
      await assertRejects(train({ resume: out, maxIters: 3 }), message);
    }
    save(() => {});
    await train({ resume: out, maxIters: 3 });
  });

  test("a time budget ends the run, and its steps repeat it bit for bit", async () => {
    const recipe = { ...recipes.everything, warmupIters: undefined, warmupShare: 0.1 };
    const timed = await run({ ...recipe, maxIters: undefined, maxSeconds: 0.4 });
    const { steps, seconds } = timed.figures;
    assert.ok(seconds > 0.2 && seconds < 5, `${seconds} s`); // a step may be slow
    assert.is(timed.state.step, steps);
    assert.ok(timed.state.evaluation);
    const config = JSON.parse(readFileSync(join(timed.out, "config.json"), "utf8"));
    assert.is(config.maxSeconds, 0.4);
    assert.is(config.maxIters, undefined);
    assert.match(config.estimates, new RegExp(` ${steps}:0$|^${steps}:0$`));
    const { maxSeconds: _, ...others } = config;
    const repeated = await train({ ...others, maxIters: steps, out: newFolder() });
    const files = (out: string) => readResults(out).files;
    assert.equal(files(repeated.out), files(timed.out));
    assert.equal(readResults(repeated.out).rows, readResults(timed.out).rows);
    // the repeated run resumes like any other
    const { out } = await train({ ...others, maxIters: steps, out: newFolder() }, stopAt(3));
    await train({ resume: out });
    assert.equal(files(out), files(timed.out));
  });

  test("a run with a time budget that was stopped continues with the time that is left", async () => {
    const options = { schedule: "linear", maxIters: undefined, maxSeconds: 0.6 } as const;
    const { out } = await run(options, stopAt(6));
    const { trainSeconds = 0 } = loadState(join(out, "last")) ?? {};
    assert.ok(trainSeconds > 0 && trainSeconds < 0.6);
    const rates = () => readRows(out).flatMap(({ lr }) => lr ?? []);
    const before = rates();
    const { figures, stopped } = await train({ resume: out });
    assert.not(stopped);
    assert.ok(figures.seconds > 0.3 && figures.seconds < 5, `${figures.seconds} s`);
    assert.equal(rates().slice(0, before.length), before);
    for (const [i, rate] of rates().entries())
      assert.ok(i === 0 || rate <= rates()[i - 1], `the rate rises at ${i}`);
    // finished: nothing more happens, unless it gets more time
    const again = await train({ resume: out });
    assert.is(again.state.step, figures.steps);
    await assertRejects(
      train({ resume: out, maxSeconds: 0.01 }),
      /maxSeconds is 0.01, expected .* or more/,
    );
    const longer = await train({ resume: out, maxSeconds: 2 * figures.seconds });
    assert.ok(longer.state.step > figures.steps);
    const limited = await train({ resume: out, maxSeconds: 1000, maxIters: longer.state.step + 2 });
    assert.is(limited.state.step, longer.state.step + 2);
  });

  test("without a budget at the start, there is none later", async () => {
    const { out } = await run({ maxIters: 1 });
    await assertRejects(train({ resume: out, maxSeconds: 5 }), /has no time budget, so maxSeconds/);
  });

  test("the figures of a result", async () => {
    const { figures, valLoss } = await run({ gradAccum: 2, maxIters: 3 });
    assert.is(figures.valLoss, valLoss);
    assertClose([figures.bitsPerCharacter as number], [(valLoss as number) / Math.LN2]);
    assert.is(figures.steps, 3);
    assert.is(figures.tokens, 3 * 2 * 4 * 8);
    assertClose([figures.tokensPerSecond as number], [figures.tokens / figures.seconds]);
    assert.ok((figures.mfu as number) > 0 && (figures.mfu as number) < 1, `${figures.mfu}`);
    assert.ok(figures.peakMemory > 1e7 && figures.peakMemory < 1e11, `${figures.peakMemory}`);
    assert.is(figures.peakDeviceMemory === null, on.memory.isHost);
  });

  test("a loss that is not finite leaves the last good checkpoint with every optimizer", async () => {
    const out = newFolder();
    const diverging = run({ ...recipes.everything, out, learningRate: 1e30 });
    await assertRejects(diverging, /the loss is|not finite/);
    for (const name of ["model", "optimizer"]) {
      const file = join(out, "last", `${name}.safetensors`);
      assert.ok(existsSync(file));
      for (const x of Object.values(loadSafetensors(file)))
        assert.ok(x.data().every(Number.isFinite));
    }
  });

  test("a checkpoint of a run without these options still loads", async () => {
    const { out } = await run({ maxIters: 4 });
    const old = newFolder();
    cpSync(out, old, { recursive: true });
    const file = join(old, "config.json");
    const {
      optimizer,
      emaDecay,
      muonMomentum,
      embeddingLrScale,
      headLrScale,
      vectorLrScale,
      ...config
    } = JSON.parse(readFileSync(file, "utf8"));
    assert.equal([optimizer, emaDecay, embeddingLrScale], ["adamw", 0, 1]);
    writeFileSync(file, JSON.stringify(config));
    await train({ resume: old, maxIters: 8 });
    await train({ resume: out, maxIters: 8 });
    assert.equal(readResults(old), readResults(out));
  });
});

async function assertRejects(promise: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await promise.then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.ok(error, `expected an error like ${message}`);
  assert.match((error as Error).message, message);
}
