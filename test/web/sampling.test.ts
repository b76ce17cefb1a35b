// Compares the distribution that the page computes with the library's sample().

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { sample } from "#src/gpt/generate.js";
import { pick } from "#src/ops/random.js";
import { normal } from "#src/random.js";
import { computeDistribution, rankLogits } from "#src/web/page/sampling.js";
import { assertClose } from "../support/harness.js";

const test = suite("sampling");

/** Returns random logits of `n` tokens, some of them equal. */
const createLogits = (n: number) =>
  Float32Array.from(normal(n, { site: n, stream: "sample", seed: 2 }), (x) => Math.round(4 * x));

test("equals sample() for any temperature, top-k and top-p", () => {
  for (const n of [1, 7, 65, 300])
    for (const temperature of [0, 0.05, 0.7, 1, 2])
      for (const topK of [1, 2, 5, 64, Infinity])
        for (const topP of [0.01, 0.3, 0.9, 0.99, 1]) {
          const logits = createLogits(n);
          const ranked = rankLogits(logits);
          const { adjusted, keptCount } = computeDistribution(ranked, { temperature, topK, topP });
          const options = { temperature, topP, ...(topK < Infinity && { topK }) };
          for (const u of [0, 0.1, 0.37, 0.5, 0.83, 0.999]) {
            const id = ranked.ids[pick(adjusted.subarray(0, keptCount), u)];
            const message = `${n} ${u} ${JSON.stringify(options)}`;
            assert.is(id, sample(logits, u, options), message);
          }
        }
});

test("probabilities and entropies, computed by hand", () => {
  const logits = [1, 3, 2, 3, -Infinity].map((x) => Math.log(2) * x); // weights 2, 8, 4, 8, 0
  const ranked = rankLogits(logits);
  assert.equal([...ranked.ids], [1, 3, 2, 0, 4]);
  const all = computeDistribution(ranked, { temperature: 1, topK: Infinity, topP: 1 });
  assertClose(all.original, [8 / 22, 8 / 22, 4 / 22, 2 / 22, 0]);
  assertClose(all.adjusted, all.original);
  const cut = computeDistribution(ranked, { temperature: 1, topK: Infinity, topP: 0.7 });
  assertClose(cut.adjusted, [0.5, 0.5, 0, 0, 0]);
  assertClose(cut.original, all.original);
  assert.is(cut.keptCount, 2);
  assert.is(cut.entropy.adjusted, 1);
  const bits = [8, 8, 4, 2].reduce((sum, w) => sum - (w / 22) * Math.log2(w / 22), 0);
  assertClose([cut.entropy.original], [bits]);
  const three = computeDistribution(ranked, { temperature: 0.5, topK: 3, topP: 1 });
  assertClose(three.adjusted, [64 / 144, 64 / 144, 16 / 144, 0, 0]);
  const one = computeDistribution(ranked, { temperature: 0, topK: Infinity, topP: 1 });
  assert.equal([one.keptCount, ...one.adjusted], [1, 1, 0, 0, 0, 0]);
  assert.ok(Object.is(one.entropy.adjusted, 0));
});

test.run();
