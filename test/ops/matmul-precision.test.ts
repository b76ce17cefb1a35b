// Matmuls of precision "medium": against the reference in TypeScript, the error compared with that
// of rounding the operands alone, special values, threads and captured steps. On a processor that
// does not multiply bf16 they equal "highest"; test/backend/simd.test.ts runs this file again with
// bf16 in software.

import {
  attention,
  type Device,
  device,
  getFloat32MatmulPrecision,
  linear,
  linearCrossEntropy,
  type MatmulPrecision,
  manualSeed,
  matmul,
  mlp,
  randn,
  scope,
  selfAttention,
  setFloat32MatmulPrecision,
  type Tensor,
  tensor,
} from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { setThreads } from "#src/backend/devices.js";
import { roundToBf16 } from "#src/backend/ts/bf16.js";
import { eachDevice, hasMessage } from "../support/harness.js";

/** An op of f32 tensors, with the shapes of its inputs. */
interface Row {
  name: string;
  f: (...inputs: Tensor[]) => Tensor;
  shapes: number[][][];
  /** True if operands are rounded that differ between devices in the last bit. */
  hasInnerOperands?: boolean;
}

const targets = (rows: number, n: number, on: Device) =>
  tensor(
    Int32Array.from({ length: rows }, (_, i) => (7 * i) % n),
    { device: on },
  );

const rows: Row[] = [
  {
    name: "matmul",
    f: (a, b) => matmul(a, b),
    // around the tiles of all instruction sets, the blocks of k, and odd numbers of pairs
    // biome-ignore format: a group a line
    shapes: [
      [[5, 1], [1, 1]], [[6, 2], [2, 7]], [[7, 3], [3, 8]], [[13, 17], [17, 9]],
      [[14, 33], [33, 15]], [[15, 64], [64, 16]], [[29, 65], [65, 33]], [[113, 31], [31, 63]],
      [[9, 383], [383, 34]], [[9, 384], [384, 31]], [[12, 385], [385, 32]], [[8, 1537], [1537, 17]],
      [[70, 769], [769, 90]], [[3, 9, 21], [3, 21, 5]], [[2, 6, 5], [5, 40]],
    ],
  },
  {
    name: "matmul of transposed matrices",
    f: (a, b) => matmul(a.transpose(0, 1), b.transpose(0, 1)),
    shapes: [
      [
        [33, 17],
        [19, 33],
      ],
      [
        [385, 61],
        [18, 385],
      ],
    ],
  },
  {
    name: "linear",
    f: (x, w, b) => linear(x, w, b),
    // biome-ignore format: a group a line
    shapes: [
      [[5, 3], [2, 3], [2]], [[33, 64], [64, 64], [64]], [[50, 65], [130, 65], [130]],
      [[40, 401], [17, 401], [17]],
    ],
  },
  {
    name: "mlp",
    f: (x, w1, b1, w2, b2) => mlp(x, w1, b1, w2, b2, { activation: "gelu" }),
    shapes: [[[21, 16], [64, 16], [64], [16, 64], [16]]],
    hasInnerOperands: true,
  },
  {
    name: "attention",
    f: (q, k, v) => attention(q, k, v, { causal: true }),
    // biome-ignore format: a group a line
    shapes: [
      [[1, 2, 5, 3], [1, 2, 5, 3], [1, 2, 5, 3]], [[1, 1, 33, 16], [1, 1, 33, 16], [1, 1, 33, 16]],
      [[2, 1, 65, 17], [2, 1, 65, 17], [2, 1, 65, 17]], [[1, 1, 9, 8], [1, 1, 40, 8], [1, 1, 40, 8]],
    ],
    hasInnerOperands: true,
  },
  {
    name: "selfAttention",
    f: (qkv) => selfAttention(qkv, { nHead: 2, causal: true }),
    shapes: [[[2, 37, 60]], [[1, 64, 96]]],
    hasInnerOperands: true,
  },
  {
    name: "linearCrossEntropy",
    f: (x, w, b) => linearCrossEntropy(x, w, b, targets(x.shape[0], w.shape[0], x.device)),
    shapes: [[[40, 32], [65, 32], [65]]],
    hasInnerOperands: true,
  },
];

/** Returns the value and the gradients of an op, as numbers. */
function evaluate(
  on: Device,
  { f }: Row,
  inputs: ArrayLike<number>[],
  shapes: number[][],
  precision: MatmulPrecision,
  dy?: ArrayLike<number>,
): number[][] {
  return on.withMatmulPrecision(precision, () => {
    const tensors = inputs.map((x, i) =>
      tensor(x as Float32Array, { shape: shapes[i], device: on, requiresGrad: true }),
    );
    const y = f(...tensors);
    const Values = inputs[0] instanceof Float64Array ? Float64Array : Float32Array;
    const gradient = Array.from({ length: y.size }, (_, i) => dy?.[i] ?? Math.sin(i));
    y.backward(tensor(Values.from(gradient), { shape: y.shape, device: on }));
    return [y, ...tensors.map((x) => x.grad as Tensor)].map((x) => Array.from(x.data()));
  });
}

/** Returns random inputs of a row. */
function sample(shapes: number[][]): Float32Array[] {
  return shapes.map((shape) => Float32Array.from(randn(shape, { device: "ts" }).data()));
}

const norm = (x: number[]) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));
const difference = (x: number[], y: number[]) => norm(x.map((value, i) => value - y[i]));

/** Calls `test` with "medium" of the process, and sets "highest" afterwards. */
function withMedium(test: () => void): void {
  setFloat32MatmulPrecision("medium");
  try {
    test();
  } finally {
    setFloat32MatmulPrecision("highest");
  }
}

eachDevice("matmul precision", (test, on) => {
  const isFallback = on.precisionFallback !== "";
  const isBf16 = !isFallback && (on.name === "ts" || on.name === "cpu");

  for (const row of rows)
    for (const shapes of row.shapes) {
      const name = `${row.name} ${JSON.stringify(shapes)}`;

      if (isFallback)
        test(`${name}: medium has the bits of highest`, () => {
          const inputs = sample(shapes);
          assert.equal(
            evaluate(on, row, inputs, shapes, "medium"),
            evaluate(on, row, inputs, shapes, "highest"),
          );
        });

      if (isBf16 && on.name !== "ts")
        test(`${name}: medium matches the reference`, () => {
          const inputs = sample(shapes);
          const actual = evaluate(on, row, inputs, shapes, "medium");
          const expected = evaluate(device("ts"), row, inputs, shapes, "medium");
          // a difference in the last bit can round an inner operand to the next number in bf16
          const tolerance = row.hasInnerOperands ? 1e-3 : 2e-6;
          for (const [i, x] of actual.entries()) {
            const error = difference(x, expected[i]) / (norm(expected[i]) + 1e-30);
            assert.ok(error <= tolerance, `result ${i}: relative error ${error}`);
          }
        });

      test(`${name}: the error is at most 2 and 3 times that of rounding the operands`, () => {
        const inputs = sample(shapes);
        const size = row.f(
          ...inputs.map((x, i) => tensor(x, { shape: shapes[i], device: "ts" })),
        ).size;
        const dy = Float32Array.from({ length: size }, (_, i) => Math.sin(i));
        const actual = evaluate(on, row, inputs, shapes, "medium", dy);
        const toDoubles = (x: ArrayLike<number>) => Float64Array.from(x);
        const ts = device("ts");
        const doubles = inputs.map(toDoubles);
        const exact = evaluate(ts, row, doubles, shapes, "highest", toDoubles(dy));
        const isVector = (i: number) => shapes[i].length === 1; // a bias
        const roundedInputs = inputs.map((x, i) => toDoubles(isVector(i) ? x : roundToBf16(x)));
        // the gradient of a scalar is not an operand
        const roundedDy = toDoubles(size > 1 ? roundToBf16(dy) : dy);
        const rounded = evaluate(ts, row, roundedInputs, shapes, "highest", roundedDy);
        for (const [i, x] of actual.entries()) {
          const limit =
            (i === 0 ? 2 : 3) * difference(rounded[i], exact[i]) + 1e-6 * norm(exact[i]);
          const error = difference(x, exact[i]);
          assert.ok(error <= limit, `result ${i}: error ${error}, expected at most ${limit}`);
        }
      });
    }

  test("the precision of the process holds for all devices, also for new tensors", () => {
    assert.is(getFloat32MatmulPrecision(), "highest");
    assert.is(on.matmulPrecision, "highest");
    withMedium(() => {
      assert.is(getFloat32MatmulPrecision(), "medium");
      assert.is(on.matmulPrecision, "medium");
      const third = 1 / 3; // 0.333984375 in bf16
      const x = tensor(new Float32Array(64).fill(third), { shape: [8, 8], device: on });
      const expected = isBf16 ? 8 * 0.333984375 ** 2 : (8 * Math.fround(third)) / 3;
      assert.ok(Math.abs(matmul(x, x).data()[0] - expected) < 2e-3 * (isBf16 ? 1e-3 : 1));
    });
    assert.is(on.matmulPrecision, "highest");
  });

  test("up to 4 rows stay in f32", () => {
    for (const M of [1, 2, 3, 4]) {
      const shapes = [
        [M, 40],
        [40, 33],
      ];
      const row = { name: "matmul", f: (a: Tensor, b: Tensor) => matmul(a, b), shapes: [shapes] };
      const inputs = sample(shapes);
      const [medium] = evaluate(on, row, inputs, shapes, "medium");
      const [highest] = evaluate(on, row, inputs, shapes, "highest");
      if (isBf16 || isFallback) assert.equal(medium, highest, `${M} rows`);
    }
  });

  if (isBf16) {
    test("rounds to the nearest, ties to even; NaN stays NaN", () => {
      // biome-ignore format: in and out of each number
      const pairs = [
        [1 + 2 ** -8, 1], [1 + 3 * 2 ** -8, 1 + 2 ** -6], [1 + 2 ** -8 + 2 ** -20, 1 + 2 ** -7],
        [-1 - 2 ** -8, -1], [-0, -0], [Infinity, Infinity], [-Infinity, -Infinity], [NaN, NaN],
        [3.39e38, 3.3895313892515355e38], [3.4e38, Infinity], [2 ** -126, 2 ** -126],
      ];
      const values = Float32Array.from(pairs, ([x]) => x);
      const n = values.length;
      assert.equal(
        [...roundToBf16(values)].map(String),
        pairs.map(([, y]) => String(Math.fround(y))),
      );
      const diagonal = Float32Array.from({ length: n * n }, (_, i) => (i % (n + 1) ? 0 : 1));
      // x I: each x is multiplied by 1, and in other columns by 0
      for (const [row, x] of values.entries()) {
        const a = new Float32Array(n * n);
        a[row * n + row] = x;
        withMedium(() => {
          const y = matmul(
            tensor(a, { shape: [n, n], device: on }),
            tensor(diagonal, { shape: [n, n], device: on }),
          ).data();
          const expected = Math.fround(pairs[row][1]);
          const actual = y[row * n + row];
          const isSame = Object.is(actual, expected) || actual === expected;
          assert.ok(isSame, `${x}: ${actual}, expected ${expected}`);
          // other rows are 0
          const others = y.filter((_, i) => Math.floor(i / n) !== row);
          assert.ok(
            others.every((value) => value === 0),
            `${x}`,
          );
        });
      }
    });

    test("numbers below 2^-126 count as themselves or as 0", () => {
      const x = new Float32Array(64).fill(1e-39);
      const y = new Float32Array(64).fill(1);
      withMedium(() => {
        const [sum] = matmul(
          tensor(x, { shape: [8, 8], device: on }),
          tensor(y, { shape: [8, 8], device: on }),
        ).data();
        assert.ok(sum >= 0 && sum <= 8.1e-39, `${sum}`);
      });
    });

    test("a NaN in a later key or query changes no bit of what does not attend to it", () => {
      const shape = [1, 1, 38, 8];
      const run = (isHidden: boolean) => {
        manualSeed(4);
        const inputs = sample([shape, shape, shape]);
        if (isHidden) for (const x of inputs) x.fill(Number.NaN, 35 * 8);
        const tensors = inputs.map((x) => tensor(x, { shape, device: on, requiresGrad: true }));
        return on.withMatmulPrecision("medium", () => {
          const y = attention(tensors[0], tensors[1], tensors[2], { causal: true });
          return y.data().slice(0, 35 * 8);
        });
      };
      assert.equal(run(true), run(false));
    });

    test("a NaN in the gradient of an earlier query changes no bit of a later key's", () => {
      const shape = [1, 1, 37, 8];
      const run = (hasNaN: boolean) => {
        manualSeed(4);
        const inputs = sample([shape, shape, shape]);
        const tensors = inputs.map((x) => tensor(x, { shape, device: on, requiresGrad: true }));
        return on.withMatmulPrecision("medium", () => {
          const y = attention(tensors[0], tensors[1], tensors[2], { causal: true });
          const dy = Float32Array.from({ length: y.size }, (_, i) => Math.cos(i));
          if (hasNaN) dy.fill(Number.NaN, 4 * 8, 5 * 8); // query 4
          y.backward(tensor(dy, { shape, device: on }));
          return tensors.slice(1).map((x) => (x.grad as Tensor).data().slice(5 * 8));
        });
      };
      assert.equal(run(true), run(false));
    });
  }

  if (on.name === "cpu")
    test("the bits are the same with any number of threads", () => {
      for (const row of rows) {
        const shapes = row.shapes.at(-1) as number[][];
        const inputs = sample(shapes);
        const run = (count: number) => {
          const before = on.addon && "threads" in on.addon ? on.addon.threads() : 1;
          setThreads(count);
          const results = evaluate(on, row, inputs, shapes, "medium");
          setThreads(before);
          return results;
        };
        const expected = run(1);
        for (const count of [2, 3, 7]) assert.equal(run(count), expected, `${row.name} ${count}`);
      }
    });

  test("a captured step has the bits of its precision, and follows a change of it", () => {
    const x = randn([16, 24]);
    const w = randn([40, 24]);
    const step = on.capture((x: Tensor) => linear(x, w));
    const run = (precision: MatmulPrecision, f: (x: Tensor) => Tensor) =>
      on.withMatmulPrecision(precision, () => scope(() => f(x).data()));
    const expected = {
      highest: run("highest", (x) => linear(x, w)),
      medium: run("medium", (x) => linear(x, w)),
    };
    for (const precision of ["medium", "highest", "medium"] as const)
      for (let i = 0; i < 4; i++) assert.equal(run(precision, step), expected[precision]);
  });
});

const test = suite("setFloat32MatmulPrecision");

test("an unknown precision is an error that names the known ones", () => {
  assert.throws(
    () => setFloat32MatmulPrecision("high" as "medium"),
    hasMessage("setFloat32MatmulPrecision: precision is high, expected highest or medium"),
  );
  assert.is(getFloat32MatmulPrecision(), "highest");
});

test.run();
