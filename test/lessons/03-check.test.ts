import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/03-check.js";
import { assertClose } from "../support/harness.ts";
import { runLesson } from "./run-lesson.ts";

const test = suite("lesson 3");

test("errors of finite differences match theory, and the check finds the bug", async () => {
  const { derivative, best, ratios, right, wrong, difference, atKink, nearKink } =
    await runLesson(lesson);
  const e = Math.exp(0.7);
  const t = Math.tanh(0.7);
  assertClose([derivative], [e * (1 - t * t + t)]);
  assertClose([ratios.forward], [2], { rtol: 0.05 });
  assertClose([ratios.central], [4], { rtol: 0.05 });
  const [forward, central, f32] = best;
  assert.ok(forward.h > 1e-10 && forward.h < 1e-6, `forward, h ${forward.h}`);
  assert.ok(central.h > 1e-7 && central.h < 1e-3, `central, h ${central.h}`);
  assert.ok(central.error < forward.error && central.error < 1e-9, `central ${central.error}`);
  assert.ok(f32.error > 1e-7 && f32.error < 1e-3, `in f32 ${f32.error}`);
  assert.ok(right.ok && right.worst < 1e-6, `right ${right.worst}`);
  assert.not(wrong.ok);
  assert.ok(wrong.worst > 0.01, `wrong ${wrong.worst}`);
  assert.ok(difference < 1e-6, `values differ by ${difference}`);
  assert.equal([atKink.ok, nearKink.ok], [false, true]);
});

test.run();
