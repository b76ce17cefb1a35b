import {
  elu,
  erf,
  gelu,
  leakyRelu,
  relu,
  relu2,
  sigmoid,
  silu,
  softcap,
  softplus,
  type Tensor,
  tanh,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice, type OpRow, testOp } from "../support/harness.js";
import { awayFromZero, elementwiseShapes } from "../support/op-shapes.js";

const rows: OpRow[] = [
  { name: "tanh", f: tanh, shapes: elementwiseShapes },
  { name: "relu", f: relu, shapes: elementwiseShapes, domain: awayFromZero },
  { name: "relu2", f: relu2, shapes: elementwiseShapes, domain: awayFromZero },
  { name: "sigmoid", f: sigmoid, shapes: elementwiseShapes },
  { name: "silu", f: silu, shapes: elementwiseShapes },
  { name: "gelu", f: (x) => gelu(x), shapes: elementwiseShapes, domain: (x) => 3 * x },
  {
    name: "gelu, tanh approximation",
    f: (x) => gelu(x, { approximate: "tanh" }),
    shapes: elementwiseShapes,
  },
  {
    name: "softcap",
    f: (x) => softcap(x, 1.5),
    spec: (x) => tanh(x.div(1.5)).mul(1.5),
    shapes: elementwiseShapes,
    domain: (x) => 2 * x,
  },
  { name: "softplus", f: (x) => softplus(x, { beta: 2 }), shapes: [[3, 17], []] },
  { name: "leakyRelu", f: (x) => leakyRelu(x, 0.2), shapes: [[3, 17]], domain: awayFromZero },
  { name: "elu", f: (x) => elu(x, 0.7), shapes: [[3, 17]], domain: awayFromZero },
  { name: "erf", f: erf, shapes: [[3, 17], [1]] },
];

eachDevice("activations", (test, on) => {
  for (const row of rows) testOp(test, on, row);

  test("known values", () => {
    const compute = (op: (x: Tensor) => Tensor, x: number) =>
      op(tensor([x], { device: on })).item();
    assertClose([compute((x) => gelu(x), 1)], [0.8413447460685429]);
    assertClose([compute((x) => gelu(x), -3)], [-0.00404969409489031], { rtol: 1e-5 });
    assertClose([compute((x) => gelu(x, { approximate: "tanh" }), 1)], [0.8411919906082768]);
    assertClose([compute(silu, 1)], [0.7310585786300049]);
    assertClose([compute(relu2, 3)], [9]);
    assertClose([compute((x) => softcap(x, 30), 30)], [30 * Math.tanh(1)]);
    for (const op of [relu, relu2]) assert.ok(Number.isNaN(compute(op, NaN)));
  });

  test("gelu is accurate to f64 on ts", () => {
    const x = tensor(Float64Array.of(-6, -2.5, -1.999, -0.3, 0.7, 2.8284, 3.5), { device: "ts" });
    // x Phi(x), from a 40-digit computation
    const expected = [
      -5.9195258702261885e-9, -0.015524163314440337, -0.04558554968838511, -0.1146265733433142,
      0.5306254434438489, 2.821784186586942, 3.4991857982233756,
    ];
    assertClose(gelu(x), expected, { rtol: 1e-12, atol: 0 });
  });

  test("the derivatives of relu and relu2 at 0 are 0, even times infinity", () => {
    for (const [op, expected] of [
      [relu, [0, 0, 1]],
      [relu2, [0, 0, 6]],
    ] as const) {
      const x = tensor([0, -2, 3], { device: on, requiresGrad: true });
      op(x).backward(tensor([Infinity, NaN, 1], { device: on }));
      assert.equal(x.grad?.toArray(), expected);
    }
  });

  test("invalid options are errors", () => {
    const x = zeros([2, 3], { device: on });
    assert.throws(() => gelu(x, { approximate: "erf" as "none" }), /gelu: approximate is erf/);
    assert.throws(
      () => gelu(x, { aproximate: "none" } as object),
      /gelu: unknown option aproximate/,
    );
    for (const cap of [0, -1, NaN, Infinity])
      assert.throws(() => softcap(x, cap), /softcap: cap is .*, expected a number above 0/);
  });
});
