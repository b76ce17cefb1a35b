import { suite } from "uvu";
import * as assert from "uvu/assert";
import { distribution, entropy, lesson, repetition } from "#lessons/14-sampling.js";
import { assertClose } from "../support/support.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 14");

test("a distribution is cut, heated and cooled as it should", () => {
  const logits = [0.5, 0.25, 0.125, 0.125].map(Math.log);
  assertClose(distribution(logits), [0.5, 0.25, 0.125, 0.125]);
  assertClose(distribution(logits, { temperature: 0.5 }), [16 / 22, 4 / 22, 1 / 22, 1 / 22]);
  assertClose(distribution(logits, { temperature: 0 }), [1, 0, 0, 0]);
  assertClose(distribution(logits, { topK: 2 }), [2 / 3, 1 / 3, 0, 0]);
  assertClose(distribution(logits, { topP: 0.76 }), [4 / 7, 2 / 7, 1 / 7, 0]);
  assert.is(entropy([0.5, 0.25, 0.125, 0.125]), 1.75);
  assertClose([repetition("abcdabcd")], [1 / 5]); // abcd bcda cdab dabc abcd
});

const corpus = await text("lesson 14");
if (corpus)
  test("heat adds bits and takes sense; cold repeats; the library draws alike", async () => {
    const { loss, kept, apart, strays, results, own, output } = await told(lesson);
    assert.ok(loss > 1.9 && loss < 2.6, `loss ${loss}`);
    const [unsure, sure] = kept;
    assert.equal([unsure.topK, sure.topK], [5, 5]);
    assert.ok(unsure.topP > sure.topP + 3, `top-p keeps ${unsure.topP} and ${sure.topP}`);
    assert.ok(apart < 0.12, `${apart} apart`);
    assert.is(strays, 0);
    const heated = results.slice(0, 7);
    assert.is(heated[0].bits, 0);
    for (let i = 1; i < 7; i++)
      assert.ok(heated[i].bits > heated[i - 1].bits + 0.1, `${heated[i].name}: ${heated[i].bits}`);
    const calibrated = heated[4].bits / (loss / Math.LN2);
    assert.ok(calibrated > 0.85 && calibrated < 1.15, `${calibrated} of its loss`);
    assert.ok(heated[0].repeated > 0.75, `greedy repeats ${heated[0].repeated}`);
    assert.ok(heated[6].repeated < own && own < 0.5, `hot ${heated[6].repeated}, the text ${own}`);
    const [cold, hot] = [heated[1].real, heated[6].real];
    assert.ok(cold > hot + 0.2, `known words: ${cold} cold, ${hot} hot`);
    assert.ok(results[7].bits <= Math.log2(5)); // no more than five tokens to choose from
    assert.match(output, /Exercises/);
  });

test.run();
