import { GPT, keep, nn, ones, randn, type Tensor, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice } from "../support/harness.js";

eachDevice("module", (test, on) => {
  class Inner extends nn.Module {
    weight = tensor([1, 2], { device: on, requiresGrad: true });
  }
  class Outer extends nn.Module {
    first = new Inner();
    list = [new Inner(), { deep: new Inner() }];
    table = tensor([0, 1], { device: on }); // a buffer, not a parameter
    again = this.first;
    scale = keep(ones([1], { device: on, requiresGrad: true }));
    size = 3;
  }

  test("a residual stream drops elements of its branches, scaling the others", () => {
    const x = ones([400], { device: on });
    const branch = ones([400], { device: on });
    const sum = new nn.ResidualStream(x).add(branch, { dropout: 0.5 }).sum().data();
    assert.equal(new Set(sum), new Set([1, 3])); // 1 + 0 and 1 + 2
    const whole = new nn.ResidualStream(x).add(branch).sum().data();
    assert.equal(new Set(whole), new Set([2]));
  });

  test("LayerNorm has a bias and an epsilon of 1e-5 by default", () => {
    const layer = new nn.LayerNorm(3);
    assert.equal(layer.bias?.shape, [3]);
    assert.is(layer.eps, 1e-5);
    assert.is(new nn.LayerNorm(3, { bias: false }).bias, null);
  });

  test("parameters: in fields, arrays, objects and modules; shared parameters once", () => {
    const module = new Outer();
    const names = [...module.namedParameters()].map(([name]) => name);
    assert.equal(names, ["first.weight", "list.0.weight", "list.1.deep.weight", "scale"]);
    assert.is([...module.parameters()].length, 4);
    (module as unknown as { late: Inner }).late = new Inner();
    assert.is([...module.parameters()].length, 5);
  });

  test("a frozen parameter is still a parameter", () => {
    const layer = new nn.Linear(2, 3).to(on);
    layer.weight.requiresGrad = false;
    assert.equal(Object.keys(layer.stateDict()), ["weight", "bias"]);
  });

  test("stateDict and loadStateDict: same tensors, strict mode, shape checks", () => {
    const a = new nn.Linear(3, 2).to(on);
    const b = new nn.Linear(3, 2).to(on);
    const weight = b.weight;
    b.loadStateDict(a.stateDict());
    assert.is(b.weight, weight);
    assert.equal(b.weight.data(), a.weight.data());
    const { bias, ...rest } = a.stateDict();
    assert.throws(() => b.loadStateDict(rest), /loadStateDict: bias missing/);
    assert.throws(
      () => b.loadStateDict({ ...rest, bias, extra: bias }),
      /loadStateDict: extra unknown/,
    );
    a.loadStateDict({ ...a.stateDict(), bias }); // its own weight is one of the sources
    b.loadStateDict({ ...rest, extra: bias }, { strict: false });
    const wrongShape = { weight: zeros([2, 4], { device: on }), bias };
    const before = b.bias?.data();
    for (const strict of [true, false])
      assert.throws(
        () => b.loadStateDict(wrongShape, { strict }),
        /loadStateDict: weight has shape \[2, 4\], expected \[2, 3\]/,
      );
    assert.equal(b.bias?.data(), before);
    const freed = zeros([2], { device: on });
    freed.free("freed in this test");
    const weights = ones([2, 3], { device: on });
    assert.throws(() => b.loadStateDict({ weight: weights, bias: freed }), /bias was freed/);
    assert.equal(b.weight.data(), a.weight.data());
  });

  test("train() and eval() apply to all submodules", () => {
    const model = new nn.Sequential(new nn.Linear(2, 2), new nn.Sequential(new nn.Dropout(0.5))).to(
      on,
    );
    const x = ones([64, 2], { device: on });
    assert.ok(model.forward(x).data().includes(0));
    model.eval();
    assert.not(model.forward(x).data().includes(0));
    assert.not(
      (model.layers[1] as nn.Sequential).layers.some((layer) => (layer as nn.Module).training),
    );
    model.train();
    assert.ok((model.layers[1] as nn.Module).training);
  });

  test("Linear, LayerNorm and Embedding: values and initialization", () => {
    const x = randn([4, 6], { device: on });
    const linear = new nn.Linear(6, 3).to(on);
    assertClose(
      linear.forward(x),
      x.matmul(linear.weight.transpose(0, 1)).add(linear.bias as Tensor),
      { rtol: 1e-5, atol: 1e-6 },
    );
    const bound = 1 / Math.sqrt(6);
    assert.ok(linear.weight.data().every((w) => Math.abs(w) <= bound));
    assert.is(new nn.Linear(2, 2, { bias: false }).bias, null);
    const norm = new nn.LayerNorm(6).to(on);
    assertClose(norm.forward(x).mean({ dim: -1 }), zeros([4]), { atol: 1e-6 });
    const table = new nn.Embedding(5, 2).to(on);
    const idx = tensor([4, 0], { dtype: "i32", device: on });
    assert.equal(
      table.forward(idx).data(),
      Float32Array.of(...table.weight.data().slice(8), ...table.weight.data().slice(0, 2)),
    );
    assert.throws(
      () => new nn.Linear(2, 2, { biass: true } as never),
      /Linear: unknown option biass/,
    );
  });

  const testWithDoubles = on.memory.isHost ? test : test.skip;
  testWithDoubles("to(f64) drops the gradients; to() of the same device keeps them", () => {
    const layer = new nn.Linear(2, 1);
    const step = (x: Tensor) => layer.forward(x).sum().backward();
    step(ones([1, 2]));
    layer.to(on);
    assert.equal(layer.weight.grad?.toArray(), [[1, 1]]);
    layer.to("f64");
    assert.equal([layer.weight.grad, layer.weight.dtype], [null, "f64"]);
    step(ones([1, 2], { dtype: "f64" }));
    assert.instance(layer.weight.grad?.data(), Float64Array);
    assert.throws(() => layer.to("i32" as never), /to: target is i32/);
  });

  test("to() keeps the tensor objects, so existing optimizers stay valid", () => {
    const model = new GPT({ vocabSize: 3, blockSize: 2, nLayer: 1, nHead: 1, nEmbd: 2 });
    const before = [...model.parameters()];
    model.to(on);
    assert.equal(
      [...model.parameters()].map((w, i) => w === before[i]),
      before.map(() => true),
    );
  });
});
