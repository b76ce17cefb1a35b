// What the golden values of PyTorch do not cover: comparisons as a boolean, and random tensors.

import {
  allclose,
  isnan,
  manualSeed,
  multinomial,
  nn,
  randLike,
  randn,
  randnLike,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice } from "../support/harness.js";

eachDevice("predicates and random tensors", (test, on) => {
  test("allclose: tolerances, infinities, NaN, shapes", () => {
    const of = (...values: number[]) => tensor(values, { device: on });
    assert.ok(allclose(of(1, 2), of(1, 2 + 1e-6)));
    assert.not(allclose(of(1, 2), of(1, 2.001)));
    assert.ok(allclose(of(1, 2), of(1, 2.001), { rtol: 1e-2 }));
    assert.ok(allclose(of(0), of(0.5), { atol: 0.5 }));
    // the tolerance is relative to b, as in PyTorch
    assert.ok(allclose(of(100), of(111), { rtol: 0.1, atol: 0 }));
    assert.not(allclose(of(111), of(100), { rtol: 0.1, atol: 0 }));
    assert.ok(allclose(of(Infinity), of(Infinity)));
    assert.not(allclose(of(1), of(Infinity)));
    assert.not(allclose(of(Infinity), of(-Infinity)));
    assert.not(allclose(of(NaN), of(NaN)));
    assert.ok(allclose(of(NaN, 1), of(NaN, 1), { equalNan: true }));
    assert.ok(allclose(of(), of()));
    assert.throws(() => allclose(of(1), of(1, 2)), /allclose: b has shape \[2\], expected \[1\]/);
  });

  test("isnan finds what training broke", () => {
    assert.is(
      isnan(tensor([1, NaN, NaN], { device: on }))
        .sum()
        .item(),
      2,
    );
  });

  test("randLike and randnLike: the kind of x, other values each time, the seed's values", () => {
    const x = zeros([40, 50], { device: on });
    for (const [create, mean, deviation] of [
      [randLike, 0.5, Math.sqrt(1 / 12)],
      [randnLike, 0, 1],
    ] as const) {
      manualSeed(3);
      const first = create(x);
      const second = create(x);
      manualSeed(3);
      assert.equal(create(x).data(), first.data());
      assert.not.equal(second.data(), first.data());
      assert.equal([first.shape, first.dtype, first.device.name], [x.shape, "f32", on.name]);
      assert.ok(Math.abs(first.mean().item() - mean) < 0.06);
      assert.ok(Math.abs(first.std().item() - deviation) < 0.06);
    }
    assert.throws(() => randLike(x.to("i32")), /randLike: dtype is i32, expected floats/);
  });

  test("multinomial with replacement draws by weight, without it each index once", () => {
    manualSeed(1);
    const weights = tensor([1, 0, 3], { device: on });
    const drawn = multinomial(weights, 4000, { replacement: true }).data();
    const share = drawn.filter((i) => i === 2).length / 4000;
    assert.ok(!drawn.includes(1) && Math.abs(share - 0.75) < 0.03, `${share}`);
    assert.equal([...weights.multinomial(2).data()].sort(), [0, 2]);
    assert.throws(
      () => multinomial(weights, 4),
      /multinomial: probs has shape \[3\], expected \[n\] or \[rows, n\], n >= 4, or replacement/,
    );
  });

  test("remainder of integers by 0 is an error", () => {
    const x = tensor([1, 2], { dtype: "i32", device: on });
    assert.throws(() => x.remainder(0), /remainder: b has a 0/);
  });

  test("select: an index out of range is an error", () => {
    for (const index of [2, -3, 0.5, NaN])
      assert.throws(
        () => zeros([2, 3], { device: on }).select(0, index),
        /select: index is .*, expected -2 to 1 for axis 0/,
      );
  });

  test("zeroGrad of a module forgets the gradients of its parameters", () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.Linear(3, 1)).to(on);
    model
      .forward(randn([4, 2], { device: on }))
      .sum()
      .backward();
    const gradients = () => [...model.parameters()].map(({ grad }) => grad as Tensor | null);
    assert.ok(gradients().every((grad) => grad !== null));
    model.zeroGrad();
    assert.ok(gradients().every((grad) => grad === null));
  });
});
