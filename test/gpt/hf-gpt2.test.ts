// GPT-2 folders: as written by transformers, as written by saveGPT2(), and invalid ones.

import {
  cpSync,
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
  GPT,
  type GPTOptions,
  loadGPT2,
  loadSafetensors,
  nn,
  saveGPT2,
  saveSafetensors,
  type Tensor,
  type TensorDict,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

const tiny: GPTOptions = { vocabSize: 13, blockSize: 6, nLayer: 2, nHead: 2, nEmbd: 8 };
const createValues = (name: string, shape: number[]): Tensor => {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    Math.sin(i + name.length),
  );
  return tensor(values, { shape });
};

eachDevice("GPT-2 folders", (test, on) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-gpt2-"));
  test.after(() => rmSync(folder, { recursive: true }));

  /** Builds a model in which all parameters differ from their initial values. */
  const buildModel = (options: Partial<GPTOptions> = {}) => {
    const model = new GPT({ ...tiny, ...options });
    for (const [name, w] of model.namedParameters())
      w.assign(createValues(name, [...w.shape]).to(on));
    return model;
  };
  const getLogits = (model: GPT) =>
    model.forward(tensor([[1, 12, 5, 0]], { dtype: "i32" })).logits as Tensor;
  let count = 0;
  const newFolder = () => join(folder, String(count++));
  /** Copies a folder, by default the golden one, with changes to its tensors or config.json. */
  const copyWith = (
    change: { tensors?: (dict: TensorDict) => TensorDict; config?: object },
    from = fixturePath("gpt2"),
  ) => {
    const copy = newFolder();
    cpSync(from, copy, { recursive: true });
    const weights = join(copy, "model.safetensors");
    const config = join(copy, "config.json");
    if (change.tensors) saveSafetensors(weights, change.tensors(loadSafetensors(weights)));
    const json = JSON.parse(readFileSync(config, "utf8"));
    writeFileSync(config, JSON.stringify({ ...json, ...change.config }));
    return copy;
  };
  const rename = (dict: TensorDict, name: (old: string) => string) =>
    Object.fromEntries(Object.entries(dict).map(([old, x]) => [name(old), x]));
  const loadGoldenLogits = () => loadLogits(fixturePath("gpt2"));
  const loadLogits = async (path: string) => getLogits(await loadGPT2(path)).data();

  for (const options of [
    {},
    { tieWeights: false, activation: "relu", dropout: 0.1 },
    { bias: false, activation: "silu", nLayer: 1, nHead: 1 },
    { qkvBias: false, activation: "tanh", nEmbd: 10 },
    { activation: "gelu-tanh", blockSize: 4, vocabSize: 14 },
    { activation: "relu2" },
  ] as Partial<GPTOptions>[]) {
    test(`round trip: ${JSON.stringify(options)}`, async () => {
      const saved = buildModel(options);
      const path = newFolder();
      saveGPT2(path, saved, { endOfText: 3 });
      const loaded = await loadGPT2(path);
      const expected = { ...saved.config, bias: true, qkvBias: true, dropout: 0 };
      assert.equal(loaded.config, expected);
      const original = new Map(saved.namedParameters());
      for (const [name, w] of loaded.namedParameters())
        assert.equal(w.data(), original.get(name)?.data() ?? new Float32Array(w.size), name);
      assertClose(getLogits(loaded), getLogits(saved.eval()));
    });
  }

  test("saveGPT2 writes the names, shapes and settings of transformers", () => {
    const path = newFolder();
    saveGPT2(path, buildModel({ bias: false, tieWeights: false, lmHeadBias: false, dropout: 0.2 }));
    const dict = loadSafetensors(join(path, "model.safetensors"));
    const shapes = Object.fromEntries(Object.entries(dict).map(([name, x]) => [name, x.shape]));
    const { "transformer.h.0.attn.c_attn.weight": w, "transformer.h.1.mlp.c_proj.bias": b } = dict;
    assert.is(Object.keys(dict).length, 2 + 2 * 12 + 2 + 1);
    assert.equal(shapes["transformer.wte.weight"], [13, 8]);
    assert.equal(shapes["transformer.h.0.mlp.c_fc.weight"], [8, 32]);
    assert.equal(shapes["transformer.ln_f.bias"], [8]);
    assert.equal(shapes["lm_head.weight"], [13, 8]);
    const original = createValues("h.0.attn.c_attn.weight", [24, 8]).data();
    assert.equal([w.shape, w.data()[1], w.data()[24]], [[8, 24], original[8], original[1]]);
    assert.equal(b.data(), new Float32Array(8));
    const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    const { model_type, activation_function, n_positions, n_embd, n_layer, n_head } = config;
    assert.equal([model_type, activation_function], ["gpt2", "gelu"]);
    assert.equal([n_positions, n_embd, n_layer, n_head, config.vocab_size], [6, 8, 2, 2, 13]);
    assert.equal([config.attn_pdrop, config.resid_pdrop, config.embd_pdrop], [0.2, 0.2, 0]);
    assert.equal([config.tie_word_embeddings, config.eos_token_id], [false, null]);
    const header = readFileSync(join(path, "model.safetensors")).toString("latin1", 8, 80);
    assert.match(header, /"__metadata__":\{"format":"pt"\}/); // transformers requires it
  });

  test("saveGPT2 names options and parameters that GPT-2 does not have", () => {
    for (const [options, message] of [
      [{ positions: "rotary" }, /saveGPT2: positions is rotary, but GPT-2's are learned/],
      [{ positions: "none" }, /saveGPT2: positions is none/],
      [{ norm: "rms" }, /saveGPT2: norm is rms, but GPT-2's is layer/],
      [{ activation: "swiglu" }, /saveGPT2: GPT-2 has no activation swiglu/],
      [{ qkNorm: true }, /saveGPT2: qkNorm is true, but GPT-2 has no norm of queries and keys/],
      [{ tokenShift: true }, /saveGPT2: tokenShift is true, but GPT-2 has no token shift/],
      [{ logitSoftcap: 30 }, /saveGPT2: logitSoftcap is 30, but GPT-2's logits have no cap/],
    ] as [Partial<GPTOptions>, RegExp][]) {
      const path = newFolder();
      assert.throws(() => saveGPT2(path, buildModel(options)), message);
      assert.not(existsSync(path));
    }
    const adapted = buildModel();
    nn.adapt(adapted.h[0], { rank: 1 });
    assert.throws(
      () => saveGPT2(newFolder(), adapted),
      /GPT-2 has no parameter h.0.attn.c_attn.lora_A/,
    );
    const head = buildModel({ lmHeadBias: true });
    assert.throws(() => saveGPT2(newFolder(), head), /lm_head.bias has values other than 0/);
    head.lm_head.bias?.fill(0);
    saveGPT2(newFolder(), head);
  });

  test("accepts names with and without transformer., masks, and a tied head in the file", async () => {
    const prefixed = (name: string) => name.replace(/^(transformer\.)?/, "transformer.");
    const plain = (name: string) => name.replace(/^transformer\./, "");
    for (const name of [prefixed, plain]) {
      const path = copyWith({
        tensors: (dict) => ({
          ...rename(dict, name),
          [name("h.0.attn.bias")]: zeros([1, 1, 48, 48]),
          [name("h.1.attn.masked_bias")]: zeros([]),
          "lm_head.weight": zeros([311, 64]),
        }),
      });
      assert.equal(await loadLogits(path), await loadGoldenLogits());
    }
  });

  test("shards", async () => {
    const path = copyWith({});
    const dict = Object.entries(loadSafetensors(join(path, "model.safetensors")));
    const files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const index = { weight_map: Object.fromEntries(dict.map(([name], i) => [name, files[i % 2]])) };
    for (const [k, file] of files.entries())
      saveSafetensors(join(path, file), Object.fromEntries(dict.filter((_, i) => i % 2 === k)));
    renameSync(join(path, "model.safetensors"), join(path, "elsewhere"));
    await assertRejects(path, "model.safetensors", /the file does not exist$/);
    const indexFile = "model.safetensors.index.json";
    writeFileSync(join(path, indexFile), JSON.stringify(index));
    assert.equal(await loadLogits(path), await loadGoldenLogits());
    const second = loadSafetensors(join(path, files[1]));
    const [name] = Object.keys(second);
    for (const [more, message] of [
      [{ odd: zeros([1]) }, /odd unknown/],
      [{ [name]: zeros([1]) }, /has shape \[1\], expected/],
      [{ [dict[0][0]]: zeros([1]) }, /appears twice/],
    ] as [TensorDict, RegExp][]) {
      saveSafetensors(join(path, files[1]), { ...second, ...more });
      await assertRejects(path, files[1], message);
    }
    for (const map of [
      undefined,
      {},
      "abc",
      { x: "../model.safetensors" },
      { x: ".." },
      { x: 1 },
    ]) {
      writeFileSync(join(path, indexFile), JSON.stringify({ weight_map: map }));
      await assertRejects(path, indexFile, /weight_map must name files in the same folder$/);
    }
  });

  const assertRejects = async (path: string, file: string, message: RegExp) => {
    const error = await loadGPT2(path).then(
      () => assert.unreachable(`${message}: loaded`),
      (error) => error,
    );
    assert.is(error.name, "HuggingFaceError", error.stack);
    assert.ok(error.message.startsWith(`${join(path, file)}: `), error.message);
    assert.match(error.message, message);
  };

  test("rejects tensors that are missing, unknown, duplicate, or have another shape or dtype", async () => {
    const without = ({ "transformer.h.1.ln_2.bias": _, ...rest }: TensorDict) => rest;
    const cases: [(dict: TensorDict) => TensorDict, RegExp][] = [
      [without, /h\.1\.ln_2\.bias missing/],
      [() => ({}), /wte.weight, wpe.weight, h.0.ln_1.weight, .* and \d+ more missing/],
      [(dict) => ({ ...dict, "h.0.attn.q.weight": zeros([2]) }), /h.0.attn.q.weight unknown/],
      [(dict) => ({ ...dict, "wte.weight": zeros([2]) }), /wte.weight appears twice/],
      [
        (dict) => ({ ...dict, "transformer.h.0.mlp.c_fc.weight": zeros([256, 64]) }),
        /h.0.mlp.c_fc.weight has shape \[256, 64\], expected \[64, 256\]/,
      ],
      [
        (dict) => ({ ...dict, "transformer.ln_f.bias": zeros([64], { dtype: "i32" }) }),
        /ln_f.bias has dtype I32, expected floats/,
      ],
    ];
    for (const [tensors, message] of cases)
      await assertRejects(copyWith({ tensors }), "model.safetensors", message);
  });

  test("rejects a config.json that does not match the weights or is not GPT-2's", async () => {
    const mismatches: [object, RegExp][] = [
      [{ n_layer: 1e9 }, /h.2.ln_1.weight, .* missing/],
      [{ n_layer: 1 }, /h.1.attn.c_attn.bias, .* unknown/],
      [{ vocab_size: 1e12 }, /wte.weight has shape \[311, 64\], expected \[1000000000000, 64\]/],
      [{ tie_word_embeddings: false }, /lm_head.weight missing/],
    ];
    for (const [config, message] of mismatches)
      await assertRejects(copyWith({ config }), "model.safetensors", message);
    const cases: [object, RegExp][] = [
      [{ model_type: "llama" }, /model_type is "llama", expected gpt2/],
      [{ vocab_size: "311" }, /vocab_size is "311", expected a whole number/],
      [{ n_embd: -64 }, /n_embd is -64/],
      [{ n_head: 7 }, /n_embd modulo n_head is 1, expected 0/],
      [{ n_inner: 100 }, /n_inner is 100, expected 256/],
      [{ layer_norm_epsilon: 1e-6 }, /layer_norm_epsilon is 0.000001, expected 0.00001/],
      [{ activation_function: "constructor" }, /activation_function is "constructor", expected ge/],
      [{ scale_attn_weights: false }, /scale_attn_weights is false/],
      [{ scale_attn_by_inverse_layer_idx: true }, /inverse_layer_idx is true/],
      [{ tie_word_embeddings: 1 }, /tie_word_embeddings is 1/],
    ];
    for (const [config, message] of cases)
      await assertRejects(copyWith({ config }), "config.json", message);
    const path = copyWith({});
    for (const [text, message] of [
      ["{", /JSON/],
      ["[]", /not a JSON object/],
    ] as const) {
      writeFileSync(join(path, "config.json"), text);
      await assertRejects(path, "config.json", message);
    }
    rmSync(join(path, "config.json"));
    await assertRejects(path, "config.json", /no such file/);
  });
});
