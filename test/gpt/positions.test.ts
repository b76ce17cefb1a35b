// A GPT with position encodings, normalizations and activations other than GPT-2's.

import {
  GPT,
  type GPTOptions,
  manualSeed,
  type nn,
  setDefaultDevice,
  type Tensor,
  tensor,
} from "tinybard";
import * as assert from "uvu/assert";
import { noGrad } from "#src/autograd.js";
import { generateWithLogits } from "#src/gpt/generate.js";
import { KVCache } from "#src/gpt/kv-cache.js";
import { AdamW } from "#src/optim/index.js";
import { assertClose, eachDevice } from "../support/harness.js";

const tiny = { vocabSize: 11, blockSize: 8, nLayer: 2, nHead: 2, nEmbd: 12 };
const variants: Partial<GPTOptions>[] = [
  { positions: "sinusoidal" },
  { positions: "rotary" },
  { positions: "none" },
  { norm: "rms" },
  { activation: "swiglu" },
  { qkNorm: true, activation: "relu2" },
  { positions: "rotary", norm: "rms", activation: "relu2", qkNorm: true, logitSoftcap: 20 },
  { positions: "rotary", norm: "rms", activation: "swiglu", bias: false },
  { tokenShift: true },
  { tokenShift: true, positions: "rotary", norm: "rms", activation: "relu2", qkNorm: true },
];
const count = (model: nn.Module) => [...model.parameters()].reduce((sum, w) => sum + w.size, 0);

eachDevice("GPT variants", (test, on) => {
  const ids = (rows: number[][]) => tensor(rows, { dtype: "i32", device: on });
  /** Builds a model with larger weights, so that positions and shifts have a measurable effect. */
  const buildModel = (options: Partial<GPTOptions>) => {
    const model = new GPT({ ...tiny, ...options }).to(on);
    for (const [name, w] of model.namedParameters()) {
      if (w.shape.length > 1) w.assign(w.detach().mul(10));
      if (name.includes("shift")) w.fill(0.5);
    }
    return model;
  };

  for (const variant of variants) {
    const name = JSON.stringify(variant);

    test(`${name}: the KV cache does not change the result`, () => {
      const model = buildModel(variant);
      const text = [3, 1, 4, 1, 5, 9, 2, 6];
      const expected = model.head(model.hidden(ids([text])));
      noGrad(() => {
        for (const pieces of [[1, 1, 1, 1, 1, 1, 1, 1], [3, 1, 4], [8]]) {
          const cache = new KVCache(model.config, { device: on });
          for (const n of pieces) {
            const start = cache.used;
            const end = start + n;
            const y = model.head(model.hidden(ids([text.slice(start, end)]), cache));
            cache.advance(n);
            assertClose(y, expected.slice({ dim: 1, start, end }), { rtol: 1e-4, atol: 1e-5 });
          }
        }
      });
    });

    test(`${name}: learns, with the same losses as on ts`, () => {
      const losses = ["ts", on.name].map((device) => {
        setDefaultDevice(device as "ts");
        manualSeed(3);
        const model = new GPT({ ...tiny, ...variant });
        const optimizer = new AdamW(model.parameters(), { lr: 1e-2 });
        const [x, y] = [
          [0, 1, 2, 3, 4, 5, 6, 7],
          [1, 2, 3, 4, 5, 6, 7, 8],
        ].map((row) => tensor([row], { dtype: "i32" }));
        return Array.from({ length: 30 }, () => {
          const loss = model.forward(x, y, { logits: false }).loss as Tensor;
          const value = loss.item();
          loss.backward();
          optimizer.step();
          optimizer.zeroGrad();
          return value;
        });
      });
      assertClose(losses[1], losses[0], { rtol: 1e-2, atol: 1e-3 });
      assert.ok(losses[1][29] < 0.5, `${losses[1][29]}`);
    });
  }

  test("only learned positions and layerNorm have parameters for them", () => {
    const learned = count(buildModel({}));
    for (const positions of ["sinusoidal", "rotary", "none"] as const) {
      const model = buildModel({ positions });
      assert.is(learned - count(model), 8 * 12);
      assert.not(Object.keys(model.stateDict()).includes("wpe.weight"));
    }
    const names = Object.keys(buildModel({ norm: "rms" }).stateDict());
    assert.ok(names.includes("h.1.ln_2.weight") && !names.includes("h.1.ln_2.bias"));
  });

  test("without positions, a single layer ignores the order of past tokens", () => {
    const lastHidden = (positions: GPTOptions["positions"], text: number[]) =>
      noGrad(() => {
        manualSeed(5);
        return buildModel({ positions, nLayer: 1 })
          .hidden(ids([text]))
          .slice({ dim: 1, start: -1 })
          .data();
      });
    const effectOfOrder = (positions: GPTOptions["positions"]) => {
      const a = lastHidden(positions, [3, 1, 4, 2]);
      const b = lastHidden(positions, [4, 3, 1, 2]);
      return Math.max(...a.map((x, i) => Math.abs(x - b[i])));
    };
    assert.ok(effectOfOrder("none") < 1e-5, `${effectOfOrder("none")}`);
    for (const positions of ["learned", "sinusoidal", "rotary"] as const)
      assert.ok(effectOfOrder(positions) > 1e-2, `${positions}: ${effectOfOrder(positions)}`);
  });

  test("zeroInitProjections: projections are 0, all other weights are the same", () => {
    const create = (zeroInitProjections: boolean) => {
      manualSeed(3);
      return new GPT({ ...tiny, zeroInitProjections }).to(on);
    };
    const plain = create(false).stateDict();
    const model = create(true);
    let zeros = 0;
    for (const [name, w] of model.namedParameters()) {
      const isProjection = name.endsWith("c_proj.weight");
      if (isProjection) zeros++;
      const expected = isProjection ? new Float32Array(w.size) : plain[name].data();
      assert.equal(w.data(), expected, name);
    }
    assert.is(zeros, 4);
    // each block is the identity, so the text before the last token has no effect
    const last = (text: number[]) =>
      (model.forward(ids([text])).logits as Tensor).slice({ dim: 1, start: -1 }).data();
    assert.equal(last([3, 1, 4]), last([2, 2, 4]));
  });

  test("logitSoftcap bounds the logits, with and without targets, and in generation", async () => {
    const model = buildModel({ logitSoftcap: 0.7 });
    const plain = buildModel({});
    plain.loadStateDict(model.stateDict());
    const x = ids([[3, 1, 4, 1]]);
    const capped = (plain.forward(x).logits as Tensor).div(0.7).tanh().mul(0.7);
    const close = { rtol: 1e-5, atol: 1e-6 };
    const { logits, loss } = model.forward(x, x);
    assertClose(logits as Tensor, capped, close);
    assert.ok(Math.max(...capped.data()) > 0.55, `${capped.data()}`);
    const alone = model.forward(x, x, { logits: false });
    assert.is(alone.logits, null);
    assert.equal((alone.loss as Tensor).data(), (loss as Tensor).data());
    for await (const { logits } of generateWithLogits(model, { prompt: [1], maxNewTokens: 12 }))
      assert.ok(Array.from(logits).every((logit) => Math.abs(logit) <= 0.7));
  });

  test("wrong values of the options", () => {
    for (const logitSoftcap of [-1, NaN, Infinity, 1e39])
      assert.throws(() => new GPT({ ...tiny, logitSoftcap }), /GPT: logitSoftcap is .*, expected/);
    for (const options of [{ logitSoftcap: "30" }, { qkNorm: 1 }, { zeroInitProjections: "yes" }])
      assert.throws(() => new GPT({ ...tiny, ...options } as never), /GPT: \w+ is .*, expected a/);
  });

  for (const tokenShift of [false, true])
    test(`generation beyond blockSize sees the last tokens only, ${tokenShift}`, async () => {
      const model = buildModel({ positions: "rotary", tokenShift });
      const text = [1, 2];
      const generated = generateWithLogits(model, { prompt: text, maxNewTokens: 20, seed: 1 });
      for await (const { id, logits } of generated) {
        const { logits: all } = noGrad(() => model.forward(ids([text.slice(-tiny.blockSize)])));
        const expected = all.slice({ dim: 1, start: -1 });
        assertClose(Float32Array.from(logits), expected, { rtol: 1e-4, atol: 1e-5 });
        text.push(id);
      }
      assert.is(text.length, 22);
    });
});
