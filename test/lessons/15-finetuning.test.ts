import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/15-finetuning.js";
import { loadText, runLesson } from "./run-lesson.ts";

const test = suite("lesson 15");

const corpus = await loadText("lesson 15");
if (corpus)
  test("the sweep has a minimum; fine-tuning learns and forgets, and LoRA comes close", async () => {
    const { sweep, best, results, unmergedLoss, mergedLoss, output } = await runLesson(lesson);
    const first = sweep[0];
    const last = sweep[sweep.length - 1];
    assert.ok(best.lr >= 1e-3 && best.lr <= 1e-1, `best learning rate ${best.lr}`);
    assert.ok(first.loss > best.loss + 0.7, `smallest rate: ${first.loss}, best ${best.loss}`);
    assert.ok(last.loss > best.loss + 0.2, `largest rate: ${last.loss}, best ${best.loss}`);

    const base = results["base model, before fine-tuning"];
    const scratch = results["trained from scratch"];
    const tuned = results["fine-tuned, lr 0.005"];
    const slow = results["fine-tuned, lr 0.0005"];
    const mixed = results["fine-tuned on code and prose"];
    const lora = results["LoRA, rank 4, lr 0.02"];
    assert.ok(base.prose < 2.9 && base.code > base.prose + 0.7, "base model");
    assert.ok(tuned.code < scratch.code - 0.1, `tuned ${tuned.code}, scratch ${scratch.code}`);
    assert.ok(tuned.prose > base.prose + 0.15, `forgotten: ${tuned.prose - base.prose}`);
    assert.ok(slow.prose < tuned.prose - 0.05 && slow.code > tuned.code + 0.1, "lower rate");
    assert.ok(mixed.prose < base.prose + 0.2, `with prose: ${mixed.prose}`);
    assert.ok(mixed.code < base.code - 0.5, `with prose: ${mixed.code}`);
    // 4 (in + out) weights for each of a block's four layers, in two blocks
    assert.is(lora.weights, 2 * 4 * (32 + 96 + (32 + 32) + (32 + 128) + (128 + 32)));
    assert.ok(lora.code < base.code - 0.35, `LoRA ${lora.code}, base ${base.code}`);
    assert.ok(lora.code < scratch.code + 0.2, `LoRA ${lora.code}, scratch ${scratch.code}`);
    assert.ok(Math.abs(mergedLoss - unmergedLoss) < 1e-4, `${mergedLoss}, ${unmergedLoss}`);
    assert.match(output, /Exercises/);
  });

test.run();
