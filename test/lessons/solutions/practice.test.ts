// The solutions to lessons 13 to 17: the claims of the exercises hold.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { naiveMatmul } from "#lessons/17-kernel.js";
import * as solution13 from "#lessons/solutions/13-tokenizers.js";
import * as solution14 from "#lessons/solutions/14-sampling.js";
import * as solution15 from "#lessons/solutions/15-finetuning.js";
import * as solution16 from "#lessons/solutions/16-quantization.js";
import * as solution17 from "#lessons/solutions/17-kernel.js";
import { assertClose } from "../../support/harness.ts";
import { loadText, runLesson } from "../run-lesson.ts";

const test = suite("solutions 13 to 17");

test("14: min-p keeps what is at least a fraction of the largest probability", () => {
  assertClose(solution14.minP([0.5, 0.3, 0.15, 0.05], 0.25), [10 / 19, 6 / 19, 3 / 19, 0]);
});

test("16: a full range of integers has a scale that fits the larger side", () => {
  assert.equal(solution16.quantizeGroupFully([2, -1, 0.4, 1.2], 2), {
    q: [-2, 1, 0, -1],
    scale: -1,
  });
  assert.equal(solution16.quantizeGroupFully([-4, 1.9, 4], 2), { q: [-2, 1, 1], scale: 2 });
});

test("17: the third loop order computes the same product; vectors are faster", async () => {
  const a = Float32Array.of(1, 2, 3, 4);
  assert.equal([...solution17.columnOrderMatmul(a, a, 2)], [...naiveMatmul(a, a, 2)]);
  const { cpu, rates } = await runLesson(solution17.solution);
  assert.equal(Object.keys(rates), ["naive", "row order", "column order"]);
  if (cpu) assert.ok(cpu.vectors > 1.5 * cpu.scalar, JSON.stringify(cpu));
});

if (await loadText("solutions")) {
  test("13: merges cross words, code takes more tokens, and a decoder keeps bytes", async () => {
    const { acrossWords, prose, code, separate, streamed } = await runLesson(solution13.solution);
    assert.ok(acrossWords.length >= 10, `${acrossWords}`);
    assert.ok(
      code.charactersPerToken < prose.charactersPerToken - 0.2,
      `code ${code.charactersPerToken}`,
    );
    assert.ok(code.blank > 1.3 * prose.blank, `blank ${code.blank} and ${prose.blank}`);
    assert.equal(separate, ["\uFFFD", "\uFFFD"]);
    assert.equal(streamed, ["", "é"]);
  });

  test("14: top-p grows with the temperature, and min-p follows the model", async () => {
    const { temperature, kept, minPKept } = await runLesson(solution14.solution);
    assert.ok(temperature > 0.4 && temperature < 1.3, `temperature ${temperature}`);
    assert.ok(kept[1].topP > kept[0].topP + 3, `top-p ${kept[0].topP} and ${kept[1].topP}`);
    assert.equal(
      kept.map(({ topK }) => topK),
      [5, 5],
    );
    assert.ok(minPKept[0] > minPKept[1] + 3, `min-p ${minPKept}`);
  });

  test("15: slow for long forgets too; higher ranks learn more; one block is not enough", async () => {
    const { fast, slow, long, byRank, ...frozen } = await runLesson(solution15.solution);
    assert.ok(long.code < slow.code - 0.2 && long.code < fast.code + 0.05, `code ${long.code}`);
    assert.ok(long.prose > slow.prose + 0.05, `prose ${slow.prose} and ${long.prose}`);
    assert.equal(
      byRank.map(({ trained }) => trained),
      [1024, 4096, 16_384],
    );
    assert.ok(byRank[2].code < byRank[0].code - 0.03, "rank 16 learns more than rank 1");
    assert.ok(frozen.firstFrozen.code < fast.code + 0.1, `first frozen ${frozen.firstFrozen.code}`);
    assert.ok(frozen.firstOnly.code > fast.code + 0.1, `first only ${frozen.firstOnly.code}`);
  });

  test("16: the head matters most, four integers beat three, and training recovers 3 bits", async () => {
    const { increases, errors, loss, before, after } = await runLesson(solution16.solution);
    const top = increases.slice(0, 2).map(({ name }) => name);
    assert.ok(top.includes("lm_head.weight"), `${top}`);
    assert.ok(errors[1] < errors[0] - 0.1, `errors ${errors}`);
    assert.ok(before > loss + 0.005, `in 3 bits ${before}, in f32 ${loss}`);
    assert.ok(after < before - 0.01, `${before} before, ${after} after training`);
  });
}

test.run();
