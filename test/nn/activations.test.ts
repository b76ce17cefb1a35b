import { nn, ones, randn, type Tensor, tensor, zeros } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("layers by PyTorch's names");

test("layers without parameters compute what the functions compute", () => {
  const x = randn([3, 4]);
  const layers: [{ forward(x: Tensor): Tensor }, Tensor][] = [
    [new nn.Identity(), x],
    [new nn.ReLU(), x.relu()],
    [new nn.LeakyReLU(0.2), x.leakyRelu(0.2)],
    [new nn.ELU(), x.elu()],
    [new nn.GELU(), x.gelu()],
    [new nn.SiLU(), x.silu()],
    [new nn.Tanh(), x.tanh()],
    [new nn.Sigmoid(), x.sigmoid()],
    [new nn.Softplus(), x.softplus()],
    [new nn.Softmax(0), x.softmax(0)],
  ];
  for (const [layer, y] of layers) assert.equal(layer.forward(x).data(), y.data());
  const model = new nn.Sequential(new nn.Flatten(), new nn.Linear(12, 5), new nn.ReLU());
  assert.equal(model.forward(randn([2, 3, 4])).shape, [2, 5]);
});

test("Parameter and ModuleList are found, saved and loaded", () => {
  class Net extends nn.Module {
    scale = new nn.Parameter(tensor([2]));
    frozen = new nn.Parameter(tensor([1]), { requiresGrad: false });
    layers = new nn.ModuleList([new nn.Linear(2, 3), new nn.Linear(3, 1)]);
  }
  const net = new Net();
  const names = [...net.namedParameters()].map(([name]) => name);
  assert.equal(names.slice(0, 3), ["scale", "frozen", "layers.0.weight"]);
  assert.is([...net.layers.parameters()].length, 4);
  assert.is(net.frozen.requiresGrad, false);
  net.scale.mul(3).sum().backward();
  assert.equal(net.scale.grad?.toArray(), [3]);
  const other = new Net();
  other.loadStateDict(net.stateDict());
  assert.equal(other.layers[0].weight.data(), net.layers[0].weight.data());
  assert.equal(
    net.layers.map((layer) => layer.weight.shape[0]),
    [3, 1],
  );
  assert.throws(() => net.layers.append({} as never), /ModuleList: element 2 is/);
});

test("init sets parameters in place", () => {
  const w = new nn.Linear(300, 200).weight;
  const std = () => w.std().item();
  const isNear = (actual: number, expected: number) =>
    assert.ok(Math.abs(actual - expected) < 0.02 * expected, `${actual}, expected ${expected}`);
  assert.is(nn.init.normal(w, 0, 0.02), w);
  assert.ok(w.requiresGrad && !w.node);
  isNear(std(), 0.02);
  nn.init.uniform(w, -1, 1);
  isNear(std(), 1 / Math.sqrt(3));
  nn.init.xavierUniform(w);
  isNear(std(), Math.sqrt(2 / 500));
  nn.init.xavierNormal(w, { gain: 2 });
  isNear(std(), 2 * Math.sqrt(2 / 500));
  nn.init.kaimingUniform(w, { nonlinearity: "relu" });
  isNear(std(), Math.sqrt(2 / 300));
  nn.init.kaimingNormal(w, { mode: "fanOut", nonlinearity: "linear" });
  isNear(std(), Math.sqrt(1 / 200));
  assert.equal(nn.init.constant(zeros([2]), 3).toArray(), [3, 3]);
  assert.equal(nn.init.zeros(ones([2])).toArray(), [0, 0]);
  assert.throws(() => nn.init.kaimingNormal(ones([2])), /kaimingNormal: x has shape \[2\]/);
});

test.run();
