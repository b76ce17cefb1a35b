// PyTorch's values for the parts of transformers: its MultiheadAttention, TransformerEncoderLayer
// and TransformerDecoderLayer (norm_first), and a GPT as Llama is made, of PyTorch's functions.

import { EncoderDecoder, GPT, loadSafetensors, nn, rotary, tensor } from "tinybard";
import { assertClose, eachDevice, fixture } from "../support/support.js";

const sizes = { nEmbd: 12, nHead: 3 };
const near = { rtol: 1e-4, atol: 5e-6 };

eachDevice("transformers in PyTorch", (test, on) => {
  const all = Object.entries(loadSafetensors(fixture("transformer.safetensors")));
  const dict = Object.fromEntries(all.map(([name, x]) => [name, x.to(on)]));
  const { x, ctx, ...rest } = dict;
  const ids = (rows: number[][]) => tensor(rows, { dtype: "i32", device: on });

  /** A module with the weights whose names begin so. */
  function withWeights<M extends nn.Module>(module: M, start: string): M {
    const own = Object.entries(rest).filter(([name]) => name.startsWith(start));
    module
      .to(on)
      .loadStateDict(Object.fromEntries(own.map(([name, w]) => [name.slice(start.length), w])));
    return module;
  }

  test("MultiHeadAttention: causal, and across", () => {
    const alone = withWeights(new nn.MultiHeadAttention({ ...sizes, causal: true }), "self.");
    assertClose(alone.forward(x), rest["y.self"], near);
    const across = withWeights(new nn.MultiHeadAttention({ ...sizes, cross: true }), "cross.");
    assertClose(across.forward(x, ctx), rest["y.cross"], near);
  });

  test("rotary positions, and SwiGLU", () => {
    assertClose(rotary(x, nn.rotaryTable(9, 4).to(on), { nHead: 3 }), rest["y.rotary"], near);
    const mlp = withWeights(new nn.MLP({ nEmbd: 12, activation: "swiglu" }), "mlp.");
    assertClose(mlp.forward(x), rest["y.mlp"], near);
  });

  test("a GPT with rotary positions, RMSNorm and SwiGLU, without biases", () => {
    const kind = { positions: "rotary", norm: "rms", activation: "swiglu", bias: false } as const;
    const options = { ...sizes, ...kind, vocabSize: 17, blockSize: 8, nLayer: 1 };
    const model = withWeights(new GPT(options), "g.");
    const logits = model.forward(ids([[1, 2, 3, 4, 16, 7]])).logits as typeof x;
    assertClose(logits, rest["y.gpt"], near);
  });

  test("an encoder and its decoder", () => {
    const vocabularies = { sourceVocabSize: 11, targetVocabSize: 13 };
    const depths = { nEncoderLayer: 1, nDecoderLayer: 1, blockSize: 8 };
    const model = withWeights(new EncoderDecoder({ ...sizes, ...vocabularies, ...depths }), "e.");
    const source = [
      [1, 2, 3, 4, 5],
      [6, 7, 8, 9, 10],
    ];
    const target = [
      [1, 2, 3],
      [12, 11, 10],
    ];
    assertClose(model.forward(ids(source), ids(target)).logits, rest["y.both"], near);
  });
});
