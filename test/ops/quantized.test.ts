import {
  dequantize,
  embeddingQuantized,
  linear,
  linearQuantized,
  type QuantizedMatrix,
  quantizeMatrix,
  randn,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice } from "../support/harness.js";

/** Unpacks the integers of a quantized matrix. */
function unpack({ weight, columns, bits }: QuantizedMatrix): number[][] {
  const [rows, wordsPerRow] = weight.shape;
  const bytes = new DataView(Int32Array.from(weight.data()).buffer);
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: columns }, (_, k) => {
      const byte = bytes.getInt8(row * 4 * wordsPerRow + Math.floor((k * bits) / 8));
      if (bits === 8) return byte;
      const nibble = k % 2 === 0 ? byte & 15 : (byte >> 4) & 15;
      return nibble < 8 ? nibble : nibble - 16;
    }),
  );
}

/** Computes the values that a quantized matrix represents. */
function computeDequantized(q: QuantizedMatrix): number[] {
  const scale = q.scale.data();
  const groups = q.scale.shape[1];
  const getScale = (row: number, k: number) =>
    scale[row * groups + (q.bits === 8 ? 0 : Math.floor(k / 32))];
  return unpack(q).flatMap((row, r) => row.map((x, k) => Math.fround(x * getScale(r, k))));
}

const sizes = [1, 2, 3, 7, 8, 31, 32, 33, 64, 100, 385];

eachDevice("quantized", (test, on) => {
  test("8 bits: four values per word, the first in the low byte; rows start at a word", () => {
    const rows = [
      [127, -127, 1, 0, -1],
      [0, 0, 0, 0, 0],
      [-25.4, 12.6, 0.3, 0.1, -0.09], // in steps of 0.2: -127, 63, 1.5, 0.5, -0.45
    ];
    const q = quantizeMatrix(tensor(rows), { bits: 8 });
    const words = [0x0001817f, 0x000000ff, 0, 0, 0x01023f81, 0];
    assertClose(q.scale, [1, 0, 0.2]);
    assert.equal(q.weight.shape, [3, 2]);
    assert.equal(Array.from(q.weight.data()), words);
  });

  test("4 bits: eight values per word, a positive or negative scale per 32 columns", () => {
    const row = new Float32Array(35);
    row.set([7.5, -8.5, 1, -1, 0, 3.4, -3.4, 2, 5]); // in steps of 1, all 16 numbers are used
    row.set([4.25, -3, 0.2], 32); // in steps of -0.5: -8.5, 6, -0.4
    const q = quantizeMatrix(tensor(row, { shape: [1, 35] }), { bits: 4 });
    assertClose(q.scale, [1, -0.5]);
    assert.equal(q.scale.shape, [1, 2]);
    const words = [0x2d30f187, 0x00000005, 0, 0, 0x00000068];
    assert.equal(Array.from(q.weight.data()), words);
  });

  test("the rounding error is at most half a step", () => {
    for (const bits of [8, 4] as const)
      for (const columns of sizes) {
        const w = randn([5, columns], { device: on });
        const q = quantizeMatrix(w, { bits });
        const values = w.data();
        const dequantized = computeDequantized(q);
        const scale = q.scale.data();
        const groupSize = bits === 8 ? columns : 32;
        const groups = q.scale.shape[1];
        for (const [i, x] of values.entries()) {
          const step =
            scale[Math.floor(i / columns) * groups + Math.floor((i % columns) / groupSize)];
          const error = Math.abs(x - dequantized[i]);
          assert.ok(
            error <= Math.abs(step) * 0.500001,
            `${x} became ${dequantized[i]}, step ${step}`,
          );
        }
        for (let r = 0; bits === 8 && r < 5; r++) {
          const row = values.subarray(r * columns, (r + 1) * columns);
          assertClose([scale[r]], [Math.max(...row.map(Math.abs)) / 127]);
        }
      }
  });

  test("4 bits: the error is at least 10 % smaller than with scale max |w| / 7", () => {
    const w = randn([64, 256], { device: on });
    const values = w.data();
    const dequantized = computeDequantized(quantizeMatrix(w, { bits: 4 }));
    let squaredError = 0;
    let baseline = 0; // the squared error with integers from -7 to 7
    for (let first = 0; first < values.length; first += 32) {
      const group = Array.from(values.subarray(first, first + 32));
      const scale = Math.max(...group.map(Math.abs)) / 7;
      for (const [i, x] of group.entries()) {
        squaredError += (x - dequantized[first + i]) ** 2;
        baseline += (x - scale * Math.round(x / scale)) ** 2;
      }
    }
    assert.ok(Math.sqrt(squaredError / baseline) < 0.9, `${Math.sqrt(squaredError / baseline)}`);
  });

  for (const bits of [8, 4] as const) {
    test(`${bits} bits: dequantize() and embeddingQuantized() return the values`, () => {
      for (const columns of sizes) {
        const q = quantizeMatrix(randn([9, columns], { device: on }), { bits });
        const dequantized = computeDequantized(q);
        assert.equal(Array.from(dequantize(q).data()), dequantized);
        const idx = tensor(Int32Array.of(8, 0, 3, 3, 1, 8), { shape: [3, 2] });
        const y = embeddingQuantized(idx, q);
        assert.equal(y.shape, [3, 2, columns]);
        const rows = [8, 0, 3, 3, 1, 8].flatMap((r) =>
          dequantized.slice(r * columns, (r + 1) * columns),
        );
        assert.equal(Array.from(y.data()), rows);
      }
    });

    test(`${bits} bits: linearQuantized() equals linear() with the dequantized weight`, () => {
      const activations = ["none", "relu", "gelu", "gelu-tanh", "silu", "tanh", "relu2"] as const;
      for (const [i, K] of sizes.entries())
        for (const M of [1, 2, 3, 4, 5, 17]) {
          const N = sizes[(i + M) % 9];
          const q = quantizeMatrix(randn([N, K], { device: on }), { bits });
          const w = tensor(Float64Array.from(computeDequantized(q)), {
            shape: [N, K],
            device: "ts",
          });
          const x = randn([M, K], { device: on });
          const b = M % 2 ? null : randn([N], { device: on });
          const options = { activation: activations[(i + M) % 7] };
          const x64 = x.to("ts").to("f64");
          const b64 = b && b.to("ts").to("f64");
          const expected = linear(x64, w, b64, options);
          const y = linearQuantized(x, q, b, options);
          assert.equal(y.shape, [M, N]);
          const atol = 2e-6 * Math.sqrt(K) * 3;
          assertClose(y, expected.to("f32"), { rtol: 1e-5, atol, what: `${[M, N, K]}` });
        }
    });
  }

  test("the gradients of x and b equal those of linear()", () => {
    const q = quantizeMatrix(randn([7, 40], { device: on }), { bits: 4 });
    const w = tensor(Float32Array.from(computeDequantized(q)), { shape: [7, 40] });
    const x = randn([3, 40], { requiresGrad: true });
    const b = randn([7], { requiresGrad: true });
    const dy = randn([3, 7]);
    const computeGradients = (y: Tensor) => {
      y.backward(dy);
      const grads = [x.grad, b.grad].map((grad) => Array.from(grad?.data() ?? []));
      x.grad = null;
      b.grad = null;
      return grads;
    };
    const actual = computeGradients(linearQuantized(x, q, b, { activation: "gelu" }));
    const expected = computeGradients(linear(x, w, b, { activation: "gelu" }));
    assert.equal(
      actual.map((grad) => grad.length),
      [120, 7],
    );
    assert.equal(actual, expected);
  });

  test("invalid arguments are errors", () => {
    const q = quantizeMatrix(zeros([2, 40]), { bits: 4 });
    const idx = tensor([0, 2], { dtype: "i32" });
    const invalid: [() => unknown, RegExp][] = [
      [() => quantizeMatrix(zeros([2, 3]), { bits: 3 as 4 }), /bits is 3, expected 8 or 4/],
      [
        () => quantizeMatrix(zeros([3]), { bits: 8 }),
        /w has shape \[3\], expected \[rows, columns\]/,
      ],
      [() => quantizeMatrix(q.weight, { bits: 8 }), /w has dtype i32, expected floats/],
      [() => quantizeMatrix(tensor([[NaN]]), { bits: 8 }), /not finite/],
      [() => linearQuantized(zeros([2, 39]), q), /x has shape \[2, 39\], expected \[..., 40\]/],
      [() => linearQuantized(zeros([2, 40]), q, zeros([3])), /b has shape \[3\], expected \[2\]/],
      [
        () => linearQuantized(zeros([2, 40]), { ...q, scale: zeros([2, 1]) }),
        /scale has shape \[2, 1\], expected \[2, 2\]/,
      ],
      [
        () => linearQuantized(zeros([2, 40]), { ...q, bits: 8 }),
        /weight has shape \[2, 5\], expected \[2, 10\]/,
      ],
      [() => linearQuantized(zeros([2, 40]), { ...q, bits: 5 as 4 }), /bits is 5/],
      [
        () => linearQuantized(zeros([1, 40]), q, null, { activation: "sine" as "relu" }),
        /activation is sine/,
      ],
      [
        () => embeddingQuantized(idx, { ...q, weight: zeros([2, 5]) }),
        /weight has dtype f32, expected i32/,
      ],
      [() => embeddingQuantized(zeros([2]), q), /idx has dtype f32, expected i32/],
      [
        () => embeddingQuantized(idx, q).data(),
        /embeddingQuantized: idx\[1\] is 2, expected 0 to 1/,
      ],
    ];
    for (const [call, message] of invalid) assert.throws(call, message);
  });
});
