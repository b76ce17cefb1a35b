import { dropout, manualSeed, multinomial, ones, rand, randn, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { normal, philox, randomBits, uniform } from "#src/random.js";
import { eachDevice } from "./support/harness.js";

eachDevice("random", (test, on) => {
  test("Philox 4x32-10: the test vectors of its authors (Random123, kat_vectors)", () => {
    const vectors = [
      [
        "00000000 00000000 00000000 00000000 00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
      ],
      [
        "ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
      ],
      [
        "243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
      ],
    ];
    for (const [input, output] of vectors) {
      const [c0, c1, c2, c3, k0, k1] = input.split(" ").map((word) => Number.parseInt(word, 16));
      const out = new Uint32Array(4);
      philox(c0, c1, c2, c3, k0, k1, out);
      assert.is(Array.from(out, (word) => word.toString(16).padStart(8, "0")).join(" "), output);
    }
  });

  test("equal counters give equal bits; another site, step, stream or seed, others", () => {
    const counter = { site: 3, step: 5, stream: "batch", seed: 7 } as const;
    const first = randomBits(9, counter);
    assert.equal(randomBits(9, counter), first);
    assert.equal(randomBits(4, counter), first.slice(0, 4));
    for (const other of [
      { site: 4 },
      { step: 6 },
      { seed: 8 },
      { seed: 7 + 2 ** 32 },
      { stream: "sample" as const },
    ])
      assert.not.equal(randomBits(9, { ...counter, ...other }), first);
  });

  test("uniform and normal have the moments they should", () => {
    const n = 100_000;
    const moments = (x: Float64Array) => {
      const mean = x.reduce((a, b) => a + b, 0) / n;
      return [mean, x.reduce((sum, each) => sum + (each - mean) ** 2, 0) / n];
    };
    const u = uniform(n, { site: 0, stream: "init" });
    assert.ok(u.every((each) => each >= 0 && each < 1));
    const [um, uv] = moments(u);
    assert.ok(Math.abs(um - 0.5) < 0.004 && Math.abs(uv - 1 / 12) < 0.002, `${um} ${uv}`);
    const z = normal(n, { site: 0, stream: "init" });
    const [zm, zv] = moments(z);
    assert.ok(Math.abs(zm) < 0.012 && Math.abs(zv - 1) < 0.02, `${zm} ${zv}`);
    assert.ok(Math.abs(z.filter((each) => Math.abs(each) < 1).length / n - 0.6827) < 0.006);
    assert.is(normal(3, { site: 0, stream: "init" }).length, 3);
  });

  test("manualSeed: the same tensors again, and others without it", () => {
    manualSeed(42);
    const [a, b, c] = [
      randn([5], { device: on }),
      randn([5], { device: on }),
      rand([5], { device: on }),
    ];
    manualSeed(42);
    assert.equal(randn([5], { device: on }).data(), a.data());
    assert.equal(randn([5], { device: on }).data(), b.data());
    assert.equal(rand([5], { device: on }).data(), c.data());
    assert.not.equal(a.data(), b.data());
    assert.throws(() => manualSeed(-1), /manualSeed: seed is -1/);
  });

  test("dropout: the share, the scale, and element i's own 16 bits", () => {
    manualSeed(5);
    const n = 65536;
    const y = dropout(ones([n], { device: on }), { p: 0.3 }).data();
    const threshold = Math.round(65536 * 0.3);
    const scale = Math.fround(65536 / (65536 - threshold));
    const dropped = y.filter((each) => each === 0).length;
    assert.ok(y.every((each) => each === 0 || each === scale));
    assert.ok(Math.abs(dropped / n - 0.3) < 0.01, `${dropped / n}`);
    const out = new Uint32Array(4);
    for (const i of [0, 1, 7, 8, 13, 4097]) {
      philox(Math.floor(i / 8), 0, 0, 2, 5, 0, out);
      const bits = (out[Math.floor((i % 8) / 2)] >>> (i % 2 ? 16 : 0)) & 0xffff;
      assert.is(y[i], bits < threshold ? 0 : scale, `element ${i}`);
    }
  });

  test("dropout: backward draws the same mask, later changes of the generator or not", () => {
    const x = ones([64], { device: on });
    x.requiresGrad = true;
    const y = dropout(x, { p: 0.5 });
    const mask = y.data();
    const other = dropout(x, { p: 0.5 });
    assert.not.equal(other.data(), mask);
    manualSeed(99);
    y.backward(ones([64], { device: on }));
    assert.equal(x.grad?.data(), mask);
  });

  test("dropout: nothing outside of training, everything at p = 1", () => {
    const x = ones([9], { device: on });
    assert.is(dropout(x, { training: false }), x);
    assert.is(dropout(x, { p: 0 }), x);
    assert.equal(dropout(x, { p: 1 }).toArray(), Array(9).fill(0));
    assert.throws(() => dropout(x, { p: -0.1 }), /dropout: p is -0.1, expected 0 to 1/);
  });

  test("multinomial: follows the weights, without replacement", () => {
    const probs = tensor([0, 3, 1, 0], { device: on });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 2000; i++) counts[multinomial(probs, 1).item()]++;
    assert.is(counts[0] + counts[3], 0);
    assert.ok(Math.abs(counts[1] / 2000 - 0.75) < 0.04, `${counts}`);
    assert.equal(
      multinomial(
        tensor(
          [
            [0, 1, 2],
            [5, 0, 0.1],
          ],
          { device: on },
        ),
        2,
      )
        .data()
        .toSorted(),
      Int32Array.of(0, 1, 2, 2),
    );
    assert.throws(() => multinomial(tensor([0, 0], { device: on }), 1), /all weights are 0/);
    assert.throws(() => multinomial(probs, 5), /multinomial: probs has shape \[4\]/);
  });
});
