// Fine-tuning and exchange: what a run takes over from a model, what it trains of it, and the way
// to Hugging Face and back.

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
import { assertClose, eachDevice, fixture } from "../support/support.js";

const folder = mkdtempSync(join(tmpdir(), "tinybard-tuning-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const text = (name: string, line: string) => {
  writeFileSync(join(folder, name), `${line}\n`.repeat(60));
  return join(folder, name);
};
const data = text("text.txt", "To be, or not to be, that is the question:");
const other = text("other.txt", "to Tahiti, quoth he, he has not been");
const foreign = text("foreign.txt", "Call me Ishmael; some years ago, to be sure");
let runs = 0;
const newFolder = () => join(folder, `run-${runs++}`);

eachDevice("fine-tuning", (test, on) => {
  const sizes = { nLayer: 2, nHead: 2, nEmbd: 16, blockSize: 8 };
  const brief = { batchSize: 4, evalInterval: 5, evalIters: 2, logInterval: 1, seed: 3 };
  const run = (options: Partial<TrainConfig>) =>
    train({ ...brief, data, maxIters: 10, device: on.name, out: newFolder(), ...options });
  const base = run({ ...sizes, learningRate: 1e-2, dropout: 0.1 });
  const tune = async (options: Partial<TrainConfig>) =>
    run({ initFrom: (await base).out, data: other, ...options });
  const fails = async (options: Partial<TrainConfig>, message: RegExp) => {
    const error = await tune(options).then(
      () => assert.unreachable(`${message}: trained`),
      (error) => error,
    );
    assert.is(error.name, "UsageError", error.stack);
    assert.match(error.message, message);
  };
  const weightsOf = (model: nn.Module) =>
    new Map([...model.namedParameters()].map(([name, w]) => [name, w.data()]));
  const logitsOf = (model: nn.Module) => {
    const idx = tensor(Int32Array.of(1, 5, 2, 0, 7), { shape: [1, 5], device: on });
    return ((model.eval() as GPT).forward(idx).logits as ReturnType<typeof tensor>).data();
  };

  test("a run takes over weights, tokenizer and shape, and a tenth of the learning rate", async () => {
    const from = loadRun((await base).out, on);
    const tuned = await tune({ maxIters: 0 });
    assert.equal(weightsOf(tuned.model), weightsOf(from.model));
    assert.equal(tuned.tokenizer.toJSON(), from.tokenizer.toJSON());
    const { nLayer, nEmbd, blockSize, dropout, learningRate, batchSize } = tuned.config;
    assert.equal([nLayer, nEmbd, blockSize, dropout], [2, 16, 8, 0]);
    assert.equal([learningRate, batchSize], [1e-3, 4]);
    assert.is((await tune({ maxIters: 0, learningRate: 0.5 })).config.learningRate, 0.5);
    const preset = await tune({ maxIters: 0, preset: "bigram" });
    assert.equal([preset.config.learningRate, preset.config.model], [1e-2, "gpt"]);
    assert.is(preset.config.qkvBias, true); // the base's, not the preset's
  });

  test("blockSize may be less: the first places of the table", async () => {
    const from = loadRun((await base).out, on);
    const { model } = await tune({ maxIters: 0, blockSize: 3 });
    const [cropped, whole] = [model, from.model].map((each) => weightsOf(each).get("wpe.weight"));
    assert.equal(cropped, whole?.slice(0, 3 * 16));
    await fails({ blockSize: 9 }, /initFrom: blockSize is 8 in .*, and may only be less/);
  });

  test("what contradicts is refused", async () => {
    await fails({ nEmbd: 32 }, /initFrom: nEmbd is 16 in .*, and stays/);
    await fails({ positions: "rotary" }, /initFrom: positions is learned/);
    await fails({ tokenizer: "bpe" }, /initFrom: tokenizer is char/);
    await fails({ vocabSize: 300 }, /initFrom: vocabSize is \d+ in .*, and stays/);
    await fails({ initFrom: undefined, loraRank: 2 }, /loraRank: adapters need --init-from/);
    await fails({ initFrom: undefined, extendVocab: true }, /extendVocab: is for --init-from/);
    await fails({ loraAlpha: 2 }, /loraAlpha: needs --lora-rank/);
    await fails({ loraRank: 2, loraAlpha: -1 }, /loraAlpha is -1, expected a number above 0/);
    await fails({ loraRank: 2, extendVocab: true }, /extendVocab: new embeddings must be trained/);
    await fails({ freeze: 3 }, /freeze: is 3, expected at most nLayer, 2/);
    await fails({ freeze: 2, loraRank: 2 }, /freeze: is 2, and leaves loraRank no block to adapt/);
    await fails({ loraRank: 17 }, /loraRank: is 17, expected at most nEmbd, 16/); // no matrix has more
    await fails({ initFrom: "nowhere" }, /nowhere holds no run/);
    await fails({ initFrom: undefined, model: "bigram", freeze: 0 }, /bigram has no blocks/);
  });

  test("another alphabet: an error that names it, or new rows behind the old", async () => {
    await fails(
      { data: foreign },
      /foreign.txt has characters that .* not know: ";" "C" "I" "g" "l" "m" "y"; /,
    );
    const from = loadRun((await base).out, on);
    const tuned = await tune({ data: foreign, extendVocab: true, maxIters: 0 });
    const { vocabSize } = from.tokenizer;
    assert.is(tuned.tokenizer.vocabSize, vocabSize + 7);
    assert.equal(tuned.tokenizer.encode("To be"), from.tokenizer.encode("To be"));
    assert.is(tuned.tokenizer.decode([vocabSize]), ";");
    const [rows, old] = [tuned.model, from.model].map((each) => weightsOf(each).get("wte.weight"));
    assert.equal(rows?.slice(0, 16 * vocabSize), old);
    const fresh = Array.from(rows?.slice(16 * vocabSize) ?? []);
    const deviation = Math.sqrt(fresh.reduce((sum, w) => sum + w * w, 0) / fresh.length);
    assert.ok(Math.abs(deviation - 0.02) < 0.005, `${deviation}`);
    const again = loadRun(tuned.out, on);
    assert.equal(weightsOf(again.model), weightsOf(tuned.model));
  });

  for (const [what, options] of [
    ["frozen below", { freeze: 1 }],
    ["LoRA", { loraRank: 2, loraAlpha: 4, learningRate: 1e-2 }],
    ["LoRA above a frozen block, with dropout", { loraRank: 1, freeze: 1, dropout: 0.2 }],
  ] as [string, Partial<TrainConfig>][]) {
    test(`10 steps equal 5 + resume + 5, byte for byte: ${what}`, async () => {
      const whole = await tune(options);
      const half = await tune({ ...options, maxIters: 5 });
      await train({ resume: half.out, maxIters: 10 });
      for (const part of ["model", "optimizer"]) {
        const read = (out: string) => readFileSync(join(out, "last", `${part}.safetensors`));
        assert.ok(read(whole.out).equals(read(half.out)), part);
      }
      const losses = (out: string) => readRows(out).map(({ loss, valLoss }) => [loss, valLoss]);
      assert.equal(losses(half.out), losses(whole.out));
    });
  }

  test("frozen weights stay, have no memory in the optimizer, and all else moves", async () => {
    const before = weightsOf(loadRun((await base).out, on).model);
    const { model, out } = await tune({ freeze: 1 });
    for (const [name, w] of weightsOf(model)) {
      const stays = /^(wte|wpe|h\.0\.)/.test(name);
      assert.is(w.join() === before.get(name)?.join(), stays, name);
    }
    const memory = loadSafetensors(join(out, "last", "optimizer.safetensors"));
    assert.is(Object.keys(memory).length, 3 * (12 + 2)); // m, v, t of a block and the last norm
  });

  test("LoRA: a checkpoint of adapters alone, which nothing but its base completes", async () => {
    const { model, out } = await tune({ loraRank: 2, learningRate: 1e-2 });
    const dict = loadSafetensors(join(out, "last", "model.safetensors"));
    assert.equal(Object.keys(dict).sort(), Object.keys(nn.adapterState(model)).sort());
    const bytes = (run: string) => statSync(join(run, "last", "model.safetensors")).size;
    const floats = 2 * 2 * (64 + 32 + 80 + 80); // blocks, rank, in + out of four layers
    assert.ok(bytes(out) < 4 * floats + 2500, `${bytes(out)} bytes`);
    const moved = join(folder, `moved-${on.name}`);
    cpSync((await base).out, moved, { recursive: true });
    const lora = await tune({ loraRank: 2, learningRate: 1e-2, initFrom: moved });
    rmSync(join(lora.out, "best"), { recursive: true }); // so that the last is loaded
    const merged = loadRun(lora.out, on);
    assert.ok([...merged.model.modules()].every((each) => !(each instanceof nn.LoRALinear)));
    assertClose(logitsOf(merged.model), logitsOf(lora.model), {
      rtol: 1e-4,
      atol: 1e-5,
    });
    renameSync(moved, `${moved}-away`);
    assert.throws(() => loadRun(lora.out, on), /holds adapters for the model in .* not there any/);
    cpSync(`${moved}-away`, moved, { recursive: true });
    const weights = join(moved, "best", "model.safetensors");
    const changed = readFileSync(weights);
    changed[changed.length - 1] ^= 1;
    writeFileSync(weights, changed);
    assert.throws(() => loadRun(lora.out, on), /holds adapters .*, which has other weights now/);
    const resumed = await train({ resume: lora.out, maxIters: 12 }).catch((error) => error);
    assert.match(resumed.message, /which has other weights now/);
  });

  test("export and import: the same logits, bit for bit; adapters merged; the alphabet too", async () => {
    const lora = await tune({ loraRank: 2, learningRate: 1e-2 });
    for (const run of [await base, lora]) {
      const [out, back] = [newFolder(), newFolder()];
      const { model } = exportRun(run.out, out, on);
      const imported = importRun(out, back, on);
      const again = loadRun(back, on);
      assert.equal(weightsOf(again.model), weightsOf(model));
      assert.equal(logitsOf(again.model), logitsOf(model));
      assert.equal(again.tokenizer.toJSON(), run.tokenizer.toJSON());
      assert.is(imported.config.tokenizer, "char");
      assert.throws(() => exportRun(run.out, out, on), /out: .* holds a run or a model already/);
      assert.throws(() => importRun(out, back, on), /out: .* holds a run or a model already/);
      const resumed = await train({ resume: back }).catch((error) => error);
      assert.match(resumed.message, /was imported, not trained; --init-from/);
      assert.equal(weightsOf((await direct(out)).model), weightsOf(model));
    }
  });
  const direct = (initFrom: string) => tune({ initFrom, maxIters: 0 });

  test("byte-pair encoding goes along, as transformers reads it", async () => {
    const trained = await run({ ...sizes, tokenizer: "bpe", vocabSize: 260, maxIters: 1 });
    const [out, back] = [newFolder(), newFolder()];
    exportRun(trained.out, out, on);
    for (const file of ["tokenizer.json", "vocab.json", "merges.txt"])
      assert.ok(existsSync(join(out, file)), file);
    // transformers would else add <|endoftext|> as token 260 of 260
    const settings = JSON.parse(readFileSync(join(out, "tokenizer_config.json"), "utf8"));
    assert.equal([settings.bos_token, settings.eos_token, settings.unk_token], [null, null, null]);
    rmSync(join(out, "tokenizer.json")); // the older two files say the same
    const { tokenizer, config } = importRun(out, back, on);
    assert.is(config.tokenizer, "bpe");
    assert.equal(tokenizer.encode("to be sure"), trained.tokenizer.encode("to be sure"));
    assert.equal(loadBPE(out).vocabSize, 260);
  });

  test("the golden GPT-2 as a run: ids for a text, and padding left out", async () => {
    const out = newFolder();
    const { tokenizer, config } = importRun(fixture("gpt2"), out, on);
    assert.equal([config.tokenizer, tokenizer.vocabSize], ["ids", 311]);
    assert.equal(tokenizer.encode(" 12 0\n310"), [12, 0, 310]);
    assert.is(tokenizer.decode([12, 0]), " 12 0");
    for (const [word, at] of [
      ["311", 0],
      ["x", 1],
      ["-1", 0],
      ["1.5", 0],
    ] as const)
      assert.throws(
        () => tokenizer.encode(at ? `3 ${word}` : word),
        new RegExp(
          `encode: "${word.replace(".", "\\.")}" at position ${at} is no id, expected 0 to 310`,
        ),
      );
    const { prompt } = JSON.parse(readFileSync(fixture("gpt2/expected.json"), "utf8"));
    const { ids, logits } = loadSafetensors(fixture("gpt2/expected.safetensors"));
    const found = (loadRun(out, on).model as GPT).forward(ids.to(on)).logits;
    assertClose(found as NonNullable<typeof found>, logits, { rtol: 1e-4, atol: 1e-4 });
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
    const whole = loadSafetensors(join(small, "model.safetensors"))["transformer.wte.weight"];
    assert.equal((padded.model as GPT).wte.weight.data(), whole.data().slice(0, 16 * 16));
  });

  test("what is wrong with a folder's vocabulary is told with the file's path", () => {
    const from = newFolder();
    saveGPT2(from, new GPT({ ...sizes, vocabSize: 20 }));
    const characters = [..."abcdefghij klmnopqrstu"];
    for (const [name, content, message] of [
      ["merges.txt", "", /vocab.json: ENOENT/],
      ["vocab.json", "7", /vocab.json, .*merges.txt: .* vocab is no JSON object/],
      ["tokenizer.json", "{}", /tokenizer.json: .* model is no JSON object/],
      ["tinybard-tokenizer.json", "{", /tinybard-tokenizer.json: .*JSON/],
      ["tinybard-tokenizer.json", "{}", /tinybard-tokenizer.json: .* that of no tokenizer known/],
      ["tinybard-tokenizer.json", '{"type":"char","characters":[]}', /json: .* has 0 tokens, and/],
      [
        "tinybard-tokenizer.json",
        JSON.stringify({ type: "char", characters }),
        /tinybard-tokenizer.json: the vocabulary has 22 tokens, and vocab_size is 20$/,
      ],
    ] as const) {
      writeFileSync(join(from, name), content);
      const refused = (error: Error) =>
        error.message.startsWith(from) && message.test(error.message);
      assert.throws(() => importRun(from, newFolder(), on), refused, String(message));
    }
  });

  test("a bigram is not exported", async () => {
    const { out } = await run({ model: "bigram", maxIters: 0 });
    assert.throws(() => exportRun(out, newFolder(), on), /is a bigram, which GPT-2 cannot hold/);
  });
});
