// Several trainings in one process: each one computes what it computes when it is alone, and leaves
// the random numbers of the caller as they were.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate, manualSeed, randn, type TrainConfig, train } from "tinybard";
import * as assert from "uvu/assert";
import type { Run } from "#src/runs/run.js";
import { eachDevice } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-concurrent-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));

let runs = 0;
const tiny: Partial<TrainConfig> = {
  data,
  nLayer: 1,
  nHead: 2,
  nEmbd: 16,
  blockSize: 8,
  batchSize: 4,
  gradAccum: 2,
  dropout: 0.2,
  maxIters: 12,
  evalInterval: 4,
  evalIters: 2,
  logInterval: 1,
};

eachDevice("trainings in one process", (test, on) => {
  const run = (options: Partial<TrainConfig>, hooks = {}) =>
    train({ ...tiny, device: on.name, out: join(folder, `run-${runs++}`), ...options }, hooks);
  const readWeights = (out: string) =>
    ["model", "optimizer"].map((name) =>
      readFileSync(join(out, "last", `${name}.safetensors`)).toString("hex"),
    );

  test("two at once equal the same two alone, bit for bit", async () => {
    const alone = [await run({ seed: 1 }), await run({ seed: 2, nEmbd: 24, evalInterval: 3 })];
    const together = await Promise.all([
      run({ seed: 1 }),
      run({ seed: 2, nEmbd: 24, evalInterval: 3 }),
    ]);
    for (const [i, { out, valLoss }] of together.entries()) {
      assert.is(valLoss, alone[i].valLoss);
      assert.equal(readWeights(out), readWeights(alone[i].out));
    }
    assert.is.not(alone[0].valLoss, alone[1].valLoss);
  });

  test("two fine-tunings with adapters at once equal the same two alone", async () => {
    const base = await run({ seed: 1 });
    const lora = (seed: number) =>
      run({ seed, initFrom: base.out, loraRank: 2, learningRate: 1e-2 });
    const alone = [await lora(5), await lora(6)];
    const together = await Promise.all([lora(5), lora(6)]);
    for (const [i, { out }] of together.entries())
      assert.equal(readWeights(out), readWeights(alone[i].out));
  });

  test("hooks that draw numbers, set the seed or generate text change nothing", async () => {
    const alone = await run({ seed: 3 });
    let model: Run["model"];
    const disturb = async () => {
      manualSeed(99);
      randn([3], { device: on });
      for await (const _ of generate(model, { prompt: [0], maxNewTokens: 2 }));
    };
    const pending: Promise<void>[] = [];
    const disturbed = await run(
      { seed: 3 },
      {
        async start(started: Run) {
          ({ model } = started);
          await disturb();
        },
        evaluating: () => pending.push(disturb()),
        evaluation: () => manualSeed(98),
        step: () => pending.push(disturb()),
        logged: () => manualSeed(97),
      },
    );
    await Promise.all(pending);
    assert.is(disturbed.valLoss, alone.valLoss);
    assert.equal(readWeights(disturbed.out), readWeights(alone.out));
  });

  test("the caller's random numbers go on as without the training", async () => {
    const draw = () => [...randn([3], { device: on }).data()];
    manualSeed(7);
    const expected = [draw(), draw(), draw(), draw()];
    manualSeed(7);
    const actual = [draw()];
    await run({ seed: 1 }, { start: () => void actual.push(draw()) });
    actual.push(draw());
    await train({ resume: join(folder, `run-${runs - 1}`), maxIters: 13 });
    actual.push(draw());
    assert.equal(actual, expected);
  });

  test("generate() without a seed keeps the seed that it began with", async () => {
    const { model } = await run({ maxIters: 0 });
    const sample = async (between: () => void) => {
      manualSeed(11);
      const ids: number[] = [];
      for await (const id of generate(model, { prompt: [0], maxNewTokens: 20 })) {
        ids.push(id);
        between();
      }
      return ids;
    };
    assert.equal(await sample(() => manualSeed(12)), await sample(() => {}));
  });
});
