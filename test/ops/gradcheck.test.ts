import { checkGradient, exp, mul, randn } from "tinybard";
import * as assert from "uvu/assert";
import { record } from "#src/autograd.js";
import { eachDevice } from "../support/harness.js";

eachDevice("gradcheck", (test, on) => {
  test("checkGradient() detects a wrong derivative and reports the error", () => {
    const x = randn([5], { device: on });
    const right = checkGradient((t) => mul(t, mul(t, t)), [x]);
    assert.ok(right.ok && right.worst < 1e-6, JSON.stringify(right));
    const wrong = checkGradient((t) => record("wrong", exp(t.detach()), [t], (dy) => [dy]), [x]);
    assert.not(wrong.ok);
    assert.ok(wrong.worst > 1e-3);
    const first = checkGradient((a, b) => mul(a, b.detach()), [x, x]);
    assert.not(first.ok);
    assert.is(first.inputs[1].analytic, 0);
    assert.ok(checkGradient((t) => t.dropout({ p: 0.5 }), [x]).ok);
    assert.ok(checkGradient((t) => mul(t, 1 + 1e-4), [x], { tolerance: 1e-3 }).ok);
  });
});
