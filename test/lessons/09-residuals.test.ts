import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/09-residuals.js";
import { expectLoss } from "./losses.ts";
import { text, told } from "./told.ts";

const test = suite("lesson 9");

if (await text("lesson 9"))
  test("residuals carry gradients down; normalization minds the rate less; dropout helps on little text", async () => {
    const told9 = await told(lesson);
    const { steepness, stack, residual, normalized, byRate, dropout, output } = told9;
    const [plain, ...others] = steepness;
    assert.ok(plain > 1000, `plain blocks: gradients at the top ${plain} times those below`);
    for (const times of others) assert.ok(times > 0.1 && times < 10, `${times} times with 1 + f'`);
    assert.ok(stack < 2.6, `three residual blocks: ${stack}`);
    await expectLoss("+ residual", residual);
    await expectLoss("+ normalization", normalized);
    const gains = byRate.residual.map((loss, i) => loss - byRate.normalized[i]);
    for (const i of [0, 3]) assert.ok(gains[i] > 0.02, `normalization by rate: ${gains}`);
    const [[without, with2], [all, all2]] = dropout;
    assert.ok(without.unknown > without.known + 0.5, "2000 characters are learned by heart");
    assert.ok(with2.unknown < without.unknown - 0.03, `dropout: ${with2.unknown}`);
    assert.ok(with2.known > without.known, "and less by heart with dropout");
    assert.ok(all2.unknown > all.unknown, "on the whole text dropout costs");
    assert.match(output, / 9 {2}\+ residual/);
  });
else test.skip("residuals");

test.run();
