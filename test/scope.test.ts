import { add, keep, ones, scope, type Tensor, tensor } from "tinybard";
import * as assert from "uvu/assert";
import { eachDevice } from "./support/harness.js";

eachDevice("scope", (test, on) => {
  const make = () => ones([4], { device: on });

  test("frees what is made in it, and says so to a late reader", () => {
    const before = on.pool.liveBytes;
    let lost: Tensor | undefined;
    scope(() => {
      lost = make();
    });
    assert.is(on.pool.liveBytes, before);
    assert.throws(() => lost?.data(), /freed at the end of its scope; return it or keep\(\) it/);
  });

  test("returned tensors live: alone, in arrays, objects, maps, sets", () => {
    const { a, b, c, d, e } = scope(() => ({
      a: make(),
      b: [make(), [make()]],
      c: new Map([["k", make()]]),
      d: new Set([make()]),
      e: { f: { g: make() } },
    }));
    for (const x of [a, b[0] as Tensor, c.get("k") as Tensor, ...d, e.f.g])
      assert.equal(x.toArray(), [1, 1, 1, 1]);
  });

  test("scopes nest: what the inner one returns belongs to the outer one", () => {
    let inner: Tensor | undefined;
    scope(() => {
      inner = scope(() => make());
      assert.equal(inner.toArray(), [1, 1, 1, 1]);
    });
    assert.throws(() => inner?.data(), /freed/);
  });

  test("a dictionary with a tensor called storage is a dictionary", () => {
    const dict = scope(() => ({ storage: make(), other: make() }));
    assert.equal(dict.other.toArray(), [1, 1, 1, 1]);
    assert.equal(dict.storage.toArray(), [1, 1, 1, 1]);
  });

  test("kept tensors live, and so do shared memories of returned ones", () => {
    let kept: Tensor | undefined;
    const view = scope(() => {
      kept = keep(make());
      return add(make(), 1).reshape([2, 2]);
    });
    assert.equal(kept?.toArray(), [1, 1, 1, 1]);
    assert.equal(view.toArray(), [
      [2, 2],
      [2, 2],
    ]);
  });

  test("an error frees everything too", () => {
    const before = on.pool.liveBytes;
    assert.throws(
      () =>
        scope(() => {
          make();
          throw new Error("oops");
        }),
      /oops/,
    );
    assert.is(on.pool.liveBytes, before);
    assert.ok(make().toArray(), "and the scope is left");
  });

  test("refuses a promise", () => {
    assert.throws(() => scope(async () => make()), /scope: fn returned a promise/);
    const thenable = scope(() => tensor([1], { device: on }));
    assert.is(thenable.item(), 1);
  });

  test("freed memory is filled with NaN in tests, and taken again", () => {
    const { buffer } = scope(() => ({ buffer: make().buffer }));
    assert.ok(Number.isNaN(on.memory.read(buffer)[0]), "poisoned");
    const again = make();
    assert.is(again.buffer, buffer);
  });
});
