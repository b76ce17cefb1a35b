import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/15-finetuning.js";
import { text, told } from "./told.ts";

const test = suite("lesson 15");

const corpus = await text("lesson 15");
if (corpus)
  test("rates form a valley; fine-tuning learns and forgets, and LoRA comes near it", async () => {
    const { sweep, best, results, unmerged, merged, output } = await told(lesson);
    const [first, last] = [sweep[0], sweep[sweep.length - 1]];
    assert.ok(best.lr >= 1e-3 && best.lr <= 1e-1, `best rate ${best.lr}`);
    assert.ok(first.loss > best.loss + 0.7, `the smallest rate: ${first.loss}, best ${best.loss}`);
    assert.ok(last.loss > best.loss + 0.2, `the largest rate: ${last.loss}, best ${best.loss}`);

    const { before, "a new model": fresh } = results;
    const tuned = results["all weights, rate 0.005"];
    const gentle = results["all weights, rate 0.0005"];
    const mixed = results["and half of it prose again"];
    const lora = results["LoRA of rank 4, rate 0.02"];
    assert.ok(before.prose < 2.9 && before.code > before.prose + 0.7, "before");
    assert.ok(tuned.code < fresh.code - 0.1, `tuned ${tuned.code}, new ${fresh.code}`);
    assert.ok(tuned.prose > before.prose + 0.15, `forgotten: ${tuned.prose - before.prose}`);
    assert.ok(gentle.prose < tuned.prose - 0.05 && gentle.code > tuned.code + 0.1, "gentle");
    assert.ok(mixed.prose < before.prose + 0.2, `with prose: ${mixed.prose}`);
    assert.ok(mixed.code < before.code - 0.5, `with prose: ${mixed.code}`);
    // 4 (in + out) numbers for each of a block's four layers, in two blocks
    assert.is(lora.weights, 2 * 4 * (32 + 96 + (32 + 32) + (32 + 128) + (128 + 32)));
    assert.ok(lora.code < before.code - 0.35, `LoRA ${lora.code}, before ${before.code}`);
    assert.ok(lora.code < fresh.code + 0.2, `LoRA ${lora.code}, new ${fresh.code}`);
    assert.ok(Math.abs(merged - unmerged) < 1e-4, `merged ${merged}, before ${unmerged}`);
    assert.match(output, /Exercises/);
  });

test.run();
