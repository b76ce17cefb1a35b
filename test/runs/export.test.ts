// Exporting runs whose options GPT-2 does not have.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { device, type GPT, softmax, type Tensor, type TrainConfig, tensor, train } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { exportRun } from "#src/runs/export.js";
import { importHuggingFace } from "#src/runs/import.js";

const test = suite("export");
const folder = mkdtempSync(join(tmpdir(), "tinybard-export-"));
test.after(() => rmSync(folder, { recursive: true }));
const ts = device("ts");
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(20)); // 17 characters
let count = 0;

async function trainRun(options: Partial<TrainConfig>): Promise<string> {
  const sizes = { nLayer: 1, nHead: 2, nEmbd: 16, blockSize: 8, batchSize: 4 };
  const lengths = { maxIters: 5, evalIters: 1, evalInterval: 5 };
  const out = join(folder, `run${count++}`);
  const defaults = { preset: "lecture-0.2m", data, device: "ts", out } as const;
  await train({ ...defaults, ...sizes, ...lengths, ...options });
  return out;
}

function getProbabilities(model: GPT): Tensor {
  const idx = tensor([[0, 5, 3, 16]], { dtype: "i32", device: ts });
  return softmax(model.forward(idx).logits as Tensor, { dim: 2 });
}

test("a lecture preset is exported with the same probabilities", async () => {
  const out = join(folder, "exported");
  const { model } = exportRun(await trainRun({}), out, { device: ts });
  assert.ok((model as GPT).lm_head.bias?.data().some((b) => b !== 0));
  const again = importHuggingFace(out, ts).model as GPT;
  assert.is(again.lm_head.bias, null);
  const difference = getProbabilities(model as GPT).sub(getProbabilities(again));
  assert.ok(difference.abs().max().item() < 1e-6);
});

test("relu2, and projections that started at 0, are exported", async () => {
  const out = join(folder, "relu2");
  const run = await trainRun({ activation: "relu2", zeroInitProjections: true });
  const { model } = exportRun(run, out, { device: ts });
  const again = importHuggingFace(out, ts).model as GPT;
  assert.is(again.config.activation, "relu2");
  assert.ok((model as GPT).h[0].mlp.c_proj.weight.data().some((w) => w !== 0));
  const difference = getProbabilities(model as GPT).sub(getProbabilities(again));
  assert.ok(difference.abs().max().item() < 1e-6);
});

test("what GPT-2 does not have: the options to train with, and no folder", async () => {
  const out = join(folder, "nothing");
  for (const [options, message] of [
    [{ nEmbd: 8 }, /bias in the output head \(\d+ tokens.* 9\); .* with --no-lm-head-bias can be/],
    [
      { positions: "rotary", norm: "rms", activation: "swiglu" },
      /rotary positions, rms normalization, swiglu; .* --positions learned --norm layer --activation/,
    ],
    [
      { qkNorm: true, tokenShift: true, logitSoftcap: 15 },
      /queries and keys, token shift, a softcap .* --no-qk-norm --no-token-shift --logit-softcap 0/,
    ],
  ] as const) {
    const run = await trainRun(options);
    assert.throws(() => exportRun(run, out, { device: ts, format: "gpt2" }), message);
    assert.not(existsSync(out));
  }
});

test.run();
