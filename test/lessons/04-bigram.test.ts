import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/04-bigram.js";
import { assertClose } from "../support/harness.ts";
import { assertLoss } from "./expected-losses.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 4");

if (await loadText("lesson 4"))
  test("a bigram table starts at ln V and reaches the loss of the counted table", async () => {
    const {
      vocabSize,
      decoded,
      initialLoss,
      randomLoss,
      trainedLoss,
      countedLoss,
      output,
      ...rest
    } = await runLesson(lesson);
    assert.is(decoded, "hii there");
    assertClose(rest.exampleProbabilities, [0.665241, 0.244728, 0.090031], { rtol: 1e-5 });
    assertClose(rest.exampleLosses, [0.407606, 1.407606, 2.407606], { rtol: 1e-5 });
    assertClose([rest.perplexity], [Math.exp(trainedLoss)]);
    assertClose([initialLoss], [Math.log(vocabSize)], { rtol: 1e-5 });
    const increase = randomLoss - initialLoss; // half a nat, with noise: few rows are frequent
    assert.ok(increase > 0.3 && increase < 0.7, `${increase} more than ln V`);
    assert.ok(
      Math.abs(trainedLoss - countedLoss) < 0.04,
      `trained ${trainedLoss}, counted ${countedLoss}`,
    );
    await assertLoss("bigram", trainedLoss);
    assert.match(output, /validation losses on .*\n 4 {2}bigram/);
  });
else test.skip("a bigram table");

test.run();
