// Quantized GPTs: they compute the same as a GPT with dequantized weights, need less memory and disk
// space, and cannot be trained or exported. Also the command that writes them.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  dequantize,
  GPT,
  generate,
  quantize,
  quantizeMatrix,
  randn,
  saveGPT2,
  type Tensor,
  type TrainConfig,
  tensor,
  train,
} from "tinybard";
import * as assert from "uvu/assert";
import { noGrad } from "#src/autograd.js";
import { readSafetensors, saveSafetensors, type TensorDict } from "#src/files/safetensors.js";
import type { GPTOptions } from "#src/gpt/config.js";
import { exportRun } from "#src/runs/export.js";
import { loadRun } from "#src/runs/load.js";
import { quantizeRun } from "#src/runs/quantize.js";
import { measureRun } from "#src/train/measure.js";
import { assertClose, eachDevice, hasMessage, loadShakespeare } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-quantize-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
let folders = 0;
const newFolder = () => join(folder, `run-${folders++}`);
const weightsFile = (run: string) => join(run, "best", "model.safetensors");

const sizes = { vocabSize: 13, blockSize: 8, nLayer: 2, nHead: 2, nEmbd: 36 };
const variants: Record<string, GPTOptions> = {
  "GPT-2": sizes,
  "Llama with an untied head": {
    ...sizes,
    positions: "rotary",
    norm: "rms",
    activation: "swiglu",
    bias: false,
    tieWeights: false,
  },
  "sinusoidal positions, bias in the head": {
    ...sizes,
    positions: "sinusoidal",
    activation: "relu",
    lmHeadBias: true,
    qkvBias: false,
  },
  "QK-norm, relu2, softcap": {
    ...sizes,
    positions: "rotary",
    activation: "relu2",
    qkNorm: true,
    logitSoftcap: 8,
  },
};

/** Builds a model without parameters that are 0. */
function buildModel(options: GPTOptions): GPT {
  const model = new GPT(options).eval();
  for (const w of model.parameters()) noGrad(() => w.assign(randn(w.shape).mul(0.3)));
  return model;
}

/** Returns a copy of a model with quantized and dequantized matrices. */
function roundWeights(model: GPT, bits: 8 | 4): GPT {
  const dict = model.stateDict();
  for (const [name, w] of Object.entries(dict))
    if (w.shape.length === 2 && name !== "wpe.weight")
      dict[name] = dequantize(quantizeMatrix(w, { bits }));
  const copy = new GPT(model.config).eval();
  copy.loadStateDict(dict);
  return copy;
}

async function generateIds(model: GPT): Promise<number[]> {
  const ids = [];
  for await (const id of generate(model, { prompt: [1, 2], maxNewTokens: 12, seed: 5 }))
    ids.push(id);
  return ids;
}

eachDevice("quantized GPT", (test, on) => {
  const idx = () => tensor(Int32Array.of(1, 5, 2, 0, 7, 12), { shape: [2, 3], device: on });
  const targets = () => tensor(Int32Array.of(5, 2, 0, 7, 12, 1), { shape: [2, 3], device: on });

  for (const [name, options] of Object.entries(variants))
    for (const bits of [8, 4] as const)
      test(`${bits} bits, ${name}: equals the model with dequantized weights`, async () => {
        const model = buildModel(options);
        const quantized = quantize(model, { bits });
        const dequantized = roundWeights(model, bits);
        const actual = quantized.forward(idx(), targets());
        const expected = dequantized.forward(idx(), targets());
        assertClose(actual.logits as Tensor, expected.logits as Tensor, {
          rtol: 1e-5,
          atol: 2e-5,
        });
        assertClose(actual.loss as Tensor, expected.loss as Tensor, { rtol: 1e-5 });
        const { loss } = quantized.forward(idx(), targets(), { logits: false });
        assertClose(loss as Tensor, expected.loss as Tensor, { rtol: 1e-5 });
        assert.equal(await generateIds(quantized), await generateIds(dequantized)); // beyond blockSize
        const names = Object.keys(quantized.stateDict()).filter((name) => name.endsWith("scale"));
        assert.is(names.length, 8 + (options.tieWeights === false ? 2 : 1));
        assert.is([...quantized.parameters()].length, 0);
        assert.ok([...quantized.buffers()].length > 0);
        assert.ok([...quantized.buffers()].every((w) => !w.requiresGrad));
      });

  const settings = { batchSize: 2, blockSize: 8, evalIters: 2, maxIters: 0, seed: 3 };
  const newRun = async (options: Partial<TrainConfig> = {}) => {
    const run = { ...settings, nLayer: 2, nHead: 2, nEmbd: 64, data, device: on.name };
    return (await train({ ...run, out: newFolder(), ...options })).out;
  };
  const base = newRun();
  const quantizeBase = async (bits: 8 | 4, run = base) => {
    const out = newFolder();
    quantizeRun(await run, { out, bits, device: on });
    return out;
  };

  test("a quantized run loads with at most the memory of its file", async () => {
    for (const [bits, maxRatio] of [
      [8, 0.3],
      [4, 0.2],
    ] as const) {
      const run = await quantizeBase(bits);
      const bytes = statSync(weightsFile(run)).size;
      const baseBytes = statSync(weightsFile(await base)).size;
      assert.ok(bytes < maxRatio * baseBytes, `${bytes} of ${baseBytes} bytes`);
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 5));
      const { pool } = on;
      const before = pool.liveBytes;
      pool.peakBytes = before;
      const { model } = loadRun(run, on);
      const live = pool.liveBytes - before;
      const peak = pool.peakBytes - before;
      assert.ok(live > 0 && live <= bytes, `${live} bytes live, ${bytes} on disk`);
      const largestMatrix = (bits / 8) * 64 * 256;
      assert.ok(peak <= bytes + largestMatrix, `${peak} bytes at most, ${bytes} on disk`);
      assert.is(pool.freeBytes, 0);
      const getLogits = (gpt: GPT) => gpt.eval().forward(idx()).logits as Tensor;
      const expected = roundWeights(loadRun(await base, on).model as GPT, bits);
      assertClose(getLogits(model as GPT), getLogits(expected), { rtol: 1e-5, atol: 1e-6 });
    }
  });

  test("a quantized model cannot be quantized, exported or trained", async () => {
    const run = await quantizeBase(8);
    const quantized = loadRun(run, on).model as GPT;
    assert.throws(
      () => quantize(quantized, { bits: 4 }),
      hasMessage("quantize: the model is quantized already"),
    );
    assert.throws(() => saveGPT2(newFolder(), quantized), /saveGPT2: the model is quantized/);
    assert.throws(
      () => exportRun(run, newFolder(), { device: on }),
      /export: the model of .* is quantized/,
    );
    const error = await newRun({ initFrom: run }).catch((error) => error);
    assert.is(error.name, "UsageError");
    assert.match(error.message, /initFrom: .* holds a quantized model/);
    assert.throws(() => quantizeRun(run, { out: newFolder(), bits: 8, device: on }), /already/);
    assert.throws(
      () => quantize(buildModel(sizes), { bits: 3 as 4 }),
      hasMessage("quantize: bits is 3, expected 8 or 4"),
    );
    assert.throws(
      () => quantize({} as GPT, { bits: 8 }),
      hasMessage("quantize: model is an object, expected a GPT"),
    );
  });

  test("error messages name inconsistent files", async () => {
    const run = await quantizeBase(4);
    const { tensors, metadata } = readSafetensors(weightsFile(run));
    const matrix = "h.1.mlp.c_fc.weight";
    const scale = "h.1.mlp.c_fc.scale";
    const { [scale]: _, ...without } = tensors;
    const wrong: [TensorDict, Record<string, string>, RegExp][] = [
      [tensors, { ...metadata, bits: "3" }, /model.safetensors: bits is "3", expected 8 or 4/],
      [tensors, { ...metadata, bits: "" }, /model.safetensors: bits is "", expected 8 or 4/],
      [tensors, { ...metadata, bits: "8" }, /scale has shape .*, expected/],
      [tensors, { step: "0" }, /model.safetensors: .*scale, .* unknown/],
      [without, metadata, /h.1.mlp.c_fc.scale missing/],
      [{ ...tensors, [scale]: randn([256, 1]) }, metadata, /c_fc.scale has shape \[256, 1\]/],
      [{ ...tensors, [matrix]: randn([256, 8]) }, metadata, /c_fc.weight has dtype f32/],
    ];
    for (const [i, [dict, strings, message]] of wrong.entries()) {
      const invalid = newFolder();
      cpSync(run, invalid, { recursive: true });
      saveSafetensors(weightsFile(invalid), dict, strings);
      assert.throws(() => loadRun(invalid, on), message, `${i}`);
    }
  });

  const tinybard = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
      cwd: folder, // has no runs/
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };

  test("the command compares both models, and sample and eval read the new run", async () => {
    const run = await base;
    const flags = ["--iters", "2", "--tokens", "3", "--device", on.name];
    const { status, stdout, stderr } = tinybard("quantize", "--run", run, "--bits", "4", ...flags);
    assert.is(status, 0, stderr);
    const out = `${run}-4bit`;
    assert.ok(stdout.startsWith(`${on}: ${out}\n`), stdout);
    const [head, ...rows] = stdout.split("\n").slice(1, -1);
    assert.equal(head.trim().split(/ {2,}/), ["bits", "MB", "train loss", "val loss", "tokens/s"]);
    const cells = rows.map((row) => row.trim().split(/ +/).map(Number));
    const sizes = [run, out].map((folder) =>
      Number((statSync(weightsFile(folder)).size / 1e6).toFixed(2)),
    );
    assert.equal(
      cells.map(([bits, bytes]) => [bits, bytes]),
      [
        [32, sizes[0]],
        [4, sizes[1]],
      ],
    );
    assert.ok(cells.flat().every((cell) => cell > 0));
    const device = ["--device", on.name];
    assert.is(tinybard("sample", "--run", out, "--tokens", "3", ...device).status, 0);
    assert.is(tinybard("eval", "--run", out, "--iters", "1", ...device).status, 0);
    const again = tinybard("quantize", "--run", run, "--bits", "4", ...flags);
    assert.is(again.status, 2);
    assert.match(again.stderr, /holds a run already/);
  });

  test("the command rejects 3 bits, a bigram model and a folder without a run", async () => {
    const bigram = await newRun({ model: "bigram" });
    for (const [args, message] of [
      [[], /quantize: no run under runs\/; train one/],
      [["--run", await base, "--bits", "3"], /bits is 3, expected 8 or 4/],
      [["--run", bigram], /holds a bigram model; only a GPT can be quantized/],
      [["--run", newFolder()], /is not a run/],
    ] as const) {
      const { status, stderr } = tinybard("quantize", ...args, "--device", on.name);
      assert.is(status, 2, stderr);
      assert.match(stderr, message);
    }
    assert.not(existsSync(`${bigram}-8bit`));
  });

  if (!["cpu", "cuda"].includes(on.name)) return; // the other devices take minutes
  test("Tiny Shakespeare: at most 0.30 of the bytes, and a loss within 0.01", async () => {
    if (!loadShakespeare("the loss of a quantized model")) return;
    const text = process.env.TINYBARD_DATA as string;
    const { out: run } = await train({
      preset: "lecture-0.2m",
      maxIters: 300,
      evalInterval: 300,
      evalIters: 5,
      data: text,
      device: on.name,
      out: newFolder(),
    });
    const out = newFolder();
    quantizeRun(run, { out, bits: 8, device: on });
    const bytes = statSync(weightsFile(out)).size;
    const baseBytes = statSync(weightsFile(run)).size;
    assert.ok(bytes <= 0.3 * baseBytes, `${bytes} of ${baseBytes} bytes`);
    const quantized = await measureRun(out, { iters: 40, device: on });
    const original = await measureRun(run, { iters: 40, device: on });
    const rise = quantized.valLoss - original.valLoss;
    assert.ok(original.valLoss < 2.6 && Math.abs(rise) < 0.01 && rise !== 0, `${rise}`);
  });
});
