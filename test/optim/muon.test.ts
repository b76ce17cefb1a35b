// Muon: PyTorch's values, its parts, and what it does not accept.

import { readFileSync } from "node:fs";
import { optim, randn, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice } from "../support/harness.js";

interface Case {
  options: Partial<optim.MuonOptions>;
  w: number[][];
  gradients: number[][][];
  result: number[][];
  momentumBuffer: number[][];
}

const golden: { lr: number; cases: Case[] } = JSON.parse(
  readFileSync(new URL("../../test/golden/muon.json", import.meta.url), "utf8"),
);

eachDevice("muon", (test, on) => {
  const parameter = (values: number[][]) => tensor(values, { device: on, requiresGrad: true });
  const normal = (rows: number, columns: number) =>
    randn([rows, columns], { device: on, requiresGrad: true });

  for (const [
    i,
    { options, w: start, gradients, result, momentumBuffer },
  ] of golden.cases.entries())
    test(`case ${i}: [${start.length}, ${start[0].length}] ${JSON.stringify(options)}`, () => {
      const w = parameter(start);
      const optimizer = new optim.Muon([w], { lr: golden.lr, ...options });
      for (const gradient of gradients) {
        w.grad = null;
        w.grad = tensor(gradient, { device: on });
        optimizer.step();
      }
      assertClose(w, result.flat(), { rtol: 1e-5, atol: 2e-6 });
      assertClose(optimizer.stateDict()["0.momentumBuffer"], momentumBuffer.flat());
    });

  test("several matrices are updated as each of them alone", () => {
    const shapes = [
      [4, 6],
      [6, 4],
      [4, 6],
      [3, 3],
      [12, 4],
    ] as const;
    for (const adjustLrFn of ["original", "match_rms_adamw"] as const) {
      const options = { lr: 0.1, adjustLrFn };
      const together = shapes.map(([rows, columns]) => normal(rows, columns));
      const alone = together.map((w) => parameter(w.toArray() as number[][]));
      for (const [i, w] of together.entries()) {
        const gradient = randn(w.shape, { device: on });
        w.grad = gradient;
        alone[i].grad = gradient;
        new optim.Muon([alone[i]], options).step();
      }
      new optim.Muon(together, options).step();
      for (const [i, w] of together.entries()) assertClose(w, alone[i], { rtol: 1e-5, atol: 1e-6 });
    }
  });

  test("parts are matrices of their own", () => {
    const whole = normal(9, 4);
    const gradient = randn([9, 4], { device: on });
    const parts = [0, 3, 6].map((start) => {
      const w = parameter((whole.toArray() as number[][]).slice(start, start + 3));
      w.grad = gradient.slice({ dim: 0, start, end: start + 3 });
      return w;
    });
    whole.grad = gradient;
    const options = { lr: 0.1, adjustLrFn: "match_rms_adamw" } as const;
    new optim.Muon([{ params: [whole], parts: 3 }], options).step();
    new optim.Muon(parts, options).step();
    assertClose(
      whole,
      parts.flatMap((w) => [...w.data()]),
      { rtol: 1e-5, atol: 1e-6 },
    );
  });

  test("a gradient of 0 only decays the weights; without a gradient they are unchanged", () => {
    const decayed = parameter([
      [1, -2],
      [4, 8],
      [-16, 2],
    ]);
    const unchanged = parameter([[1, 2]]);
    decayed.grad = zeros([3, 2], { device: on });
    new optim.Muon([decayed, unchanged], { lr: 0.5, weightDecay: 0.5 }).step();
    assert.equal(decayed.toArray(), [
      [0.75, -1.5],
      [3, 6],
      [-12, 1.5],
    ]);
    assert.equal(unchanged.toArray(), [[1, 2]]);
  });

  test("the update has singular values near 1, however small or large the gradient", () => {
    for (const scale of [1e-12, 1, 1e12]) {
      const w = parameter([
        [0, 0, 0],
        [0, 0, 0],
      ]);
      // singular values 1 and 0.1; an eps of 0 also scales up a tiny one
      w.grad = tensor(
        [
          [scale, 0, 0],
          [0, scale / 10, 0],
        ],
        { device: on },
      );
      new optim.Muon([w], { lr: 1, weightDecay: 0, eps: 0 }).step();
      const [[x, , zero], [, y]] = w.toArray() as number[][];
      assert.ok(-x > 0.6 && -x < 1.3, `${scale}: ${x}`);
      assert.ok(-y > 0.6 && -y < 1.3, `${scale}: ${y}`);
      assert.is(Math.abs(zero), 0);
    }
  });

  test("nothing changes once foundInf is not 0", () => {
    const w = normal(3, 5);
    const before = w.data();
    const optimizer = new optim.Muon([w], { lr: 0.1 });
    optimizer.foundInf = tensor(1, { device: on });
    w.grad = tensor(new Array(3).fill(new Array(5).fill(Number.NaN)), { device: on });
    optimizer.step();
    assert.equal(w.data(), before);
    assertClose(optimizer.stateDict()["0.momentumBuffer"], new Array(15).fill(0), { atol: 0 });
    optimizer.foundInf = tensor(0, { device: on });
    w.grad = null;
    w.grad = randn([3, 5], { device: on });
    optimizer.step();
    assert.not.equal(w.data(), before);
  });

  test("a captured step equals the same steps one by one", () => {
    const make = () => {
      const list = [
        parameter([
          [1, 2, 3],
          [4, 5, 6],
        ]),
        parameter([
          [1, -2],
          [3, 5],
          [7, 1],
        ]),
      ];
      return { list, optimizer: new optim.Muon(list, { lr: 0.1 }) };
    };
    const captured = make();
    const eager = make();
    const stepOf = ({ list, optimizer }: ReturnType<typeof make>) => {
      for (const w of list) w.mul(w).sum().backward();
      optimizer.step();
      optimizer.zeroGrad();
    };
    const step = on.capture(() => stepOf(captured));
    for (let i = 0; i < 5; i++) {
      for (const { optimizer } of [captured, eager]) optimizer.lr = 0.1 / (i + 1);
      step();
      stepOf(eager);
    }
    for (const [i, w] of captured.list.entries()) assert.equal(w.data(), eager.list[i].data());
  });

  test("invalid parameters and options are errors", () => {
    const w = normal(4, 2);
    const make = (options: object) => () => new optim.Muon([w], options as never);
    const vector = tensor([1, 2], { device: on, requiresGrad: true });
    assert.throws(
      () => new optim.Muon([vector]),
      /Muon: a parameter has shape \[2\], expected a matrix/,
    );
    assert.throws(
      make({ parts: 3 }),
      /Muon: a parameter has 4 rows, expected a multiple of parts, 3/,
    );
    assert.throws(make({ parts: 0 }), /Muon: parts is 0, expected a whole number from 1 up/);
    assert.throws(
      make({ nsSteps: 100 }),
      /Muon: nsSteps is 100, expected a whole number below 100/,
    );
    assert.throws(make({ nsSteps: 1.5 }), /Muon: nsSteps is 1.5/);
    assert.throws(make({ nesterov: 1 }), /Muon: nesterov is 1, expected true or false/);
    assert.throws(
      make({ nsCoefficients: [1, 2] }),
      /Muon: nsCoefficients is 1,2, expected three numbers/,
    );
    assert.throws(
      make({ adjustLrFn: "adam" }),
      /adjustLrFn is adam, expected original or match_rms_adamw/,
    );
    assert.throws(make({ momentum: -1 }), /Muon: momentum is -1/);
    assert.throws(make({ ns_steps: 5 }), /Muon: unknown option ns_steps/);
  });
});
