// Llama, Qwen2, Qwen3 and Mistral folders as written by transformers, and invalid ones: logits,
// generation and quantization against the values of transformers (test/golden/make-llama.py).

import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type GPT,
  generate,
  HuggingFaceError,
  loadHuggingFace,
  loadSafetensors,
  quantize,
  saveSafetensors,
  type Tensor,
  type TensorDict,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { attentionMaps } from "#src/gpt/attention-maps.js";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

const names = ["llama", "smollm2", "qwen2", "qwen3", "mistral"];

interface Expected {
  ids: number[];
  logits: number[][];
  greedy: number[];
}

function readJSON(...path: string[]): Record<string, unknown> {
  return JSON.parse(readFileSync(join(...path), "utf8"));
}

const readExpected = (name: string) =>
  readJSON(fixturePath(`llama/${name}`), "expected.json") as unknown as Expected;

const lastLogits = (model: GPT, ids: number[]): Tensor => {
  const { logits } = model.forward(tensor([ids], { dtype: "i32" }));
  const [, T, V] = (logits as Tensor).shape;
  return (logits as Tensor).slice({ dim: 1, start: T - 2 }).reshape([2, V]);
};

async function generateGreedily(model: GPT, ids: number[], count: number): Promise<number[]> {
  const found: number[] = [];
  for await (const id of generate(model, { prompt: ids, maxNewTokens: count, temperature: 0 }))
    found.push(id);
  return found;
}

eachDevice("Llama folders", (test, on) => {
  const folder = mkdtempSync(join(tmpdir(), "tinybard-llama-"));
  test.after(() => rmSync(folder, { recursive: true }));
  let copies = 0;

  /** Copies a golden folder with changes to its config.json and tensors. */
  const copyWith = (
    name: string,
    config: object,
    change: (dict: TensorDict) => TensorDict = (dict) => dict,
  ) => {
    const copy = join(folder, String(copies++));
    const source = fixturePath(`llama/${name}`);
    cpSync(source, copy, { recursive: true });
    writeFileSync(
      join(copy, "config.json"),
      JSON.stringify({ ...readJSON(source, "config.json"), ...config }),
    );
    const weights = join(copy, "model.safetensors");
    saveSafetensors(weights, change(loadSafetensors(join(source, "model.safetensors"))));
    return copy;
  };

  for (const name of names)
    test(`${name}: logits and greedy text equal those of transformers`, async () => {
      const model = await loadHuggingFace(fixturePath(`llama/${name}`));
      assert.is(model.wte.weight.device, on);
      const { ids, logits, greedy } = readExpected(name);
      const actual = lastLogits(model, ids);
      assertClose(actual, tensor(logits), { rtol: 1e-4, atol: 1e-4 });
      const found = name === "qwen2" ? 6 : greedy.length; // padding may win afterwards
      assert.equal(await generateGreedily(model, ids, found), greedy.slice(0, found));
    });

  test("queries that share keys and values, and a head of another size, have attention maps", async () => {
    const model = await loadHuggingFace(fixturePath("llama/qwen3"));
    const idx = tensor([readExpected("qwen3").ids.slice(0, 4)], { dtype: "i32" });
    const maps = [...attentionMaps(model, idx)];
    assert.equal(
      maps.map(({ shape }) => [...shape]),
      [
        [1, 4, 4, 4],
        [1, 4, 4, 4],
      ],
    );
    // the first block's output, from the maps and the values
    const block = model.h[0];
    const x = block.ln_1.forward(model.wte.forward(idx));
    const projected = block.attn.project(x); // (1, 4, (4 + 2 * 2) 16)
    const outputs = Array.from({ length: 4 }, (_, h) => {
      const start = (6 + Math.floor(h / 2)) * 16;
      const v = projected.slice({ dim: 2, start, end: start + 16 }).reshape([4, 16]);
      const map = maps[0].slice({ dim: 1, start: h, end: h + 1 }).reshape([4, 4]);
      return map.matmul(v);
    });
    const heads = outputs.map((y) => y.toArray() as number[][]);
    const rows = [0, 1, 2, 3].map((t) => heads.flatMap((head) => head[t]));
    const expected = block.attn.c_proj.forward(tensor([rows]));
    assertClose(block.attn.forward(x), expected, { rtol: 1e-4, atol: 1e-5 });
  });

  test("a quantized model has logits near those of the original", async () => {
    for (const name of ["qwen2", "qwen3"]) {
      const model = await loadHuggingFace(fixturePath(`llama/${name}`));
      const { ids } = readExpected(name);
      const exact = lastLogits(model, ids).data();
      const q8 = lastLogits(quantize(model, { bits: 8 }), ids).data();
      const rms = (x: ArrayLike<number>) => Math.hypot(...Array.from(x)) / Math.sqrt(x.length);
      const error = rms(q8.map((y, i) => y - exact[i]));
      assert.ok(error > 0 && error < 0.05 * rms(exact), `${name}: ${error} of ${rms(exact)}`);
      assert.is((await generateGreedily(quantize(model, { bits: 8 }), ids, 4)).length, 4);
    }
  });

  test("blockSize shortens the context and changes no logits within it", async () => {
    const path = fixturePath("llama/smollm2");
    const { ids, logits } = readExpected("smollm2");
    const model = await loadHuggingFace(path, { blockSize: ids.length });
    assert.is(model.config.blockSize, ids.length);
    assertClose(lastLogits(model, ids), tensor(logits), { rtol: 1e-4, atol: 1e-4 });
    assert.is((await loadHuggingFace(path, { blockSize: 1000 })).config.blockSize, 64);
  });

  const rejects = async (path: string, pattern: RegExp) => {
    let message = "";
    try {
      await loadHuggingFace(path);
    } catch (error) {
      assert.instance(error, HuggingFaceError);
      message = (error as Error).message;
    }
    assert.match(message, pattern);
    assert.ok(message.startsWith(path), message);
  };

  test("fields that GPT cannot represent, and invalid values, are errors that name them", async () => {
    const cases: [name: string, config: object, pattern: RegExp][] = [
      ["smollm2", { hidden_act: "gelu" }, /hidden_act is "gelu", expected silu/],
      ["smollm2", { model_type: "mixtral" }, /model_type is "mixtral", expected gpt2, llama/],
      ["smollm2", { architectures: ["LlamaModel2"] }, /architectures is "LlamaModel2"/],
      ["smollm2", { attention_bias: true }, /attention_bias is true, expected false/],
      ["smollm2", { mlp_bias: true }, /attention_bias is false, expected true/],
      ["qwen3", { attention_bias: true }, /attention_bias is true/],
      ["qwen2", { use_sliding_window: true }, /use_sliding_window is true, expected false/],
      ["qwen2", { layer_types: ["sliding_attention"] }, /layer_types is "sliding_attention"/],
      ["mistral", { sliding_window: 16 }, /sliding_window is 16, expected none/],
      [
        "mistral",
        { sliding_window: undefined, max_position_embeddings: 8192 },
        /sliding_window is 4096, expected none/,
      ],
      ["smollm2", { partial_rotary_factor: 0.5 }, /partial_rotary_factor is 0.5, expected 1/],
      ["smollm2", { rope_parameters: { rope_type: "yarn" } }, /rope_type is "yarn"/],
      ["smollm2", { rope_parameters: { mrope_section: [1] } }, /mrope_section is/],
      ["smollm2", { rope_parameters: [1] }, /rope_parameters is .*, expected an object/],
      [
        "smollm2",
        { rope_parameters: null, rope_scaling: { type: "linear", factor: 2 } },
        /rope_scaling rope_type is "linear", expected default, llama3/,
      ],
      ["smollm2", { rope_parameters: { rope_type: "llama3", factor: 8 } }, /low_freq_factor is/],
      ["smollm2", { rope_parameters: { rope_theta: 0 } }, /rope_theta is 0/],
      ["smollm2", { num_local_experts: 8 }, /num_local_experts is 8, expected none/],
      ["smollm2", { quantization_config: {} }, /quantization_config is .*, expected none/],
      ["smollm2", { num_key_value_heads: 3 }, /num_key_value_heads is 3, expected a divisor/],
      ["smollm2", { head_dim: 7 }, /head_dim is 7, expected an even number/],
      ["smollm2", { head_dim: 0.5 }, /head_dim is 0.5, expected a whole number/],
      ["smollm2", { hidden_size: -1 }, /hidden_size is -1/],
      ["smollm2", { hidden_size: "32" }, /hidden_size is "32"/],
      ["smollm2", { hidden_size: null }, /hidden_size is null/],
      ["smollm2", { max_position_embeddings: 2 ** 40 }, /max_position_embeddings is/],
      ["smollm2", { rms_norm_eps: "1e-5" }, /rms_norm_eps is "1e-5"/],
      ["smollm2", { tie_word_embeddings: 1 }, /tie_word_embeddings is 1/],
      ["smollm2", { num_hidden_layers: 10 ** 12 }, /model.layers.2.input_layernorm.weight/],
      ["smollm2", { vocab_size: 2 ** 40 }, /embed_tokens.weight has shape/],
      ["smollm2", { intermediate_size: 2 ** 40 }, /mlp.(gate|up|down)_proj.weight has shape/],
      ["smollm2", { num_key_value_heads: 4 }, /self_attn.k_proj.weight has shape/],
      ["smollm2", { tie_word_embeddings: false }, /lm_head.weight missing/],
    ];
    for (const [name, config, pattern] of cases) await rejects(copyWith(name, config), pattern);
  });

  test("missing and unexpected tensors are errors that name them", async () => {
    const name = "model.layers.1.self_attn.v_proj.weight";
    const without = copyWith("qwen2", {}, ({ [name]: _, ...dict }) => dict);
    await rejects(without, /model.layers.1.self_attn.v_proj.weight missing/);
    const extra = { "model.layers.0.self_attn.o_proj.bias": zeros([32]) };
    await rejects(
      copyWith("qwen2", {}, (dict) => ({ ...dict, ...extra })),
      /model.layers.0.self_attn.o_proj.bias unknown/,
    );
  });

  test("old files load: rope_theta at the top, frequencies of rotary positions, no prefix", async () => {
    const config = { rope_parameters: undefined, rope_theta: 100_000, rope_scaling: null };
    const rename = (dict: TensorDict): TensorDict => ({
      ...Object.fromEntries(
        Object.entries(dict).map(([name, x]) => [name.replace("model.", ""), x]),
      ),
      "model.layers.0.self_attn.rotary_emb.inv_freq": zeros([4]),
    });
    const model = await loadHuggingFace(copyWith("smollm2", config, rename));
    const { ids, logits } = readExpected("smollm2");
    assertClose(lastLogits(model, ids), tensor(logits), { rtol: 1e-4, atol: 1e-4 });
  });
});
