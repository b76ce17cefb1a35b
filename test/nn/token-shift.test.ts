import { checkGradient, nn, randn, type Tensor, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { tokenShift, tokenShiftSpec } from "#src/ops/token-shift.js";
import { assertClose, eachDevice, testOp } from "../support/harness.js";

eachDevice("TokenShift", (test, on) => {
  const create = (weight: number[]) => {
    const layer = new nn.TokenShift(weight.length).to(on);
    layer.weight.assign(tensor(weight, { device: on }));
    return layer;
  };

  testOp(test, on, {
    name: "tokenShift",
    f: (x, w, previous) => tokenShift(x, w, previous),
    spec: tokenShiftSpec,
    shapes: [
      [[2, 5, 7], [7]],
      [[1, 1, 3], [3]],
      [[3, 40, 33], [33]],
      [[0, 4, 2], [2]],
      [[2, 0, 2], [2]],
      [[2, 3, 0], [0]],
      [[2, 5, 17], [17], [2, 1, 17]],
      [[2, 1, 4], [4], [2, 1, 4]],
      [[1, 300, 64], [64], [1, 1, 64]],
    ], // biome-ignore format: a case a row
  });

  test("y_t = x_t + w x_(t-1) per channel, from 0 before the first token", () => {
    const rows = [
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      [
        [7, 8],
        [9, 10],
        [11, 12],
      ],
    ];
    const x = tensor(rows, { device: on });
    assertClose(create([10, -1]).forward(x), [1, 2, 13, 2, 35, 2, 7, 8, 79, 2, 101, 2]);
    assert.equal(new nn.TokenShift(2).to(on).forward(x).toArray(), rows, "starts as the identity");
  });

  test("gradients of x and of the weight", () => {
    const layer = create([0.5, -2, 3]);
    const x = randn([2, 4, 3], { device: on });
    assert.ok(checkGradient((x) => layer.forward(x), [x]).ok);
    x.requiresGrad = true;
    layer.forward(x).sum().backward();
    // each token but the last of a sequence also counts, with the weight, for the next one
    const row = [1.5, -1, 4];
    assertClose(x.grad as Tensor, [row, row, row, [1, 1, 1], row, row, row, [1, 1, 1]].flat());
    const earlier = x.detach().slice({ dim: 1, end: -1 });
    assertClose(layer.weight.grad as Tensor, earlier.sum({ dim: [0, 1] }), {
      rtol: 1e-5,
      atol: 1e-6,
    });
  });

  test("in pieces of any size, the result is the same", () => {
    const layer = create([0.5, -2, 3]);
    const x = randn([2, 6, 3], { device: on });
    const whole = layer.forward(x);
    for (const sizes of [[6], [1, 1, 1, 1, 1, 1], [2, 1, 3]]) {
      const previous = zeros([2, 1, 3], { device: on });
      let start = 0;
      for (const size of sizes) {
        const end = start + size;
        const y = layer.forward(x.slice({ dim: 1, start, end }), previous);
        assert.equal(y.toArray(), whole.slice({ dim: 1, start, end }).toArray());
        start = end;
      }
    }
  });

  test("wrong arguments are errors", () => {
    assert.throws(() => new nn.TokenShift(-1), /TokenShift: size is -1, expected/);
    const layer = create([1, 2]);
    for (const shape of [
      [2, 2],
      [1, 2, 3],
    ])
      assert.throws(
        () => layer.forward(zeros(shape, { device: on })),
        /tokenShift: x has shape|tokenShift: w has shape/,
      );
    const x = zeros([3, 4, 2], { device: on });
    assert.throws(
      () => layer.forward(x, zeros([1, 1, 2], { device: on })),
      /tokenShift: previous has shape \[1, 1, 2\], expected \[3, 1, 2\]/,
    );
  });
});
