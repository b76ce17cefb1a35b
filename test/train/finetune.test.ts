// Fine-tuning: the options and weights that a run inherits, freezing and LoRA; and the exchange of
// models with Hugging Face transformers.

import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { GPT, loadSafetensors, nn, saveGPT2, type TrainConfig, tensor, train } from "tinybard";
import * as assert from "uvu/assert";
import { exportRun } from "#src/runs/export.js";
import { importRun } from "#src/runs/import.js";
import { loadRun } from "#src/runs/load.js";
import { readRows } from "#src/runs/metrics.js";
import { loadBPE } from "#src/tokenizers/io.js";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-tuning-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const writeText = (name: string, line: string) => {
  writeFileSync(join(folder, name), `${line}\n`.repeat(60));
  return join(folder, name);
};
const data = writeText("text.txt", "To be, or not to be, that is the question:");
const other = writeText("other.txt", "to Tahiti, quoth he, he has not been");
const newCharacters = writeText("foreign.txt", "Call me Ishmael; some years ago, to be sure");
let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);

eachDevice("fine-tuning", (test, on) => {
  const sizes = { nLayer: 2, nHead: 2, nEmbd: 16, blockSize: 8 };
  const settings = { batchSize: 4, evalInterval: 5, evalIters: 2, logInterval: 1, seed: 3 };
  const run = (options: Partial<TrainConfig>) =>
    train({ ...settings, data, maxIters: 10, device: on.name, out: newFolder(), ...options });
  const base = run({ ...sizes, learningRate: 1e-2, dropout: 0.1 });
  const finetune = async (options: Partial<TrainConfig>) =>
    run({ initFrom: (await base).out, data: other, ...options });
  const assertFails = async (options: Partial<TrainConfig>, message: RegExp) => {
    const error = await finetune(options).then(
      () => assert.unreachable(`${message}: trained`),
      (error) => error,
    );
    assert.is(error.name, "UsageError", error.stack);
    assert.match(error.message, message);
  };
  const getWeights = (model: nn.Module) =>
    new Map([...model.namedParameters()].map(([name, w]) => [name, w.data()]));
  const getLogits = (model: nn.Module) => {
    const idx = tensor(Int32Array.of(1, 5, 2, 0, 7), { shape: [1, 5], device: on });
    return ((model.eval() as GPT).forward(idx).logits as ReturnType<typeof tensor>).data();
  };

  test("a run inherits weights, tokenizer and architecture, and a tenth of the learning rate", async () => {
    const pretrained = loadRun((await base).out, on);
    const finetuned = await finetune({ maxIters: 0 });
    assert.equal(getWeights(finetuned.model), getWeights(pretrained.model));
    assert.equal(finetuned.tokenizer.toJSON(), pretrained.tokenizer.toJSON());
    const { nLayer, nEmbd, blockSize, dropout, learningRate, batchSize } = finetuned.config;
    assert.equal([nLayer, nEmbd, blockSize, dropout], [2, 16, 8, 0]);
    assert.equal([learningRate, batchSize], [1e-3, 4]);
    assert.is((await finetune({ maxIters: 0, learningRate: 0.5 })).config.learningRate, 0.5);
    const preset = await finetune({ maxIters: 0, preset: "bigram" });
    assert.equal([preset.config.learningRate, preset.config.model], [1e-2, "gpt"]);
    assert.is(preset.config.qkvBias, true); // the pretrained model's, not the preset's
  });

  test("blockSize may be reduced: only the first positions are kept", async () => {
    const pretrained = loadRun((await base).out, on);
    const { model } = await finetune({ maxIters: 0, blockSize: 3 });
    const cropped = getWeights(model).get("wpe.weight");
    const full = getWeights(pretrained.model).get("wpe.weight");
    assert.equal(cropped, full?.slice(0, 3 * 16));
    await assertFails({ blockSize: 9 }, /initFrom: blockSize is 8 in .* and can only be reduced/);
  });

  test("options that contradict the pretrained model are rejected", async () => {
    await assertFails({ nEmbd: 32 }, /initFrom: nEmbd is 16 in .* and cannot change/);
    await assertFails({ positions: "rotary" }, /initFrom: positions is learned/);
    await assertFails({ qkNorm: true }, /initFrom: qkNorm is false/);
    await assertFails({ logitSoftcap: 15 }, /initFrom: logitSoftcap is 0/);
    await assertFails({ tokenizer: "bpe" }, /initFrom: tokenizer is char/);
    await assertFails({ vocabSize: 300 }, /initFrom: vocabSize is \d+ in .* and cannot change/);
    await assertFails({ initFrom: undefined, loraRank: 2 }, /loraRank: requires --init-from/);
    await assertFails(
      { initFrom: undefined, extendVocab: true },
      /extendVocab: requires --init-from/,
    );
    await assertFails({ loraAlpha: 2 }, /loraAlpha: requires --lora-rank/);
    await assertFails({ loraRank: 2, loraAlpha: -1 }, /loraAlpha is -1, expected a number above 0/);
    await assertFails(
      { loraRank: 2, extendVocab: true },
      /extendVocab: new embeddings must be trained/,
    );
    await assertFails({ freeze: 3 }, /freeze: is 3, expected at most nLayer, 2/);
    await assertFails(
      { freeze: 2, loraRank: 2 },
      /freeze: is 2, which leaves no block for loraRank/,
    );
    await assertFails({ loraRank: 17 }, /loraRank: is 17, expected at most nEmbd, 16/);
    await assertFails({ initFrom: "nowhere" }, /nowhere is not a run/);
    await assertFails({ initFrom: undefined, model: "bigram", freeze: 0 }, /bigram has no blocks/);
  });

  test("new characters: an error that names them, or new rows at the end", async () => {
    await assertFails(
      { data: newCharacters },
      /foreign.txt has characters that are not in .*: ";" "C" "I" "g" "l" "m" "y"; /,
    );
    const pretrained = loadRun((await base).out, on);
    const finetuned = await finetune({ data: newCharacters, extendVocab: true, maxIters: 0 });
    const { vocabSize } = pretrained.tokenizer;
    assert.is(finetuned.tokenizer.vocabSize, vocabSize + 7);
    assert.equal(finetuned.tokenizer.encode("To be"), pretrained.tokenizer.encode("To be"));
    assert.is(finetuned.tokenizer.decode([vocabSize]), ";");
    const rows = getWeights(finetuned.model).get("wte.weight");
    const old = getWeights(pretrained.model).get("wte.weight");
    assert.equal(rows?.slice(0, 16 * vocabSize), old);
    const added = Array.from(rows?.slice(16 * vocabSize) ?? []);
    const deviation = Math.sqrt(added.reduce((sum, w) => sum + w * w, 0) / added.length);
    assert.ok(Math.abs(deviation - 0.02) < 0.005, `${deviation}`);
    const reloaded = loadRun(finetuned.out, on);
    assert.equal(getWeights(reloaded.model), getWeights(finetuned.model));
  });

  for (const [name, options] of [
    ["first block frozen", { freeze: 1 }],
    ["LoRA", { loraRank: 2, loraAlpha: 4, learningRate: 1e-2 }],
    ["LoRA above a frozen block, with dropout", { loraRank: 1, freeze: 1, dropout: 0.2 }],
  ] as [string, Partial<TrainConfig>][]) {
    test(`10 steps equal 5 + resume + 5, byte for byte: ${name}`, async () => {
      const whole = await finetune(options);
      const resumed = await finetune({ ...options, maxIters: 5 });
      await train({ resume: resumed.out, maxIters: 10 });
      for (const part of ["model", "optimizer"]) {
        const read = (out: string) => readFileSync(join(out, "last", `${part}.safetensors`));
        assert.ok(read(whole.out).equals(read(resumed.out)), part);
      }
      const losses = (out: string) => readRows(out).map(({ loss, valLoss }) => [loss, valLoss]);
      assert.equal(losses(resumed.out), losses(whole.out));
    });
  }

  test("frozen weights do not change and have no optimizer state; all others change", async () => {
    const before = getWeights(loadRun((await base).out, on).model);
    const { model, out } = await finetune({ freeze: 1 });
    for (const [name, w] of getWeights(model)) {
      const isFrozen = /^(wte|wpe|h\.0\.)/.test(name);
      assert.is(w.join() === before.get(name)?.join(), isFrozen, name);
    }
    const state = loadSafetensors(join(out, "last", "optimizer.safetensors"));
    assert.is(Object.keys(state).length, 3 * (12 + 2)); // m, v, t of a block and the final norm
  });

  test("LoRA: checkpoints hold only the adapters, and require the unchanged base model", async () => {
    const { model, out } = await finetune({ loraRank: 2, learningRate: 1e-2 });
    const dict = loadSafetensors(join(out, "last", "model.safetensors"));
    assert.equal(Object.keys(dict).sort(), Object.keys(nn.adapterState(model)).sort());
    const bytes = (run: string) => statSync(join(run, "last", "model.safetensors")).size;
    const floats = 2 * 2 * (64 + 32 + 80 + 80); // blocks, rank, in + out of four layers
    assert.ok(bytes(out) < 4 * floats + 2500, `${bytes(out)} bytes`);
    const moved = join(folder, `moved-${on.name}`);
    cpSync((await base).out, moved, { recursive: true });
    const lora = await finetune({ loraRank: 2, learningRate: 1e-2, initFrom: moved });
    rmSync(join(lora.out, "best"), { recursive: true }); // so that last/ is loaded
    const merged = loadRun(lora.out, on);
    assert.ok([...merged.model.modules()].every((module) => !(module instanceof nn.LoRALinear)));
    assertClose(getLogits(merged.model), getLogits(lora.model), {
      rtol: 1e-4,
      atol: 1e-5,
    });
    renameSync(moved, `${moved}-away`);
    assert.throws(
      () => loadRun(lora.out, on),
      /holds adapters for the model in .* no longer exists/,
    );
    cpSync(`${moved}-away`, moved, { recursive: true });
    for (const name of ["best", "last"]) {
      const weights = join(moved, name, "model.safetensors");
      const changed = readFileSync(weights);
      changed[changed.length - 1] ^= 1;
      writeFileSync(weights, changed);
    }
    assert.throws(
      () => loadRun(lora.out, on),
      /holds adapters .*, whose weights have changed since/,
    );
    const resumed = await train({ resume: lora.out, maxIters: 12 }).catch((error) => error);
    assert.match(resumed.message, /whose weights have changed since/);
  });

  test("export and import preserve the logits bit for bit, and the tokenizer; adapters are merged", async () => {
    const lora = await finetune({ loraRank: 2, learningRate: 1e-2 });
    for (const run of [await base, lora]) {
      const out = newFolder();
      const importedOut = newFolder();
      const { model } = exportRun(run.out, out, { device: on });
      const imported = importRun(out, importedOut, on);
      const reloaded = loadRun(importedOut, on);
      assert.equal(getWeights(reloaded.model), getWeights(model));
      assert.equal(getLogits(reloaded.model), getLogits(model));
      assert.equal(reloaded.tokenizer.toJSON(), run.tokenizer.toJSON());
      assert.is(imported.config.tokenizer, "char");
      assert.throws(
        () => exportRun(run.out, out, { device: on }),
        /out: .* holds a run or a model already/,
      );
      assert.throws(
        () => importRun(out, importedOut, on),
        /out: .* holds a run or a model already/,
      );
      const resumed = await train({ resume: importedOut }).catch((error) => error);
      assert.match(resumed.message, /was imported, not trained; use --init-from/);
      assert.equal(getWeights((await finetuneFrom(out)).model), getWeights(model));
    }
  });
  const finetuneFrom = (initFrom: string) => finetune({ initFrom, maxIters: 0 });

  test("export writes byte-pair encoding in the format of transformers", async () => {
    const trained = await run({ ...sizes, tokenizer: "bpe", vocabSize: 260, maxIters: 1 });
    const out = newFolder();
    exportRun(trained.out, out, { device: on });
    for (const file of ["tokenizer.json", "vocab.json", "merges.txt"])
      assert.ok(existsSync(join(out, file)), file);
    // otherwise transformers would add <|endoftext|> with id 260, beyond the embedding
    const settings = JSON.parse(readFileSync(join(out, "tokenizer_config.json"), "utf8"));
    assert.equal([settings.bos_token, settings.eos_token, settings.unk_token], [null, null, null]);
    rmSync(join(out, "tokenizer.json")); // vocab.json and merges.txt hold the same
    const { tokenizer, config } = importRun(out, newFolder(), on);
    assert.is(config.tokenizer, "bpe");
    assert.equal(tokenizer.encode("to be sure"), trained.tokenizer.encode("to be sure"));
    assert.equal(loadBPE(out).vocabSize, 260);
  });

  test("import of the golden GPT-2: token ids as text; padding is dropped", async () => {
    const out = newFolder();
    const { tokenizer, config } = importRun(fixturePath("gpt2"), out, on);
    assert.equal([config.tokenizer, tokenizer.vocabSize], ["ids", 311]);
    assert.equal(tokenizer.encode(" 12 0\n310"), [12, 0, 310]);
    assert.is(tokenizer.decode([12, 0]), " 12 0");
    for (const [word, position] of [
      ["311", 0],
      ["x", 1],
      ["-1", 0],
      ["1.5", 0],
    ] as const)
      assert.throws(
        () => tokenizer.encode(position ? `3 ${word}` : word),
        new RegExp(
          `encode: "${word.replace(".", "\\.")}" at position ${position} is not an id, expected 0 to 310`,
        ),
      );
    const { prompt } = JSON.parse(readFileSync(fixturePath("gpt2/expected.json"), "utf8"));
    const { ids, logits } = loadSafetensors(fixturePath("gpt2/expected.safetensors"));
    const actual = (loadRun(out, on).model as GPT).forward(ids.to(on)).logits;
    assertClose(actual as NonNullable<typeof actual>, logits, { rtol: 1e-4, atol: 1e-4 });
    assert.ok(prompt.every((id: number) => id < 311));
    const small = newFolder();
    saveGPT2(small, new GPT({ ...sizes, vocabSize: 20 }));
    const characters = [..."abcdefghij klmno"]; // 16 of 20
    writeFileSync(
      join(small, "tinybard-tokenizer.json"),
      JSON.stringify({ type: "char", characters }),
    );
    const padded = importRun(small, newFolder(), on);
    assert.equal((padded.model as GPT).wte.weight.shape, [16, 16]);
    const original = loadSafetensors(join(small, "model.safetensors"))["transformer.wte.weight"];
    assert.equal((padded.model as GPT).wte.weight.data(), original.data().slice(0, 16 * 16));
  });

  test("errors in a vocabulary name the file", () => {
    const source = newFolder();
    saveGPT2(source, new GPT({ ...sizes, vocabSize: 20 }));
    const characters = [..."abcdefghij klmnopqrstu"];
    for (const [name, content, message] of [
      ["merges.txt", "", /vocab.json: no such file/],
      ["vocab.json", "7", /vocab.json, .*merges.txt: .* vocab is not a JSON object/],
      ["tokenizer.json", "{}", /tokenizer.json: .* model is not a JSON object/],
      ["tinybard-tokenizer.json", "{", /tinybard-tokenizer.json: .*JSON/],
      [
        "tinybard-tokenizer.json",
        "{}",
        /tinybard-tokenizer.json: .* expected the JSON value of a tokenizer/,
      ],
      [
        "tinybard-tokenizer.json",
        '{"type":"char","characters":[]}',
        /json: the vocabulary has no tokens$/,
      ],
      [
        "tinybard-tokenizer.json",
        JSON.stringify({ type: "char", characters }),
        /tinybard-tokenizer.json: the vocabulary has 22 tokens, and vocab_size is 20$/,
      ],
    ] as const) {
      writeFileSync(join(source, name), content);
      const matches = (error: Error) =>
        error.message.startsWith(source) && message.test(error.message);
      assert.throws(() => importRun(source, newFolder(), on), matches, String(message));
    }
  });

  test("a bigram model cannot be exported", async () => {
    const { out } = await run({ model: "bigram", maxIters: 0 });
    assert.throws(
      () => exportRun(out, newFolder(), { device: on }),
      /is a bigram model; only a GPT is exported/,
    );
  });
});
