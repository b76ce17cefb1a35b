import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lesson } from "#lessons/03-check.js";
import { assertClose } from "../support/support.ts";
import { told } from "./told.ts";

const test = suite("lesson 3");

test("differences err as the theory says, and the check finds the planted bug", async () => {
  const { slope, best, falls, right, wrong, same, kink, clear } = await told(lesson);
  const [e, t] = [Math.exp(0.7), Math.tanh(0.7)];
  assertClose([slope], [e * (1 - t * t + t)]);
  assertClose([falls.forward], [2], { rtol: 0.05 });
  assertClose([falls.central], [4], { rtol: 0.05 });
  const [forward, central, single] = best;
  assert.ok(forward.h > 1e-10 && forward.h < 1e-6, `forward, h ${forward.h}`);
  assert.ok(central.h > 1e-7 && central.h < 1e-3, `central, h ${central.h}`);
  assert.ok(central.error < forward.error && central.error < 1e-9, `central ${central.error}`);
  assert.ok(single.error > 1e-7 && single.error < 1e-3, `in f32 ${single.error}`);
  assert.ok(right.ok && right.worst < 1e-6, `right ${right.worst}`);
  assert.not(wrong.ok);
  assert.ok(wrong.worst > 0.01, `wrong ${wrong.worst}`);
  assert.ok(same < 1e-6, `values ${same} apart`);
  assert.equal([kink, clear], [false, true]);
});

test.run();
