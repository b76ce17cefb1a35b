import { add, device, devices, setDefaultDevice, tensor, zeros } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice } from "./support.js";

eachDevice("device", (test, on) => {
  test("ts is always there; what is missing says why", () => {
    const ts = devices().find(({ name }) => name === "ts");
    assert.ok(ts?.available);
    for (const { available, reason } of devices()) assert.is(available, reason === "");
    assert.is(device("ts"), device("ts"));
    assert.is(device(on), on);
    assert.throws(
      () => device("gpu" as never),
      /device: name is gpu, expected auto, cuda, cpu, ts, cuda-emulator/,
    );
    for (const { name, reason } of devices().filter((each) => !each.available))
      assert.throws(() => device(name), `device ${name} cannot be had: ${reason}`);
  });

  test("the default device is where tensors are made", () => {
    setDefaultDevice(on);
    assert.is(zeros([1]).device, on);
  });

  test("kernel calls are counted, by name", () => {
    const count = () => (on.calls.ts.get("add") ?? 0) + (on.calls.native.get("add") ?? 0);
    const before = count();
    add(zeros([2], { device: on }), 1);
    assert.is(count(), before + 1);
  });

  test("capture runs the step; inside, nothing passes between host and device", () => {
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
