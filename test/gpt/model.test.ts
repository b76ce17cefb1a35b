// The GPT and the bigram model: parameters, forward pass, KV cache, generation and sampling.

import { readFileSync } from "node:fs";
import {
  BigramLanguageModel,
  GPT,
  generate,
  loadGPT2,
  loadSafetensors,
  manualSeed,
  type presets,
  type Tensor,
  tensor,
} from "tinybard";
import * as assert from "uvu/assert";
import { noGrad } from "#src/autograd.js";
import { pickGPTOptions } from "#src/gpt/config.js";
import { sample } from "#src/gpt/generate.js";
import { KVCache } from "#src/gpt/kv-cache.js";
import { countParameters } from "#src/gpt/language-model.js";
import { resolveConfig } from "#src/train/config.js";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

const tiny = { vocabSize: 11, blockSize: 8, nLayer: 2, nHead: 2, nEmbd: 12 };
async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

eachDevice("GPT", (test, on) => {
  const ids = (rows: number[][]) => tensor(rows, { dtype: "i32", device: on });

  test("the presets have the documented parameter counts", () => {
    const count = (name: keyof typeof presets, vocabSize: number) => {
      const config = resolveConfig("test", { preset: name });
      const model = new GPT({ ...pickGPTOptions(config), vocabSize }, { initWeights: false });
      const parameters = countParameters(model);
      return [parameters, parameters - (model.wpe?.weight.size ?? 0)];
    };
    assert.is(count("lecture-0.2m", 65)[0], 209_729);
    assert.is(count("lecture-2.7m", 65)[0], 2_697_281);
    assert.is(count("lecture-10.8m", 65)[0], 10_788_929);
    assert.is(count("nanogpt-char", 65)[0], 10_745_088);
    assert.is(count("nanogpt-char", 65)[1], 10_646_784);
    assert.is((count("nanogpt-cpu", 65)[1] / 1e6).toFixed(2), "0.80");
    assert.is((count("gpt2-tiny", 50257)[1] / 1e6).toFixed(1), "7.2");
  });

  test("parameter names are nanoGPT's, and a tied head is wte.weight", () => {
    const getNames = (options: object) =>
      [...new GPT({ ...tiny, ...options }).to(on).namedParameters()].map(([name]) => name);
    const tied = getNames({});
    assert.equal(tied.slice(0, 4), [
      "wte.weight",
      "wpe.weight",
      "h.0.ln_1.weight",
      "h.0.ln_1.bias",
    ]);
    assert.ok(
      tied.includes("h.1.attn.c_attn.bias") &&
        tied.includes("h.1.mlp.c_proj.weight") &&
        tied.includes("ln_f.bias"),
    );
    assert.not(tied.some((name) => name.startsWith("lm_head")));
    assert.equal(
      getNames({ lmHeadBias: true }).filter((name) => name.startsWith("lm_head")),
      ["lm_head.bias"],
    );
    assert.equal(
      getNames({ tieWeights: false }).filter((name) => name.startsWith("lm_head")),
      ["lm_head.weight"],
    );
    assert.not(getNames({ bias: false }).some((name) => name.endsWith("bias")));
    assert.not(getNames({ qkvBias: false }).includes("h.0.attn.c_attn.bias"));
  });

  test("the initial loss is near ln(vocabSize), and weights have the right deviation", () => {
    const model = new GPT({ ...tiny, vocabSize: 65, nEmbd: 64, nLayer: 4 }).to(on);
    const x = ids([[1, 2, 3, 4, 5, 6, 7, 8]]);
    const loss = (model.forward(x, ids([[9, 8, 7, 64, 5, 4, 3, 0]])).loss as Tensor).item();
    assert.ok(Math.abs(loss - Math.log(65)) < 0.15, `${loss}`);
    const deviation = (w: Tensor) => Math.sqrt(w.detach().mul(w.detach()).mean().item());
    assert.ok(Math.abs(deviation(model.h[0].mlp.c_fc.weight) / 0.02 - 1) < 0.05);
    assert.ok(Math.abs(deviation(model.h[0].mlp.c_proj.weight) / (0.02 / Math.sqrt(8)) - 1) < 0.05);
    const unscaled = new GPT({ ...tiny, scaleResidual: false, nEmbd: 64 }).to(on);
    assert.ok(Math.abs(deviation(unscaled.h[0].mlp.c_proj.weight) / 0.02 - 1) < 0.05);
  });

  test("forward: logits at every position, with and without targets, or no logits", () => {
    const model = new GPT(tiny).to(on);
    const x = ids([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    assert.equal(model.forward(x).logits?.shape, [2, 3, 11]);
    assert.is(model.forward(x).loss, null);
    const { logits, loss } = model.forward(x, x, { logits: false });
    assert.is(logits, null);
    assert.equal(loss?.shape, []);
    assert.throws(
      () => model.forward(ids([[0, 11]])).logits?.data(),
      /embedding: idx\[1\] is 11, expected 0 to 10/,
    );
    assert.throws(
      () => model.forward(ids([Array(9).fill(0)])),
      /forward: idx ends at token 9, expected at most 8/,
    );
    assert.throws(() => model.forward(x, x, { logit: false } as never), /unknown option logit/);
  });

  test("tokens do not depend on later tokens or on other sequences in the batch", () => {
    const model = new GPT(tiny).to(on);
    const first = (rows: number[][]) =>
      model
        .forward(ids(rows))
        .logits?.data()
        .slice(0, 3 * 11) as Float32Array;
    const expected = first([
      [1, 2, 3, 4],
      [5, 6, 7, 8],
    ]);
    assert.equal(
      first([
        [1, 2, 3, 9],
        [5, 6, 7, 8],
      ]),
      expected,
    );
    assert.equal(
      first([
        [1, 2, 3, 4],
        [0, 0, 0, 0],
      ]),
      expected,
    );
  });

  test("activations; dropout only in training mode", () => {
    for (const activation of ["relu", "relu2", "gelu", "gelu-tanh", "silu", "tanh"] as const) {
      const { loss } = new GPT({ ...tiny, activation })
        .to(on)
        .forward(ids([[1, 2]]), ids([[2, 3]]));
      assert.ok(Number.isFinite((loss as Tensor).item()));
    }
    const model = new GPT({ ...tiny, dropout: 0.5, embeddingDropout: true }).to(on);
    const values = () => (model.forward(ids([[1, 2, 3]])).logits as Tensor).data();
    assert.not.equal(values(), values());
    model.eval();
    assert.equal(values(), values());
  });

  test("error messages name wrong options", () => {
    assert.throws(
      () => new GPT({ ...tiny, nHead: 5 }),
      /GPT: nEmbd is 12, expected a multiple of nHead, 5/,
    );
    assert.throws(() => new GPT({ ...tiny, layers: 3 } as never), /GPT: unknown option layers/);
    assert.throws(() => new GPT({ ...tiny, vocabSize: 0 }), /GPT: vocabSize is 0/);
    assert.throws(
      () => new GPT({ ...tiny, activation: "swish" as never }),
      /GPT: activation is swish, expected relu/,
    );
    assert.throws(
      () => new GPT({ ...tiny, positions: "absolute" as never }),
      /GPT: positions is absolute, expected learned, sinusoidal, rotary, none/,
    );
    assert.throws(
      () => new GPT({ ...tiny, norm: "batch" as never }),
      /GPT: norm is batch, expected layer, rms/,
    );
    assert.throws(
      () => new GPT({ ...tiny, nHead: 4, positions: "rotary" }),
      /GPT: nEmbd \/ nHead is 3, expected an even number/,
    );
  });

  test("GPT-2 from transformers: the same logits and greedy text", async () => {
    const model = (await loadGPT2(fixturePath("gpt2"))).to(on);
    const { ids: input, logits: expected } = loadSafetensors(
      fixturePath("gpt2/expected.safetensors"),
    );
    assertClose(model.forward(input.to(on)).logits as Tensor, expected, { rtol: 1e-4, atol: 1e-4 });
    const { prompt, greedy } = JSON.parse(readFileSync(fixturePath("gpt2/expected.json"), "utf8"));
    const options = { prompt, maxNewTokens: greedy.length - prompt.length, temperature: 0 };
    assert.equal([...prompt, ...(await collect(generate(model, options)))], greedy);
  });

  test("the KV cache does not change the logits, however the text is split", () => {
    noGrad(() => {
      const model = new GPT({ ...tiny, nLayer: 3 }).to(on).eval();
      const text = [3, 1, 4, 1, 5, 9, 2, 6];
      const expected = model.forward(ids([text])).logits as Tensor;
      for (const pieces of [[8], [1, 1, 1, 1, 1, 1, 1, 1], [3, 1, 4]]) {
        const cache = new KVCache(model.config, { device: on });
        for (const count of pieces) {
          const { used } = cache;
          const hidden = model.hidden(ids([text.slice(used, used + count)]), cache);
          const part = expected.slice({ dim: 1, start: used, end: used + count });
          assertClose(model.lm_head.forward(hidden), part, { rtol: 1e-5, atol: 1e-6 });
          cache.advance(count);
        }
        assert.is(cache.used, 8);
      }
    });
  });

  test("generation beyond blockSize uses the last blockSize tokens", async () => {
    manualSeed(3);
    const model = new GPT({ ...tiny, scaleResidual: false }).to(on);
    for (const w of model.parameters()) w.assign(w.detach().mul(20)); // far from uniform
    const generated = await collect(
      generate(model, { prompt: [1, 2], maxNewTokens: 20, temperature: 0 }),
    );
    const text = [1, 2];
    for (let i = 0; i < 20; i++) {
      const { logits } = model.forward(ids([text.slice(-8)]));
      text.push(sample((logits as Tensor).data().slice(-11), 0, { temperature: 0 }));
    }
    assert.equal([1, 2, ...generated], text);
    assert.ok(new Set(generated).size > 2, `${generated}`);
  });

  test("generation: seeds, stop ids, long prompts, restored training mode, wrong options", async () => {
    const model = new GPT({ ...tiny, dropout: 0.5 }).to(on);
    const run = (options: object) =>
      collect(generate(model, { prompt: [1], maxNewTokens: 30, seed: 7, ...options }));
    const text = await run({});
    assert.equal(await run({}), text);
    assert.not.equal(await run({ seed: 8 }), text);
    assert.not.equal(await run({ seed: undefined }), await run({ seed: undefined }));
    assert.equal(await run({ stop: text[4] }), text.slice(0, text.indexOf(text[4])));
    assert.is((await run({ prompt: Array(20).fill(3), maxNewTokens: 2 })).length, 2);
    assert.equal(await run({ topK: 1 }), await run({ temperature: 0 }));
    assert.is((await run({ maxNewTokens: 0 })).length, 0);
    model.h[0].eval();
    await run({ maxNewTokens: 1 });
    assert.equal([model.training, model.h[0].training, model.h[1].training], [true, false, true]);
    for (const [bad, message] of [
      [{ prompt: [] }, /prompt is empty/],
      [{ prompt: [11] }, /prompt has id 11/],
      [{ prompt: [1, undefined] }, /prompt has id undefined/],
      [{ stop: 99 }, /stop has id 99/],
      [{ seed: 1.5 }, /seed is 1.5/],
      [{ maxNewTokens: 1.5 }, /maxNewTokens is 1.5/],
      [{ topP: 0 }, /topP is 0/],
      [{ topK: 0 }, /topK is 0/],
      [{ temperature: -1 }, /temperature is -1/],
      [{ top_k: 3 }, /unknown option top_k/],
    ] as const) {
      const text = await run(bad).catch((error) => error.message);
      assert.match(String(text), message);
    }
  });

  test("sample: temperature, topK and topP", () => {
    // weights 2, 8, 4, 8, 0
    const logits = [1, 3, 2, 3 - 1e-9, -Infinity].map((x) => Math.log(2) * x);
    const sampleMany = (options: object) => {
      const n = 22_000;
      const counts = [0, 0, 0, 0, 0];
      for (let i = 0; i < n; i++) counts[sample(logits, (i + 0.5) / n, options)]++;
      return counts.map((count) => Math.round((22 * count) / n));
    };
    assert.equal(sampleMany({}), [2, 8, 4, 8, 0]);
    assert.equal(sampleMany({ topK: 2 }), [0, 11, 0, 11, 0]);
    assert.equal(sampleMany({ topP: 0.7 }), [0, 11, 0, 11, 0]); // the first two have 16/22
    assert.equal(sampleMany({ topP: 0.8 }), [0, 8.8, 4.4, 8.8, 0].map(Math.round));
    assert.equal(sampleMany({ topP: 1e-9 }), [0, 22, 0, 0, 0]);
    assert.equal(sampleMany({ temperature: 0 }), [0, 22, 0, 0, 0]);
    assert.equal(sampleMany({ temperature: 0.5 }), [0.595, 9.514, 2.378, 9.514, 0].map(Math.round));
    assert.throws(() => sample([NaN, 1], 0.5), /sample: the largest logit is/);
    // a set whose probabilities sum to exactly topP is complete
    const drawnOfFour = (topP: number) =>
      new Set([0, 0.3, 0.6, 0.99].map((u) => sample([0, 0, 0, 0], u, { topP })));
    assert.equal([...drawnOfFour(0.5)], [0, 1]);
    assert.equal([...drawnOfFour(0.75)], [0, 1, 2]);
    assert.is(sample([0.6, 0.3, 0.1].map(Math.log), 0.99, { topP: 0.5 }), 0); // the first is enough
  });

  test("bigram: logits are rows of the table", () => {
    const model = new BigramLanguageModel(5).to(on);
    assert.equal(
      [...model.namedParameters()].map(([name]) => name),
      ["token_embedding_table.weight"],
    );
    assert.is(countParameters(model), 25);
    const x = ids([
      [0, 1, 2],
      [3, 4, 0],
    ]);
    const { logits } = model.forward(x);
    assert.equal(logits?.data().slice(0, 5), model.token_embedding_table.weight.data().slice(0, 5));
  });
});
