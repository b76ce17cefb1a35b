import { matmul, ones, randn, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

// sizes around the edges of every tile
const edges = [1, 3, 4, 5, 15, 16, 17, 33];

eachDevice("matmul", (test, on) => {
  const shapes = edges.flatMap((m, i) => {
    const k = edges[(i + 3) % edges.length];
    const n = edges[(i + 5) % edges.length];
    return [
      [
        [m, k],
        [k, n],
      ],
    ];
  });
  const batched = [
    [
      [2, 5, 7],
      [2, 7, 3],
    ],
    [
      [2, 5, 7],
      [7, 3],
    ],
    [
      [5, 7],
      [2, 7, 3],
    ],
    [
      [2, 1, 4, 8],
      [2, 3, 8, 5],
    ],
    [
      [3, 1, 2, 4],
      [2, 4, 3],
    ],
    [
      [1, 2, 3],
      [4, 3, 2],
    ],
    [
      [4, 2, 3],
      [1, 3, 2],
    ],
    [[2, 3, 4], [4]],
    [[4], [2, 4, 3]],
    [[4], [4]],
    [[3, 4], [4]],
    [
      [2, 0],
      [0, 3],
    ],
    [
      [0, 2],
      [2, 3],
    ],
  ];
  testOp(test, on, { name: "matmul", f: matmul, shapes: [...shapes, ...batched], atol: 1e-5 });
  test("matrices of small integers: exact values", () => {
    for (const m of edges) {
      const k = m + 1;
      const n = 2 * m + 1;
      const a = Float32Array.from({ length: m * k }, (_, i) => ((i * 7) % 11) - 5);
      const b = Float32Array.from({ length: k * n }, (_, i) => ((i * 5) % 13) - 6);
      const c = matmul(
        tensor(a, { shape: [m, k], device: on }),
        tensor(b, { shape: [k, n], device: on }),
      ).data();
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let l = 0; l < k; l++) sum += a[i * k + l] * b[l * n + j];
          assert.is(c[i * n + j], sum);
        }
      }
    }
  });

  test("the gradient of a weight shared by a batch is never allocated per batch item", () => {
    const B = 16;
    const M = 2;
    const K = 32;
    const N = 32;
    const x = randn([B, M, K], { device: on });
    const w = randn([K, N], { device: on, requiresGrad: true });
    const y = matmul(x, w);
    const before = on.pool.liveBytes;
    on.pool.peakBytes = before;
    y.backward(ones([B, M, N], { device: on }));
    assert.ok(
      on.pool.peakBytes - before < 4 * B * K * N,
      `${on.pool.peakBytes - before} bytes more`,
    );
    assertClose(
      w.grad as never,
      matmul(x.reshape([B * M, K]).transpose(0, 1), ones([B * M, N], { device: on })),
      { rtol: 1e-4 },
    );
  });

  test("no gradient is computed for an operand that does not require one", () => {
    const x = randn([4, 8], { device: on });
    const w = randn([8, 3], { device: on, requiresGrad: true });
    const countCalls = () =>
      (on.calls.ts.get("matmul") ?? 0) + (on.calls.native.get("matmul") ?? 0);
    const y = matmul(x, w);
    const before = countCalls();
    y.backward(ones([4, 3], { device: on }));
    assert.is(countCalls() - before, 1);
  });

  test("invalid operands are errors", () => {
    const a = zeros([2, 3], { device: on });
    assert.throws(
      () => matmul(a, zeros([2, 3], { device: on })),
      /matmul: b has shape \[2, 3\], expected \[\.\.\., 3, N\]/,
    );
    assert.throws(() => matmul(a, zeros([], { device: on })), /matmul: an operand is a scalar/);
    assert.throws(
      () => matmul(zeros([2, 1, 3], { device: on }), zeros([3, 3, 1], { device: on })),
      /broadcasts/,
    );
  });
});
