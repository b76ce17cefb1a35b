// The encoder-decoder: it equals the composition of its parts, and learns to reverse a sequence.

import { EncoderDecoder, nn, scope, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { AdamW } from "#src/optim/index.js";
import { assertClose, eachDevice } from "../support/harness.js";

const tiny = {
  sourceVocabSize: 9,
  targetVocabSize: 10,
  blockSize: 6,
  nEncoderLayer: 1,
  nDecoderLayer: 1,
  nHead: 2,
  nEmbd: 16,
};
const START = 8;
const STOP = 9;

eachDevice("EncoderDecoder", (test, on) => {
  const ids = (rows: number[][]) => tensor(rows, { dtype: "i32", device: on });

  test("equals the composition of its parts; the initial loss is near ln(V)", () => {
    const model = new EncoderDecoder(tiny).to(on);
    const source = ids([
      [1, 2, 3],
      [4, 5, 6],
    ]);
    const target = ids([
      [8, 1],
      [8, 2],
    ]);
    const targets = ids([
      [1, 9],
      [-100, 9],
    ]);
    const { logits, loss } = model.forward(source, target, targets);
    assert.equal(logits.shape, [2, 2, 10]);
    assert.ok(Math.abs((loss as Tensor).item() - Math.log(10)) < 0.1);
    const memory = model.encode(source);
    const x = model.decoder.wte.forward(target).add(positions(model, 2));
    const y = model.decoder.ln_f.forward(model.decoder.h[0].forward(x, memory));
    assertClose(logits, model.lm_head.forward(y), { rtol: 1e-4, atol: 1e-6 });
    assert.is(model.forward(source, target).loss, null);
  });

  test("QK-norm, relu2, zero projections and a softcap", () => {
    const model = new EncoderDecoder({
      ...tiny,
      activation: "relu2",
      qkNorm: true,
      zeroInitProjections: true,
      logitSoftcap: 0.1,
    }).to(on);
    const layers = [model.encoder.h[0].attn, model.decoder.h[0].attn, model.decoder.h[0].cross];
    for (const layer of layers) {
      assert.ok(layer.qkNorm);
      assert.ok(layer.c_proj.weight.data().every((w) => w === 0));
    }
    const logits = () => model.forward(ids([[1, 2, 3]]), ids([[8, 1]])).logits;
    const memory = model.encode(ids([[1, 2, 3]]));
    const x = model.decoder.wte.forward(ids([[8, 1]])).add(positions(model, 2));
    const y = model.decoder.ln_f.forward(model.decoder.h[0].forward(x, memory));
    const uncapped = model.lm_head.forward(y);
    assertClose(logits(), uncapped.div(0.1).tanh().mul(0.1), { rtol: 1e-4, atol: 1e-6 });
    assert.throws(
      () => new EncoderDecoder({ ...tiny, logitSoftcap: -1 }),
      /EncoderDecoder: logitSoftcap is -1, expected a number from 0/,
    );
  });

  test("learns to reverse sequences that are not in the training set", () => {
    const model = new EncoderDecoder({ ...tiny, nEmbd: 32, positions: "learned" }).to(on);
    const all = Array.from({ length: 512 }, (_, i) => [i >> 6, (i >> 3) & 7, i & 7]);
    const trainSet = all.filter((_, i) => i % 5 !== 0);
    const testSet = all.filter((_, i) => i % 5 === 0);
    const optimizer = new AdamW(model.parameters(), { lr: 5e-3, weightDecay: 0 });
    for (let step = 0; step < 120; step++) {
      const rows = Array.from(
        { length: 64 },
        (_, i) => trainSet[(step * 64 + i * 37) % trainSet.length],
      );
      scope(() => {
        const reversed = rows.map((row) => row.toReversed());
        const target = ids(reversed.map((row) => [START, ...row]));
        const targets = ids(reversed.map((row) => [...row, STOP]));
        const { loss } = model.forward(ids(rows), target, targets);
        (loss as Tensor).backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
    const options = { start: START, stop: STOP, maxNewTokens: 5 };
    const decoded = model.translate(ids(testSet), options);
    const correct = decoded.filter((row, i) => `${row}` === `${testSet[i].toReversed()}`).length;
    assert.ok(correct / testSet.length > 0.95, `${correct} of ${testSet.length}`);
    assert.ok(model.training, "translate() restores the training mode");
  });

  test("error messages name wrong arguments", () => {
    const make = (options: object) => () => new EncoderDecoder({ ...tiny, ...options });
    assert.throws(make({ nLayer: 2 }), /EncoderDecoder: unknown option nLayer/);
    assert.throws(make({ nDecoderLayer: 0 }), /EncoderDecoder: nDecoderLayer is 0/);
    const model = new EncoderDecoder(tiny).to(on);
    assert.throws(() => model.encode(ids([[1, 2, 3, 4, 5, 6, 7]])), /encode: idx has 7 tokens/);
    assert.throws(() => model.encode(ids([[1]]).reshape([1])), /encode: idx has shape \[1\]/);
  });
});

function positions({ decoder, config }: EncoderDecoder, T: number): Tensor {
  const rms = 0.02 * Math.SQRT2;
  const table = nn.sinusoidalTable(config.blockSize, config.nEmbd).to(decoder.wte.weight.device);
  return table.mul(rms).slice({ dim: 0, start: 0, end: T });
}
