import { mul, sum, tensor, toDot } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice } from "../support/harness.js";

eachDevice("graphviz", (test, on) => {
  test("toDot() shows ops, values and gradients", () => {
    const a = tensor([2], { device: on, requiresGrad: true });
    const loss = sum(mul(a, a));
    const before = toDot(loss);
    assert.match(before, /^digraph \{/);
    assert.match(before, /label="mul"/);
    assert.is(before.match(new RegExp(`t${a.id} -> op`, "g"))?.length, 2);
    loss.backward();
    assert.match(toDot(a), /2\.000 \| grad 4\.000/);
  });
});
