import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/09-residuals.js";
import { assertLoss } from "./expected-losses.ts";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 9");

if (await loadText("lesson 9"))
  test("residuals preserve gradients; normalization tolerates more learning rates; dropout helps on little text", async () => {
    const { gradientRatios, stackLoss, residualLoss, normalizedLoss, byRate, dropout, output } =
      await runLesson(lesson);
    const [plain, ...others] = gradientRatios;
    assert.ok(plain > 1000, `plain blocks: the last gradient is ${plain} times the first`);
    for (const ratio of others) assert.ok(ratio > 0.1 && ratio < 10, `residual blocks: ${ratio}`);
    assert.ok(stackLoss < 2.6, `three residual blocks: ${stackLoss}`);
    await assertLoss("+ residual", residualLoss);
    await assertLoss("+ normalization", normalizedLoss);
    const gains = byRate.residual.map((loss, i) => loss - byRate.normalized[i]);
    for (const i of [0, 3]) assert.ok(gains[i] > 0.02, `normalization by learning rate: ${gains}`);
    const [[little, littleDropout], [all, allDropout]] = dropout;
    assert.ok(little.valLoss > little.trainLoss + 0.5, "2000 characters are memorized");
    assert.ok(
      littleDropout.valLoss < little.valLoss - 0.03,
      `with dropout: ${littleDropout.valLoss}`,
    );
    assert.ok(littleDropout.trainLoss > little.trainLoss, "dropout makes memorizing harder");
    assert.ok(allDropout.valLoss > all.valLoss, "dropout does not help on the whole text");
    assert.match(output, / 9 {2}\+ residual/);
  });
else test.skip("residuals");

test.run();
