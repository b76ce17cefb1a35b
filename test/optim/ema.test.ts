// The exponential moving average of weights, optimizers that are combined, and rates of groups.

import { nn, optim, randn, sum, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { assertClose, eachDevice } from "../support/harness.js";

eachDevice("ema", (test, on) => {
  const makeLayer = () => new nn.Linear(3, 2).to(on);

  test("the averages follow the weights, quickly at first", () => {
    for (const decay of [0, 0.3, 0.999]) {
      const layer = makeLayer();
      const ema = new optim.EMA(layer, { decay });
      let expected = [...layer.weight.data()];
      for (let t = 0; t < 5; t++) {
        layer.weight.assign(randn([2, 3], { device: on }));
        ema.update();
        const weight = 1 - Math.min(decay, (1 + t) / (10 + t));
        const target = layer.weight.data();
        expected = expected.map((average, i) => average + weight * (target[i] - average));
      }
      const state = ema.stateDict();
      assert.equal(Object.keys(state), ["averages.weight", "averages.bias", "t"]);
      assertClose(state["averages.weight"], expected, { rtol: 1e-5, atol: 1e-6 });
      assert.is(state.t.item(), 5);
      if (decay === 0) assert.equal(state["averages.weight"].data(), layer.weight.data());
    }
  });

  test("swap() exchanges weights and averages, twice restores them", () => {
    const layer = makeLayer();
    const ema = new optim.EMA(layer, { decay: 0.5 });
    const before = layer.weight.data();
    layer.weight.fill(7);
    ema.swap();
    assert.equal(layer.weight.data(), before);
    assert.ok(
      ema
        .stateDict()
        ["averages.weight"].data()
        .every((x) => x === 7),
    );
    ema.swap();
    assert.ok(layer.weight.data().every((x) => x === 7));
  });

  test("an update in a captured step equals one outside, for each t", () => {
    const make = () => {
      const layer = makeLayer();
      for (const w of layer.parameters()) w.fill(1);
      return { layer, ema: new optim.EMA(layer, { decay: 0.9 }) };
    };
    const captured = make();
    const eager = make();
    const update = on.capture(() => captured.ema.update());
    for (let i = 0; i < 6; i++) {
      for (const { layer } of [captured, eager]) layer.weight.fill(i);
      update();
      eager.ema.update();
    }
    const [a, b] = [captured, eager].map(({ ema }) => ema.stateDict());
    for (const name of Object.keys(a)) assert.equal(a[name].data(), b[name].data(), name);
  });

  test("stateDict() and loadStateDict() restore the state; frozen weights have no average", () => {
    const layer = makeLayer();
    layer.bias?.fill(1);
    (layer.bias as typeof layer.weight).requiresGrad = false;
    const first = new optim.EMA(layer, { decay: 0.5 });
    assert.equal(Object.keys(first.stateDict()), ["averages.weight", "t"]);
    layer.weight.fill(3);
    first.update();
    const second = new optim.EMA(layer, { decay: 0.5 });
    second.loadStateDict(first.stateDict());
    for (const ema of [first, second]) ema.update();
    const [a, b] = [first, second].map((ema) => ema.stateDict());
    assert.equal(b["averages.weight"].data(), a["averages.weight"].data());
    assert.throws(() => second.loadStateDict({}), /loadStateDict: averages.weight missing/);
  });

  test("the rate of a group is lr times its lrScale, also after lr was set", () => {
    const [a, b] = [1, 2].map(() => tensor([1, 2], { device: on, requiresGrad: true }));
    const groups = [{ params: [a] }, { params: [b], lrScale: 0.25 }];
    const optimizer = new optim.SGD(groups, { lr: 1 });
    sum(a.add(b)).backward();
    optimizer.step();
    assert.equal(
      [a.toArray(), b.toArray()],
      [
        [0, 1],
        [0.75, 1.75],
      ],
    );
    optimizer.lr = 2;
    assert.is(optimizer.lr, 2);
    optimizer.step();
    assert.equal(
      [a.toArray(), b.toArray()],
      [
        [-2, -1],
        [0.25, 1.25],
      ],
    );
    assert.throws(() => new optim.SGD([a], { lrScale: -1 }), /SGD: lrScale is -1/);
    assert.throws(() => new optim.AdamW([a], { lrScale: Infinity }), /lrScale is Infinity/);
  });

  test("SGD changes nothing once foundInf is not 0", () => {
    const w = tensor([1, 2], { device: on, requiresGrad: true });
    const optimizer = new optim.SGD([w], { lr: 1, momentum: 0.5 });
    optimizer.foundInf = tensor(1, { device: on });
    sum(w).backward();
    optimizer.step();
    assert.equal(w.toArray(), [1, 2]);
    assert.equal(optimizer.stateDict()["0.velocity"].toArray(), [0, 0]);
    optimizer.foundInf.fill(0);
    optimizer.step();
    assert.equal(w.toArray(), [0, 1]);
  });

  test("a combined optimizer takes the steps of its parts", () => {
    const make = () => {
      const layer = makeLayer();
      for (const w of layer.parameters()) w.fill(0.5);
      const { weight, bias } = layer;
      const muon = new optim.Muon([weight], { lr: 0.1 });
      const adamw = new optim.AdamW([bias as typeof weight], { lr: 0.1 });
      return { layer, muon, adamw };
    };
    const alone = make();
    const together = make();
    const combined = new optim.CombinedOptimizer({ muon: together.muon, adamw: together.adamw });
    const names = ["muon.0.momentumBuffer", "adamw.0.m", "adamw.0.v", "adamw.0.t"];
    assert.equal(Object.keys(combined.stateDict()), names);
    combined.lr = 0.25;
    assert.equal([combined.lr, together.muon.lr, together.adamw.lr], [0.25, 0.25, 0.25]);
    for (const optimizer of [alone.muon, alone.adamw]) optimizer.lr = 0.25;
    for (const { layer } of [alone, together]) {
      sum(layer.forward(tensor([[1, 2, 3]], { device: on }))).backward();
    }
    alone.muon.step();
    alone.adamw.step();
    combined.step();
    assert.equal(together.layer.weight.data(), alone.layer.weight.data());
    assert.equal(together.layer.bias?.data(), alone.layer.bias?.data());
    combined.zeroGrad();
    assert.is(together.layer.weight.grad, null);
    combined.foundInf = tensor(1, { device: on });
    assert.is(together.adamw.foundInf, combined.foundInf);
    const copy = make();
    const other = new optim.CombinedOptimizer({ muon: copy.muon, adamw: copy.adamw });
    other.loadStateDict(combined.stateDict());
    assert.is(other.stateDict()["adamw.0.t"].item(), 1);
    const { "adamw.0.t": _, ...incomplete } = combined.stateDict();
    assert.throws(() => other.loadStateDict(incomplete), /loadStateDict: adamw.0.t missing/);
    assert.throws(() => new optim.CombinedOptimizer({}), /optimizers are missing/);
    assert.throws(() => new optim.CombinedOptimizer({ a: 1 as never }), /a is number, expected/);
  });

  test("invalid arguments of EMA are errors", () => {
    const make = (model: unknown, options: unknown) => () =>
      new optim.EMA(model as never, options as never);
    assert.throws(make({}, { decay: 0.9 }), /EMA: model is object, expected a module/);
    assert.throws(
      make(makeLayer(), { decay: 1 }),
      /EMA: decay is 1, expected a number in \[0, 1\)/,
    );
    assert.throws(make(makeLayer(), {}), /EMA: decay is undefined/);
    assert.throws(make(makeLayer(), { dacay: 0.9 }), /EMA: unknown option dacay/);
    const frozen = makeLayer();
    nn.freeze([frozen]);
    assert.throws(make(frozen, { decay: 0.9 }), /EMA: model has no trainable weights/);
  });
});
