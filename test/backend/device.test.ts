import {
  add,
  device,
  devices,
  GPT,
  generate,
  optim,
  setDefaultDevice,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice, hasMessage } from "../support/harness.js";

eachDevice("device", (test, on) => {
  test("ts is always available; other devices have a reason if they are not", () => {
    const ts = devices().find(({ name }) => name === "ts");
    assert.ok(ts?.available);
    for (const { available, reason } of devices()) assert.is(available, reason === "");
    assert.is(device("ts"), device("ts"));
    assert.is(device(on), on);
    assert.throws(
      () => device("gpu" as never),
      /device: name is gpu, expected auto, cuda, cpu, wasm, ts, cuda-emulator/,
    );
    for (const { name, reason } of devices().filter(({ available }) => !available))
      assert.throws(() => device(name), hasMessage(`device ${name} is not available: ${reason}`));
  });

  test("tensors are created on the default device", () => {
    setDefaultDevice(on);
    assert.is(zeros([1]).device, on);
  });

  test("kernel calls are counted, by name", () => {
    const count = () => (on.calls.ts.get("add") ?? 0) + (on.calls.native.get("add") ?? 0);
    const before = count();
    add(zeros([2], { device: on }), 1);
    assert.is(count(), before + 1);
  });

  test("with an addon, training and generation use no TypeScript kernel", async () => {
    on.calls.ts.clear();
    on.calls.native.clear();
    for (const activation of ["relu", "gelu", "gelu-tanh", "silu", "tanh"] as const) {
      const model = new GPT({
        vocabSize: 9,
        blockSize: 6,
        nLayer: 2,
        nHead: 2,
        nEmbd: 8,
        dropout: 0.2,
        embeddingDropout: true,
        activation,
      });
      const optimizer = new optim.AdamW(model.parameters());
      const x = tensor([[1, 2, 3]], { dtype: "i32" });
      (model.forward(x, x, { logits: false }).loss as Tensor).backward();
      optim.clipGradNorm(model.parameters(), 1);
      optimizer.step();
      optimizer.zeroGrad();
      for await (const id of generate(model, { prompt: [1], maxNewTokens: 8 })) assert.ok(id >= 0);
    }
    const used = on.addon ? on.calls.native : on.calls.ts;
    const unused = on.addon ? on.calls.ts : on.calls.native;
    assert.equal([...unused.keys()], []);
    for (const kernel of ["linear", "selfAttention", "cachedAttention", "adamw", "clip"])
      assert.ok((used.get(kernel) ?? 0) > 0, kernel);
  });

  test("with an addon, every kernel of the interface is native", () => {
    const info = devices().find(({ name }) => name === on.name);
    assert.is(info?.missing.length, on.addon ? 0 : Object.keys(on.kernels).length);
    assert.is(info?.native, on.addon ? Object.keys(on.kernels).length : 0);
  });

  test("capture() runs the step; transfers between host and device throw inside it", () => {
    const x = tensor([1, 2], { device: on });
    const run = on.capture((a: typeof x, b: typeof x) => add(a, b), [x, x]);
    assert.equal(run(x, tensor([10, 20], { device: on })).toArray(), [11, 22]);
    for (const read of [
      () => x.item(),
      () => x.data(),
      () => x.toArray(),
      () => tensor([1], { device: on }),
    ])
      assert.throws(
        () => on.capture(() => read())(),
        /inside a captured step|expected one element/,
      );
    assert.equal(x.toArray(), [1, 2]);
  });
});
