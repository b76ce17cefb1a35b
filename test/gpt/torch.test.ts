// Values recorded in PyTorch: MultiheadAttention, TransformerEncoderLayer and TransformerDecoderLayer
// (norm_first), a GPT with Llama's components, and one with QK-norm, relu2 and a softcap, built from
// PyTorch's functions.

import { EncoderDecoder, GPT, loadSafetensors, nn, rotary, tensor } from "tinybard";
import { assertClose, eachDevice, fixturePath } from "../support/harness.js";

const sizes = { nEmbd: 12, nHead: 3 };
const tolerance = { rtol: 1e-4, atol: 5e-6 };

eachDevice("transformers in PyTorch", (test, on) => {
  const all = Object.entries(loadSafetensors(fixturePath("transformer.safetensors")));
  const dict = Object.fromEntries(all.map(([name, x]) => [name, x.to(on)]));
  const { x, ctx, ...values } = dict;
  const ids = (rows: number[][]) => tensor(rows, { dtype: "i32", device: on });

  /** Loads the weights whose names begin with a prefix into a module. */
  function loadWeights<M extends nn.Module>(module: M, prefix: string): M {
    const weights = Object.entries(values)
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, w]) => [name.slice(prefix.length), w]);
    module.to(on).loadStateDict(Object.fromEntries(weights));
    return module;
  }

  test("MultiHeadAttention: causal self-attention, and cross-attention", () => {
    const selfAttention = loadWeights(
      new nn.MultiHeadAttention({ ...sizes, causal: true }),
      "self.",
    );
    assertClose(selfAttention.forward(x), values["y.self"], tolerance);
    const crossAttention = loadWeights(
      new nn.MultiHeadAttention({ ...sizes, cross: true }),
      "cross.",
    );
    assertClose(crossAttention.forward(x, ctx), values["y.cross"], tolerance);
  });

  test("rotary positions, and SwiGLU", () => {
    assertClose(
      rotary(x, nn.rotaryTable(9, 4).to(on), { nHead: 3 }),
      values["y.rotary"],
      tolerance,
    );
    const mlp = loadWeights(new nn.MLP({ nEmbd: 12, activation: "swiglu" }), "mlp.");
    assertClose(mlp.forward(x), values["y.mlp"], tolerance);
  });

  test("a GPT with rotary positions, RMSNorm and SwiGLU, without biases", () => {
    const architecture = {
      positions: "rotary",
      norm: "rms",
      activation: "swiglu",
      bias: false,
    } as const;
    const options = { ...sizes, ...architecture, vocabSize: 17, blockSize: 8, nLayer: 1 };
    const model = loadWeights(new GPT(options), "g.");
    const logits = model.forward(ids([[1, 2, 3, 4, 16, 7]])).logits as typeof x;
    assertClose(logits, values["y.gpt"], tolerance);
  });

  test("QK-norm in cross-attention", () => {
    const layer = new nn.MultiHeadAttention({ ...sizes, cross: true, qkNorm: true });
    assertClose(loadWeights(layer, "cross.").forward(x, ctx), values["y.crossNorm"], tolerance);
  });

  test("a GPT with QK-norm, rotary positions, relu2 and a softcap: logits, loss, gradients", () => {
    const architecture = {
      positions: "rotary",
      norm: "rms",
      activation: "relu2",
      bias: false,
      qkNorm: true,
      logitSoftcap: 6,
    } as const;
    const shape = { nEmbd: 20, nHead: 2, vocabSize: 17, blockSize: 8, nLayer: 2 };
    const model = loadWeights(new GPT({ ...shape, ...architecture }), "m.");
    const idx = ids([
      [1, 2, 3, 4, 16, 7, 0],
      [5, 5, 9, 12, 0, 1, 15],
    ]);
    const targets = ids([
      [2, 3, 4, 16, 7, 0, 1],
      [5, 9, 12, 0, 1, 15, 8],
    ]);
    assertClose(model.forward(idx).logits as typeof x, values["y.modern"], tolerance);
    const loss = model.forward(idx, targets, { logits: false }).loss as typeof x;
    assertClose(loss, values["loss.modern"], tolerance);
    loss.backward();
    for (const [name, w] of model.namedParameters())
      assertClose(w.grad as typeof x, values[`grad.m.${name}`], { ...tolerance, what: name });
  });

  test("an encoder-decoder", () => {
    const options = {
      ...sizes,
      sourceVocabSize: 11,
      targetVocabSize: 13,
      nEncoderLayer: 1,
      nDecoderLayer: 1,
      blockSize: 8,
    };
    const model = loadWeights(new EncoderDecoder(options), "e.");
    const source = [
      [1, 2, 3, 4, 5],
      [6, 7, 8, 9, 10],
    ];
    const target = [
      [1, 2, 3],
      [12, 11, 10],
    ];
    assertClose(model.forward(ids(source), ids(target)).logits, values["y.both"], tolerance);
  });
});
