// Runs and models of Llama's kind: import, sampling, fine-tuning, resuming, quantization, export.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type GPT,
  generate,
  loadSafetensors,
  type Tensor,
  type TensorDict,
  type TrainConfig,
  tensor,
  train,
} from "tinybard";
import * as assert from "uvu/assert";
import { findWeightFiles } from "#src/gpt/hf-weights.js";
import { exportRun } from "#src/runs/export.js";
import { importHuggingFace, importRun } from "#src/runs/import.js";
import { loadRun } from "#src/runs/load.js";
import { quantizeRun } from "#src/runs/quantize.js";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-llama-runs-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let folders = 0;
const newFolder = () => join(folder, String(folders++));
const data = join(folder, "text.txt");
writeFileSync(data, "The king's men don't know what they'll do in 2024.\n".repeat(60));

const names = ["llama", "smollm2", "qwen2", "qwen3", "mistral"];
const readJSON = (...path: string[]) => JSON.parse(readFileSync(join(...path), "utf8"));
const readAll = (path: string): TensorDict =>
  Object.fromEntries(
    findWeightFiles(path).flatMap((file) => Object.entries(loadSafetensors(file))),
  );

eachDevice("Llama runs", (test, on) => {
  const getLogits = (model: unknown) => {
    const idx = tensor([[1, 5, 2, 0, 7]], { dtype: "i32", device: on });
    return (model as GPT).forward(idx).logits as Tensor;
  };
  const settings = { batchSize: 4, evalInterval: 5, evalIters: 2, logInterval: 1, seed: 3 };
  const run = (options: Partial<TrainConfig>) =>
    train({ ...settings, data, maxIters: 10, device: on.name, out: newFolder(), ...options });
  const lastLoss = (out: string) => {
    const rows = readFileSync(join(out, "metrics.jsonl"), "utf8").trim().split("\n");
    return rows.map((row) => JSON.parse(row)).filter(({ valLoss }) => valLoss !== undefined);
  };

  for (const name of names)
    test(`${name}: import, sample, and export to the same tensors`, async () => {
      const source = fixturePath(`llama/${name}`);
      const out = newFolder();
      importRun(source, out, on);
      const { model, tokenizer, config } = loadRun(out, on);
      const { ids, greedy } = readJSON(source, "expected.json");
      assert.equal(tokenizer.encode("The king's men"), ids);
      assert.is(config.tokenizer, "bpe");
      const found: number[] = [];
      for await (const id of generate(model, { prompt: ids, maxNewTokens: 12, temperature: 0 }))
        found.push(id);
      assert.equal(found, greedy);

      const exported = newFolder();
      exportRun(out, exported, { device: on });
      const before = readAll(source);
      const after = readAll(exported);
      assert.equal(Object.keys(after).sort(), Object.keys(before).sort());
      const rows = tokenizer.vocabSize; // rows beyond the vocabulary are padding
      for (const [key, x] of Object.entries(after)) {
        const isPadded = name === "qwen2" && key === "model.embed_tokens.weight";
        const expected = isPadded ? before[key].slice({ dim: 0, end: rows }) : before[key];
        assert.equal(x.data(), expected.data(), key);
      }
      const [old, config2] = [source, exported].map((path) => readJSON(path, "config.json"));
      const type = name === "mistral" ? "llama" : old.model_type;
      assert.is(config2.model_type, type);
      for (const key of ["hidden_size", "num_key_value_heads", "rms_norm_eps", "hidden_act"])
        assert.is(config2[key], old[key], key);
      assert.equal(readJSON(exported, "tokenizer.json"), JSON.parse(JSON.stringify(tokenizer)));
      const again = importHuggingFace(exported, on);
      assert.equal(getLogits(again.model).data(), getLogits(model).data());
    });

  test("a fine-tuned run and one with adapters learn, resume, and are quantized", async () => {
    for (const options of [{}, { loraRank: 4 }]) {
      const initFrom = fixturePath("llama/qwen3");
      const trained = await run({ initFrom, learningRate: 2e-2, blockSize: 16, ...options });
      const [first, , last] = lastLoss(trained.out);
      assert.ok(last.valLoss < first.valLoss - 0.1, `${first.valLoss} to ${last.valLoss}`);
      assert.is(trained.config.nKvHead, 2);
      assert.is(trained.config.headDim, 16);

      const shared = { initFrom, learningRate: 2e-2, blockSize: 16, ...options };
      const stopped = await run({ ...shared, maxIters: 5 });
      const resumed = await train({ resume: stopped.out, maxIters: 10 });
      assert.equal(getLogits(resumed.model).data(), getLogits(trained.model).data());

      const out = newFolder();
      quantizeRun(trained.out, { out, bits: 8, device: on });
      const exact = getLogits(loadRun(trained.out, on).model);
      assertClose(getLogits(loadRun(out, on).model), exact, { rtol: 0.05, atol: 0.3 });
    }
  });

  test("a run with grouped queries is trained, exported and imported", async () => {
    for (const options of [
      { bias: false, tokenizer: "char" },
      { bias: false, qkvBias: true, tokenizer: "bpe", vocabSize: 270 },
      { bias: true, tieWeights: false, tokenizer: "word", vocabSize: 20 },
      { bias: false, qkNorm: true, qkNormWeight: true, headDim: 6, ropeScaling: 8 },
    ] as Partial<TrainConfig>[]) {
      const sizes = { nLayer: 2, nHead: 4, nKvHead: 2, nEmbd: 16, mlpWidth: 24, blockSize: 8 };
      const kind = { positions: "rotary", norm: "rms", activation: "swiglu" } as const;
      const trained = await run({ ...sizes, ...kind, ropeTheta: 500, normEps: 1e-6, ...options });
      const out = newFolder();
      exportRun(trained.out, out, { device: on });
      const { architectures } = readJSON(out, "config.json");
      const isQwen = options.qkvBias ? "Qwen2" : options.qkNorm ? "Qwen3" : "Llama";
      assert.equal(architectures, [`${isQwen}ForCausalLM`]);
      const weights = readAll(out);
      const D = options.headDim ?? 4;
      assert.equal([...weights["model.layers.1.self_attn.k_proj.weight"].shape], [2 * D, 16]);
      assert.equal([...weights["model.layers.1.mlp.up_proj.weight"].shape], [24, 16]);
      assert.is("lm_head.weight" in weights, options.tieWeights === false);
      const imported = importHuggingFace(out, on);
      const original = loadRun(trained.out, on);
      assert.equal(getLogits(imported.model).data(), getLogits(original.model).data());
      assert.equal(imported.tokenizer.toJSON(), original.tokenizer.toJSON());
      assert.throws(
        () => exportRun(trained.out, newFolder(), { device: on, format: "gpt2" }),
        /GPT-2 does not have rotary positions, .*grouped queries/,
      );
    }
  });

  test("what Llama does not have: the options to train with", async () => {
    const { out } = await run({ nLayer: 1, nEmbd: 16, blockSize: 8, maxIters: 1 });
    assert.throws(
      () => exportRun(out, newFolder(), { device: on, format: "llama" }),
      /Llama does not have learned positions, layer normalization, gelu; .* --positions rotary/,
    );
  });
});
