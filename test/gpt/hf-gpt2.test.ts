// GPT-2 folders: those that transformers writes, ours, and those that nobody should trust.

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
import { assertClose, eachDevice, fixture } from "../support/support.js";

const tiny: GPTOptions = { vocabSize: 13, blockSize: 6, nLayer: 2, nHead: 2, nEmbd: 8 };
const numbers = (name: string, shape: number[]): Tensor => {
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) =>
    Math.sin(i + name.length),
  );
  return tensor(values, { shape });
};

eachDevice("GPT-2 folders", (test, on) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-gpt2-"));
  test.after(() => rmSync(folder, { recursive: true }));

  /** A model whose every parameter differs from what it starts with. */
  const model = (options: Partial<GPTOptions> = {}) => {
    const made = new GPT({ ...tiny, ...options });
    for (const [name, w] of made.namedParameters()) w.assign(numbers(name, [...w.shape]).to(on));
    return made;
  };
  const logitsOf = (gpt: GPT) =>
    gpt.forward(tensor([[1, 12, 5, 0]], { dtype: "i32" })).logits as Tensor;
  let count = 0;
  const fresh = () => join(folder, String(count++));
  /** The golden folder with other tensors, or another config.json; or a model's. */
  const spoilt = (
    change: { tensors?: (dict: TensorDict) => TensorDict; config?: object },
    from = fixture("gpt2"),
  ) => {
    const copy = fresh();
    cpSync(from, copy, { recursive: true });
    const [weights, config] = ["model.safetensors", "config.json"].map((name) => join(copy, name));
    if (change.tensors) saveSafetensors(weights, change.tensors(loadSafetensors(weights)));
    const json = JSON.parse(readFileSync(config, "utf8"));
    writeFileSync(config, JSON.stringify({ ...json, ...change.config }));
    return copy;
  };
  const renamed = (dict: TensorDict, name: (old: string) => string) =>
    Object.fromEntries(Object.entries(dict).map(([old, x]) => [name(old), x]));
  const golden = () => logitsIn(fixture("gpt2"));
  const logitsIn = async (path: string) => logitsOf(await loadGPT2(path)).data();

  for (const options of [
    {},
    { tieWeights: false, activation: "relu", dropout: 0.1 },
    { bias: false, activation: "silu", nLayer: 1, nHead: 1 },
    { qkvBias: false, activation: "tanh", nEmbd: 10 },
    { activation: "gelu-tanh", blockSize: 4, vocabSize: 14 },
  ] as Partial<GPTOptions>[]) {
    test(`written and read again: ${JSON.stringify(options)}`, async () => {
      const [ours, path] = [model(options), fresh()];
      saveGPT2(path, ours, { endOfText: 3 });
      const again = await loadGPT2(path);
      const expected = { ...ours.config, bias: true, qkvBias: true, dropout: 0 };
      assert.equal(again.config, expected);
      const own = new Map(ours.namedParameters());
      for (const [name, w] of again.namedParameters())
        assert.equal(w.data(), own.get(name)?.data() ?? new Float32Array(w.size), name);
      assertClose(logitsOf(again), logitsOf(ours.eval()));
    });
  }

  test("what is written: transformers' names, shapes and settings", () => {
    const path = fresh();
    saveGPT2(path, model({ bias: false, tieWeights: false, lmHeadBias: false, dropout: 0.2 }));
    const dict = loadSafetensors(join(path, "model.safetensors"));
    const shapes = Object.fromEntries(Object.entries(dict).map(([name, x]) => [name, x.shape]));
    const { "transformer.h.0.attn.c_attn.weight": w, "transformer.h.1.mlp.c_proj.bias": b } = dict;
    assert.is(Object.keys(dict).length, 2 + 2 * 12 + 2 + 1);
    assert.equal(shapes["transformer.wte.weight"], [13, 8]);
    assert.equal(shapes["transformer.h.0.mlp.c_fc.weight"], [8, 32]);
    assert.equal(shapes["transformer.ln_f.bias"], [8]);
    assert.equal(shapes["lm_head.weight"], [13, 8]);
    const own = numbers("h.0.attn.c_attn.weight", [24, 8]).data();
    assert.equal([w.shape, w.data()[1], w.data()[24]], [[8, 24], own[8], own[1]]);
    assert.equal(b.data(), new Float32Array(8));
    const config = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    const { model_type, activation_function, n_positions, n_embd, n_layer, n_head } = config;
    assert.equal([model_type, activation_function], ["gpt2", "gelu"]);
    assert.equal([n_positions, n_embd, n_layer, n_head, config.vocab_size], [6, 8, 2, 2, 13]);
    assert.equal([config.attn_pdrop, config.resid_pdrop, config.embd_pdrop], [0.2, 0.2, 0]);
    assert.equal([config.tie_word_embeddings, config.eos_token_id], [false, null]);
    const header = readFileSync(join(path, "model.safetensors")).toString("latin1", 8, 80);
    assert.match(header, /"__metadata__":\{"format":"pt"\}/); // transformers insists on it
  });

  test("what GPT-2 cannot hold is named", () => {
    for (const [options, message] of [
      [{ positions: "rotary" }, /saveGPT2: positions is rotary, and GPT-2's are learned/],
      [{ positions: "none" }, /saveGPT2: positions is none/],
      [{ norm: "rms" }, /saveGPT2: norm is rms, and GPT-2's is layer/],
      [{ activation: "swiglu" }, /saveGPT2: GPT-2 has no activation swiglu/],
    ] as [Partial<GPTOptions>, RegExp][]) {
      const path = fresh();
      assert.throws(() => saveGPT2(path, model(options)), message);
      assert.not(existsSync(path));
    }
    const adapted = model();
    nn.adapt(adapted.h[0], { rank: 1 });
    assert.throws(
      () => saveGPT2(fresh(), adapted),
      /GPT-2 has no place for h.0.attn.c_attn.lora_A/,
    );
    const head = model({ lmHeadBias: true });
    assert.throws(() => saveGPT2(fresh(), head), /lm_head.bias has values other than 0/);
    head.lm_head.bias?.fill(0);
    saveGPT2(fresh(), head);
  });

  test("names with or without transformer., masks, a tied head that is written all the same", async () => {
    const prefixed = (name: string) => name.replace(/^(transformer\.)?/, "transformer.");
    const plain = (name: string) => name.replace(/^transformer\./, "");
    for (const name of [prefixed, plain]) {
      const path = spoilt({
        tensors: (dict) => ({
          ...renamed(dict, name),
          [name("h.0.attn.bias")]: zeros([1, 1, 48, 48]),
          [name("h.1.attn.masked_bias")]: zeros([]),
          "lm_head.weight": zeros([311, 64]),
        }),
      });
      assert.equal(await logitsIn(path), await golden());
    }
  });

  test("shards", async () => {
    const path = spoilt({});
    const dict = Object.entries(loadSafetensors(join(path, "model.safetensors")));
    const files = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const index = { weight_map: Object.fromEntries(dict.map(([name], i) => [name, files[i % 2]])) };
    for (const [k, file] of files.entries())
      saveSafetensors(join(path, file), Object.fromEntries(dict.filter((_, i) => i % 2 === k)));
    renameSync(join(path, "model.safetensors"), join(path, "elsewhere"));
    await assertRefuses(path, "model.safetensors", /there is no such file$/);
    const listed = "model.safetensors.index.json";
    writeFileSync(join(path, listed), JSON.stringify(index));
    assert.equal(await logitsIn(path), await golden());
    const second = loadSafetensors(join(path, files[1]));
    const [own] = Object.keys(second);
    for (const [more, message] of [
      [{ odd: zeros([1]) }, /odd unknown/],
      [{ [own]: zeros([1]) }, /has shape \[1\], expected/],
      [{ [dict[0][0]]: zeros([1]) }, /is there twice/],
    ] as [TensorDict, RegExp][]) {
      saveSafetensors(join(path, files[1]), { ...second, ...more });
      await assertRefuses(path, files[1], message);
    }
    for (const map of [
      undefined,
      {},
      "abc",
      { x: "../model.safetensors" },
      { x: ".." },
      { x: 1 },
    ]) {
      writeFileSync(join(path, listed), JSON.stringify({ weight_map: map }));
      await assertRefuses(path, listed, /weight_map names no files beside it$/);
    }
  });

  const assertRefuses = async (path: string, file: string, message: RegExp) => {
    const error = await loadGPT2(path).then(
      () => assert.unreachable(`${message}: loaded`),
      (error) => error,
    );
    assert.is(error.name, "GPT2Error", error.stack);
    assert.ok(error.message.startsWith(`${join(path, file)}: `), error.message);
    assert.match(error.message, message);
  };

  test("tensors that are missing, unknown, twice, of another shape or kind", async () => {
    const without = ({ "transformer.h.1.ln_2.bias": _, ...rest }: TensorDict) => rest;
    const cases: [(dict: TensorDict) => TensorDict, RegExp][] = [
      [without, /h\.1\.ln_2\.bias missing/],
      [() => ({}), /wte.weight, wpe.weight, h.0.ln_1.weight, .* and \d+ more missing/],
      [(dict) => ({ ...dict, "h.0.attn.q.weight": zeros([2]) }), /h.0.attn.q.weight unknown/],
      [(dict) => ({ ...dict, "wte.weight": zeros([2]) }), /wte.weight is there twice/],
      [
        (dict) => ({ ...dict, "transformer.h.0.mlp.c_fc.weight": zeros([256, 64]) }),
        /h.0.mlp.c_fc.weight has shape \[256, 64\], expected \[64, 256\]/,
      ],
      [
        (dict) => ({ ...dict, "transformer.ln_f.bias": zeros([64], { dtype: "i32" }) }),
        /ln_f.bias has whole numbers, expected floats/,
      ],
    ];
    for (const [tensors, message] of cases)
      await assertRefuses(spoilt({ tensors }), "model.safetensors", message);
  });

  test("a config.json that promises something else", async () => {
    const other: [object, RegExp][] = [
      [{ n_layer: 1e9 }, /h.2.ln_1.weight, .* missing/],
      [{ n_layer: 1 }, /h.1.attn.c_attn.bias, .* unknown/],
      [{ vocab_size: 1e12 }, /wte.weight has shape \[311, 64\], expected \[1000000000000, 64\]/],
      [{ tie_word_embeddings: false }, /lm_head.weight missing/],
    ];
    for (const [config, message] of other)
      await assertRefuses(spoilt({ config }), "model.safetensors", message);
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
      await assertRefuses(spoilt({ config }), "config.json", message);
    const path = spoilt({});
    for (const [text, message] of [
      ["{", /JSON/],
      ["[]", /is no JSON object/],
    ] as const) {
      writeFileSync(join(path, "config.json"), text);
      await assertRefuses(path, "config.json", message);
    }
    rmSync(join(path, "config.json"));
    await assertRefuses(path, "config.json", /no such file/);
  });
});
