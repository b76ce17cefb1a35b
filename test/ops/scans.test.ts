import { cumsum, logsumexp, norm, prod, std, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, testOp } from "../support/harness.js";

eachDevice("scans", (test, on) => {
  const shapes = [
    [2, 3, 4],
    [1, 17, 2],
  ];
  for (const dim of [0, -2]) {
    testOp(test, on, { name: `cumsum, dim ${dim}`, f: (x) => cumsum(x, dim), shapes });
    testOp(test, on, { name: `logsumexp, dim ${dim}`, f: (x) => logsumexp(x, dim), shapes });
    testOp(test, on, { name: `prod, dim ${dim}`, f: (x) => prod(x, dim), shapes });
  }
  for (const p of [1, 2, 3.5, Infinity])
    testOp(test, on, { name: `norm ${p}`, f: (x) => norm(x, p, -2), shapes });
  testOp(test, on, { name: "std", f: (x) => std(x, -2, { unbiased: true }), shapes: [[2, 3, 4]] });
  testOp(test, on, { name: "prod of all", f: (x) => prod(x), shapes: [[], [3], [2, 5]] });

  test("invalid arguments are errors", () => {
    const x = zeros([2, 3], { device: on });
    assert.throws(() => cumsum(x, 2), /cumsum: dim is 2, expected -2 to 1/);
    assert.throws(() => norm(x, "fro" as never), /norm: p is fro, expected a number/);
    assert.throws(() => prod(x, { axis: 1 } as never), /prod: unknown option axis/);
    assert.throws(() => logsumexp(x, -3), /logsumexp: dim is -3, expected -2 to 1/);
  });
});
