// Compares the register-tiled matmul of the TypeScript backend with the triple loop, at sizes
// around the tile size.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { matmulReference } from "#src/backend/ts/matmul.js";
import { matmul } from "#src/backend/ts/tiled-matmul.js";
import { normal } from "#src/random.js";

const test = suite("tiled matmul");

const sizes = [1, 3, 4, 5, 9];
for (const accumulate of [false, true])
  for (const [transA, transB] of [
    [false, false],
    [false, true],
    [true, false],
    [true, true],
  ])
    test(`transA ${transA}, transB ${transB}, accumulate ${accumulate}`, () => {
      for (const M of sizes)
        for (const N of sizes)
          for (const K of [0, 1, 7])
            for (const bStep of [0, K * N]) {
              const values = (n: number, site: number) =>
                Float64Array.from(normal(n, { site, stream: "sample", seed: 1 }));
              const a = values(2 * M * K, 0);
              const b = values(2 * K * N, 1);
              const expected = values(2 * M * N, 2);
              const actual = expected.slice();
              const dims = [2, M, N, K, M * K, bStep] as const; // batch first
              matmulReference(a, b, expected, ...dims, transA, transB, accumulate);
              matmul(a, b, actual, ...dims, transA, transB, accumulate);
              assert.equal(actual, expected, `M ${M}, N ${N}, K ${K}, bStep ${bStep}`);
            }
    });

test("the triple loop: a worked example", () => {
  const c = Float32Array.of(1, 1, 1, 1);
  const a = Float32Array.of(1, 2, 3, 4);
  const b = Float32Array.of(5, 6, 7, 8);
  matmulReference(a, b, c, 1, 2, 2, 2, 0, 0, false, false, true);
  assert.equal([...c], [20, 23, 44, 51]);
  matmulReference(a, b, c, 1, 2, 2, 2, 0, 0, true, false, false);
  assert.equal([...c], [26, 30, 38, 44]);
});

test.run();
