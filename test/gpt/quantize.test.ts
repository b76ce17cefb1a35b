// A GPT in few bits is the GPT whose weights they mean: what it computes, what memory and disk hold
// of it, what refuses it, and the program that makes one.

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
import { measureRun } from "#src/train/evaluate.js";
import { assertClose, eachDevice, saying, shakespeare } from "../support/support.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-quantize-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const program = fileURLToPath(new URL("../../dist/cli/index.js", import.meta.url));
const data = join(folder, "text.txt");
writeFileSync(data, "To be, or not to be, that is the question:\n".repeat(60));
let folders = 0;
const newFolder = () => join(folder, `run-${folders++}`);
const fileOf = (run: string) => join(run, "best", "model.safetensors");

const sizes = { vocabSize: 13, blockSize: 8, nLayer: 2, nHead: 2, nEmbd: 36 };
const kinds: Record<string, GPTOptions> = {
  "as GPT-2": sizes,
  "as Llama, head untied": {
    ...{ ...sizes, positions: "rotary", norm: "rms", activation: "swiglu" },
    ...{ bias: false, tieWeights: false },
  },
  "sinusoids, bias in the head": {
    ...{ ...sizes, positions: "sinusoidal", activation: "relu" },
    ...{ lmHeadBias: true, qkvBias: false },
  },
};

/** A model none of whose parameters is 0. */
function modelOf(options: GPTOptions): GPT {
  const model = new GPT(options).eval();
  for (const w of model.parameters()) noGrad(() => w.assign(randn(w.shape).mul(0.3)));
  return model;
}

/** The same with each matrix as its bits mean it. */
function rounded(model: GPT, bits: 8 | 4): GPT {
  const dict = model.stateDict();
  for (const [name, w] of Object.entries(dict))
    if (w.shape.length === 2 && name !== "wpe.weight")
      dict[name] = dequantize(quantizeMatrix(w, { bits }));
  const floats = new GPT(model.config).eval();
  floats.loadStateDict(dict);
  return floats;
}

async function written(model: GPT): Promise<number[]> {
  const ids = [];
  for await (const id of generate(model, { prompt: [1, 2], maxNewTokens: 12, seed: 5 }))
    ids.push(id);
  return ids;
}

eachDevice("quantized GPT", (test, on) => {
  const idx = () => tensor(Int32Array.of(1, 5, 2, 0, 7, 12), { shape: [2, 3], device: on });
  const targets = () => tensor(Int32Array.of(5, 2, 0, 7, 12, 1), { shape: [2, 3], device: on });

  for (const [what, options] of Object.entries(kinds))
    for (const bits of [8, 4] as const)
      test(`${bits} bits, ${what}: logits, loss and text of the weights that they mean`, async () => {
        const model = modelOf(options);
        const [small, floats] = [quantize(model, { bits }), rounded(model, bits)];
        const [ours, meant] = [small, floats].map((each) => each.forward(idx(), targets()));
        assertClose(ours.logits as Tensor, meant.logits as Tensor, { rtol: 1e-5, atol: 2e-5 });
        assertClose(ours.loss as Tensor, meant.loss as Tensor, { rtol: 1e-5 });
        const { loss } = small.forward(idx(), targets(), { logits: false });
        assertClose(loss as Tensor, meant.loss as Tensor, { rtol: 1e-5 });
        assert.equal(await written(small), await written(floats)); // past the block's end
        const names = Object.keys(small.stateDict()).filter((name) => name.endsWith("scale"));
        assert.is(names.length, 8 + (options.tieWeights === false ? 2 : 1));
        assert.ok([...small.parameters()].every((w) => !w.requiresGrad));
      });

  const brief = { batchSize: 2, blockSize: 8, evalIters: 2, maxIters: 0, seed: 3 };
  const newRun = async (options: Partial<TrainConfig> = {}) => {
    const run = { ...brief, nLayer: 2, nHead: 2, nEmbd: 64, data, device: on.name };
    return (await train({ ...run, out: newFolder(), ...options })).out;
  };
  const base = newRun();
  const quantized = async (bits: 8 | 4, run = base) => {
    const out = newFolder();
    quantizeRun(await run, { out, bits, device: on });
    return out;
  };

  test("its folder loads as the model it was written from, and small: a file's worth of memory", async () => {
    for (const [bits, most] of [
      [8, 0.3],
      [4, 0.2],
    ] as const) {
      const run = await quantized(bits);
      const [bytes, whole] = [run, await base].map((each) => statSync(fileOf(each)).size);
      assert.ok(bytes < most * whole, `${bytes} of ${whole} bytes`);
      globalThis.gc?.();
      await new Promise((resolve) => setTimeout(resolve, 5));
      const { pool } = on;
      const before = pool.liveBytes;
      pool.peakBytes = before;
      const { model } = loadRun(run, on);
      const [live, peak] = [pool.liveBytes - before, pool.peakBytes - before];
      assert.ok(live > 0 && live <= bytes, `${live} bytes live, ${bytes} on disk`);
      const matrix = (bits / 8) * 64 * 256; // the largest
      assert.ok(peak <= bytes + matrix, `${peak} bytes at most, ${bytes} on disk`);
      assert.is(pool.freeBytes, 0);
      const [ours, meant] = [model, rounded(loadRun(await base, on).model as GPT, bits)].map(
        (each) => each.eval().forward(idx()).logits as Tensor,
      );
      assertClose(ours, meant, { rtol: 1e-5, atol: 1e-6 });
    }
  });

  test("what would need floats refuses it", async () => {
    const run = await quantized(8);
    const small = loadRun(run, on).model as GPT;
    assert.throws(
      () => quantize(small, { bits: 4 }),
      saying("quantize: the model is quantized already"),
    );
    assert.throws(() => saveGPT2(newFolder(), small), /saveGPT2: the model is quantized/);
    assert.throws(() => exportRun(run, newFolder(), on), /export: the model of .* is quantized/);
    const error = await newRun({ initFrom: run }).catch((error) => error);
    assert.is(error.name, "UsageError");
    assert.match(error.message, /initFrom: .* holds a quantized model/);
    assert.throws(() => quantizeRun(run, { out: newFolder(), bits: 8, device: on }), /already/);
    assert.throws(
      () => quantize(modelOf(sizes), { bits: 3 as 4 }),
      saying("quantize: bits is 3, expected 8 or 4"),
    );
    assert.throws(() => quantize({} as GPT, { bits: 8 }), saying("quantize: the model is no GPT"));
  });

  test("a file that contradicts itself, or the configuration, is named", async () => {
    const run = await quantized(4);
    const { tensors, metadata } = readSafetensors(fileOf(run));
    const [matrix, scale] = ["h.1.mlp.c_fc.weight", "h.1.mlp.c_fc.scale"];
    const { [scale]: _, ...without } = tensors;
    const wrong: [TensorDict, Record<string, string>, RegExp][] = [
      [tensors, { ...metadata, bits: "3" }, /best: bits is 3, expected 8 or 4/],
      [tensors, { ...metadata, bits: "" }, /best: bits is , expected 8 or 4/],
      [tensors, { ...metadata, bits: "8" }, /weight has shape .*, expected/],
      [tensors, { step: "0" }, /scale is unknown/],
      [without, metadata, /h.1.mlp.c_fc.scale is missing/],
      [{ ...tensors, [scale]: randn([256, 1]) }, metadata, /c_fc.scale has shape \[256, 1\]/],
      [{ ...tensors, [matrix]: randn([256, 8]) }, metadata, /c_fc.weight has dtype f32/],
    ];
    for (const [i, [dict, strings, message]] of wrong.entries()) {
      const hostile = newFolder();
      cpSync(run, hostile, { recursive: true });
      saveSafetensors(fileOf(hostile), dict, strings);
      assert.throws(() => loadRun(hostile, on), message, `${i}`);
    }
  });

  const tinybard = (...words: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], {
      encoding: "utf8",
    });
    return { status, stdout, stderr };
  };

  test("the program: a table of both, and a folder that sample and eval take", async () => {
    const run = await base;
    const brief = ["--iters", "2", "--tokens", "3", "--device", on.name];
    const { status, stdout, stderr } = tinybard("quantize", "--run", run, "--bits", "4", ...brief);
    assert.is(status, 0, stderr);
    const out = `${run}-4bit`;
    assert.ok(stdout.startsWith(`${on}: ${out}\n`), stdout);
    const [head, ...rows] = stdout.split("\n").slice(1, -1);
    assert.equal(head.trim().split(/ {2,}/), ["bits", "MB", "train loss", "val loss", "tokens/s"]);
    const cells = rows.map((row) => row.trim().split(/ +/).map(Number));
    const sizes = [run, out].map((each) => Number((statSync(fileOf(each)).size / 1e6).toFixed(2)));
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
    const again = tinybard("quantize", "--run", run, "--bits", "4", ...brief);
    assert.is(again.status, 2);
    assert.match(again.stderr, /holds a run already/);
  });

  test("the program refuses 3 bits, a bigram and a folder without a run", async () => {
    const bigram = await newRun({ model: "bigram" });
    for (const [words, message] of [
      [[], /--run DIR is missing/],
      [["--run", await base, "--bits", "3"], /bits is 3, expected 8 or 4/],
      [["--run", bigram], /holds a bigram model; only a GPT can be quantized/],
      [["--run", newFolder()], /holds no run/],
    ] as const) {
      const { status, stderr } = tinybard("quantize", ...words, "--device", on.name);
      assert.is(status, 2, stderr);
      assert.match(stderr, message);
    }
    assert.not(existsSync(`${bigram}-8bit`));
  });

  if (!["cpu", "cuda"].includes(on.name)) return; // the others take minutes
  test("Tiny Shakespeare: at most 0.30 of the bytes, and less than 0.01 of loss", async () => {
    if (!shakespeare("the loss of a quantized model")) return;
    const text = process.env.TINYBARD_DATA as string;
    const options = { preset: "lecture-0.2m", maxIters: 300, evalInterval: 300 } as const;
    const { out: run } = await train({
      ...{ ...options, evalIters: 5, data: text, device: on.name, out: newFolder() },
    });
    const out = newFolder();
    quantizeRun(run, { out, bits: 8, device: on });
    const [small, whole] = [out, run].map((each) => statSync(fileOf(each)).size);
    assert.ok(small <= 0.3 * whole, `${small} of ${whole} bytes`);
    const [ours, before] = await Promise.all(
      [out, run].map((each) => measureRun(each, { iters: 40, device: on })),
    );
    const rise = ours.valLoss - before.valLoss;
    assert.ok(before.valLoss < 2.6 && Math.abs(rise) < 0.01 && rise !== 0, `${rise}`);
  });
});
