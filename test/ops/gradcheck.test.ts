import { checkGradient, exp, mul, nn, randn, type Tensor } from "tinybard";
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
    assert.is(right.dtype, "f64");
  });

  test("a function that uses other tensors is checked on their device", () => {
    const x = randn([6, 4], { device: on });
    const layer = new nn.Sequential(new nn.Linear(4, 8), new nn.GELU(), new nn.LayerNorm(8));
    const forward = (t: Tensor) => layer.forward(t);
    const right = checkGradient(forward, [x]);
    assert.is(right.dtype, "f32");
    assert.ok(right.ok && right.worst < 1e-2, JSON.stringify(right));
    assert.ok([...layer.parameters()].every((w) => w.grad === null));

    const [w] = layer.parameters();
    forward(x).sum().backward();
    const before = w.grad?.data();
    checkGradient(forward, [x]);
    assert.equal(w.grad?.data(), before);

    const scale = randn([4], { device: on });
    for (const factor of [1, 0.9, -1]) {
      const f = (t: Tensor) =>
        record("scaled", mul(t.detach(), scale), [t], (dy) => [mul(mul(dy, scale), factor)]);
      const { ok, dtype } = checkGradient(f, [x]);
      assert.equal([ok, dtype], [factor === 1, "f32"]);
    }
  });

  test("a function of f64 tensors on ts that uses others of that kind is checked in f64", () => {
    const x = randn([3], { device: "ts", dtype: "f64" });
    const scale = randn([3], { device: "ts", dtype: "f64", requiresGrad: true });
    const { ok, dtype } = checkGradient((t) => mul(t, scale), [x]);
    assert.equal([ok, dtype, scale.grad], [true, "f64", null]);
  });

  test("an error of the function itself is thrown", () => {
    const x = randn([2, 3], { device: on });
    assert.throws(() => checkGradient((t) => t.matmul(t), [x]), /matmul: b has shape/);
  });
});
