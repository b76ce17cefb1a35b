import { EncoderDecoder, nn, scope, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { AdamW } from "#src/optim/index.js";
import { assertClose, eachDevice } from "../support/support.js";

const tiny = {
  sourceVocabSize: 9,
  targetVocabSize: 10,
  blockSize: 6,
  nEncoderLayer: 1,
  nDecoderLayer: 1,
  nHead: 2,
  nEmbd: 16,
};
const [START, STOP] = [8, 9];

eachDevice("EncoderDecoder", (test, on) => {
  const ids = (rows: number[][]) => tensor(rows, { dtype: "i32", device: on });

  test("the parts make the whole, near ln(V) at the start", () => {
    const model = new EncoderDecoder(tiny).to(on);
    const [source, target] = [
      ids([
        [1, 2, 3],
        [4, 5, 6],
      ]),
      ids([
        [8, 1],
        [8, 2],
      ]),
    ];
    const { logits, loss } = model.forward(
      source,
      target,
      ids([
        [1, 9],
        [-100, 9],
      ]),
    );
    assert.equal(logits.shape, [2, 2, 10]);
    assert.ok(Math.abs((loss as Tensor).item() - Math.log(10)) < 0.1);
    const memory = model.encode(source);
    const x = model.decoder.wte.forward(target).add(positions(model, 2));
    const y = model.decoder.ln_f.forward(model.decoder.h[0].forward(x, memory));
    assertClose(logits, model.lm_head.forward(y), { rtol: 1e-4, atol: 1e-6 });
    assert.is(model.forward(source, target).loss, null);
  });

  test("learns to reverse what it has not seen", () => {
    const model = new EncoderDecoder({ ...tiny, nEmbd: 32, positions: "learned" }).to(on);
    const all = Array.from({ length: 512 }, (_, i) => [i >> 6, (i >> 3) & 7, i & 7]);
    const seen = all.filter((_, i) => i % 5 !== 0);
    const unseen = all.filter((_, i) => i % 5 === 0);
    const optimizer = new AdamW(model.parameters(), { lr: 5e-3, weightDecay: 0 });
    for (let step = 0; step < 120; step++) {
      const rows = Array.from({ length: 64 }, (_, i) => seen[(step * 64 + i * 37) % seen.length]);
      scope(() => {
        const back = rows.map((row) => row.toReversed());
        const target = ids(back.map((row) => [START, ...row]));
        const targets = ids(back.map((row) => [...row, STOP]));
        const { loss } = model.forward(ids(rows), target, targets);
        (loss as Tensor).backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
    const options = { start: START, stop: STOP, maxNewTokens: 5 };
    const written = model.translate(ids(unseen), options);
    const right = written.filter((row, i) => `${row}` === `${unseen[i].toReversed()}`).length;
    assert.ok(right / unseen.length > 0.95, `${right} of ${unseen.length}`);
    assert.ok(model.training, "translate() leaves the mode as it was");
  });

  test("wrong arguments are named", () => {
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
