import { suite } from "uvu";
import * as assert from "uvu/assert";
import { distribution, entropy, lesson, repetition } from "#lessons/14-sampling.js";
import { assertClose } from "../support/harness.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 14");

test("temperature, top-k and top-p change a distribution as defined", () => {
  const logits = [0.5, 0.25, 0.125, 0.125].map(Math.log);
  assertClose(distribution(logits), [0.5, 0.25, 0.125, 0.125]);
  assertClose(distribution(logits, { temperature: 0.5 }), [16 / 22, 4 / 22, 1 / 22, 1 / 22]);
  assertClose(distribution(logits, { temperature: 0 }), [1, 0, 0, 0]);
  assertClose(distribution(logits, { topK: 2 }), [2 / 3, 1 / 3, 0, 0]);
  assertClose(distribution(logits, { topP: 0.76 }), [4 / 7, 2 / 7, 1 / 7, 0]);
  assert.is(entropy([0.5, 0.25, 0.125, 0.125]), 1.75);
  assertClose([repetition("abcdabcd")], [1 / 5]); // abcd bcda cdab dabc abcd
});

const corpus = await loadText("lesson 14");
if (corpus)
  test("entropy rises and sense falls with temperature; the library samples alike", async () => {
    const { loss, kept, totalVariation, outsideTopK, results, ...rest } = await runLesson(lesson);
    const { isSameText, passed, corpusRepetition, output } = rest;
    assert.ok(loss > 1.9 && loss < 2.6, `loss ${loss}`);
    const [unsure, sure] = kept;
    assert.equal([unsure.topK, sure.topK], [5, 5]);
    assert.ok(unsure.topP > sure.topP + 3, `top-p keeps ${unsure.topP} and ${sure.topP}`);
    assert.ok(totalVariation < 0.12, `total variation distance ${totalVariation}`);
    assert.is(outsideTopK, 0);
    assert.ok(isSameText, "the KV cache does not change the text");
    assert.is(passed, ((5 + 31) * 27) / 2); // contexts of 5 to 31 tokens
    const byTemperature = results.slice(0, 7);
    assert.is(byTemperature[0].bits, 0);
    for (let i = 1; i < 7; i++) {
      const { name, bits } = byTemperature[i];
      assert.ok(bits > byTemperature[i - 1].bits + 0.1, `${name}: ${bits}`);
    }
    const calibration = byTemperature[4].bits / (loss / Math.LN2);
    assert.ok(calibration > 0.85 && calibration < 1.15, `entropy / loss is ${calibration}`);
    const greedy = byTemperature[0].repeated;
    const hottest = byTemperature[6].repeated;
    assert.ok(greedy > 0.75, `greedy repeats ${greedy}`);
    assert.ok(
      hottest < corpusRepetition && corpusRepetition < 0.5,
      `temperature 2 repeats ${hottest}, the corpus ${corpusRepetition}`,
    );
    const lowKnown = byTemperature[1].knownWords;
    const highKnown = byTemperature[6].knownWords;
    assert.ok(lowKnown > highKnown + 0.2, `known words: ${lowKnown} and ${highKnown}`);
    assert.ok(results[7].bits <= Math.log2(5)); // at most five tokens to choose from
    assert.match(output, /Exercises/);
  });

test.run();
