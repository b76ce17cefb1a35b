// The engine: what backward() computes, what it frees and what it never frees, and what it refuses.

import {
  add,
  exp,
  keep,
  mul,
  noGrad,
  ones,
  randn,
  reshape,
  scope,
  sum,
  type Tensor,
  tensor,
  zeros,
} from "tinybard";
import * as assert from "uvu/assert";
import { record } from "#src/autograd.js";
import { assertClose, eachDevice } from "./support/harness.js";

eachDevice("tensor", (test, on) => {
  const leaf = (values: number[]) => tensor(values, { device: on, requiresGrad: true });
  const live = () => on.pool.liveBytes;

  test("b = a + a; c = b + b", () => {
    const a = leaf([3]);
    const b = add(a, a);
    const c = add(b, b);
    assert.is(c.item(), 12);
    c.backward();
    assert.is(a.grad?.item(), 4);
  });

  test("a chain of 100,000 ops", () => {
    const a = leaf([1]);
    let y: Tensor = a;
    for (let i = 0; i < 100_000; i++) y = add(y, a);
    y.backward();
    assert.is(a.grad?.item(), 100_001);
  });

  test("a diamond, and a tensor used by ops of different age", () => {
    const a = leaf([2]);
    const b = mul(a, a); // 4
    const c = exp(a);
    const d = mul(b, c); // a^2 e^a
    sum(add(d, b)).backward();
    assertClose(a.grad as Tensor, [(4 + 4) * Math.exp(2) + 4]);
  });

  test("an op waits for the gradients of all that used its result, in any order of operands", () => {
    const orders = [(b: Tensor, d: Tensor) => add(b, d), (b: Tensor, d: Tensor) => add(d, b)];
    for (const combine of orders) {
      const a = leaf([2]);
      const b = mul(a, a);
      const d = mul(exp(b), b); // newer than b, and as close to the root
      sum(combine(b, d)).backward();
      // d/db (b + b e^b) = 1 + (1 + b) e^b, times db/da = 2 a
      assertClose(a.grad as Tensor, [(1 + 5 * Math.exp(4)) * 4], { rtol: 1e-5 });
    }
  });

  test("backward(dy) of any shape; gradients add up over calls until they are set to null", () => {
    const a = leaf([1, 2]);
    mul(a, 3).backward(tensor([1, 10], { device: on }));
    assert.equal(a.grad?.toArray(), [3, 30]);
    mul(a, 2).backward(tensor([1, 1], { device: on }));
    assert.equal(a.grad?.toArray(), [5, 32]);
    a.grad = null;
    assert.equal([a.grad], [null]);
    mul(a, 7).backward(ones([2], { device: on }));
    assert.equal((a.grad as Tensor | null)?.toArray(), [7, 7]);
  });

  test("the .grad of a leaf stays at one address for life", () => {
    const a = leaf([1, 2]);
    sum(a).backward();
    const first = a.grad;
    a.grad = null;
    sum(mul(a, a)).backward();
    assert.is(a.grad, first);
    assert.equal(first?.toArray(), [2, 4]);
  });

  test("gradients are copied into .grad, never shared: add(a, b) gives both the same one", () => {
    const [a, b] = [leaf([1, 1]), leaf([1, 1])];
    sum(add(a, b)).backward();
    a.grad?.fill(9);
    assert.equal(b.grad?.toArray(), [1, 1]);
    const dy = ones([2], { device: on });
    const c = leaf([5, 6]);
    reshape(c, [2]).backward(dy);
    c.grad?.fill(3);
    assert.equal(dy.toArray(), [1, 1]);
  });

  test("a backward may return a tensor that belongs to somebody", () => {
    const [a, w] = [leaf([1, 2]), tensor([3, 4], { device: on })];
    const dot = record("dot", sum(mul(a.detach(), w)), [a], () => [w]);
    dot.backward();
    assert.equal(a.grad?.toArray(), [3, 4]);
    assert.equal(w.toArray(), [3, 4]);
  });

  test("a leaf is its own root", () => {
    const a = leaf([4]);
    reshape(a, []).backward();
    a.reshape([1]).backward();
    assert.equal(a.grad?.toArray(), [2]);
    const b = tensor(3, { device: on, requiresGrad: true });
    b.backward();
    assert.is(b.grad?.item(), 1);
  });

  test("noGrad records nothing; detach cuts the graph", () => {
    const a = leaf([2]);
    assert.not(noGrad(() => mul(a, a)).requiresGrad);
    assert.throws(
      () =>
        noGrad(() => {
          throw new Error("inside");
        }),
      /inside/,
    );
    assert.ok(mul(a, a).requiresGrad);
    mul(mul(a, a).detach(), a).backward();
    assert.is(a.grad?.item(), 4);
  });

  // ---- memory: the list of what backward() frees, what it never frees, what throws

  test("frees the values that ops made", () => {
    const b = mul(leaf([1, 2]), 2);
    sum(b).backward();
    assert.throws(
      () => b.data(),
      /mul \[2\] was freed by backward\(\); read it before, or keep\(\) it/,
    );
    assert.throws(() => add(b, 1), /freed by backward/);
  });

  test("frees what nodes saved, and the gradients on the way", () => {
    const [x, w, b] = [
      randn([8, 16], { device: on, requiresGrad: true }),
      leaf(Array(16).fill(1)),
      leaf(Array(16).fill(0)),
    ];
    const run = () => {
      const y = exp(x.layerNorm(w, b))
        .softmax()
        .mul(x)
        .add(x)
        .matmul(x.transpose(0, 1))
        .max({ dim: 1 });
      const loss = sum(mul(y, y));
      loss.backward();
      loss.free("at the end of the test");
    };
    run();
    const before = live();
    for (let i = 0; i < 5; i++) run();
    // the scalars made of numbers by the caller's own ops are all that is left to the collector
    assert.ok(live() - before <= 0, `${live() - before} bytes more`);
  });

  test("never frees the root", () => {
    const loss = sum(mul(leaf([1, 2]), 3));
    loss.backward();
    assert.is(loss.item(), 9);
  });

  test("never frees a leaf, with or without requiresGrad", () => {
    const [a, c] = [leaf([1, 2]), tensor([3, 4], { device: on })];
    sum(mul(a, c)).backward();
    assert.equal(
      [a.toArray(), c.toArray()],
      [
        [1, 2],
        [3, 4],
      ],
    );
  });

  test("never frees a kept tensor", () => {
    const b = keep(mul(leaf([1, 2]), 2));
    sum(b).backward();
    assert.equal(b.toArray(), [2, 4]);
  });

  test("never frees a leaf's .grad, nor one that was retained", () => {
    const a = leaf([1, 2]);
    const b = mul(a, 2).retainGrad();
    const c = mul(b, 5);
    sum(c).backward();
    assert.equal(b.grad?.toArray(), [5, 5]);
    assert.equal(a.grad?.toArray(), [10, 10]);
    assert.is(c.grad, null);
  });

  test("reshape and detach share memory, and the last owner returns it", () => {
    const a = leaf([1, 2]);
    const b = mul(a, 2);
    const c = reshape(b, [2, 1]);
    const d = b.detach();
    sum(c).backward();
    assert.throws(() => b.data(), /freed/);
    assert.throws(() => c.data(), /freed/);
    assert.equal(d.toArray(), [2, 4]);
  });

  test("throws: a second backward through freed nodes", () => {
    const loss = sum(mul(leaf([1]), 2));
    loss.backward();
    assert.throws(
      () => loss.backward(),
      /backward: the graph of sum was freed by an earlier backward\(\)/,
    );
    const h = keep(mul(leaf([1]), 2));
    sum(h).backward();
    assert.throws(() => sum(h).backward(), /the graph of mul was freed/);
  });

  test("throws: an input changed in place since it was recorded, and then changes nothing", () => {
    const [a, b] = [leaf([1, 2]), leaf([3, 4])];
    const loss = sum(add(mul(a, a), b));
    a.fill(5);
    assert.throws(() => loss.backward(), /backward: input 0 of mul was changed in place/);
    assert.is(b.grad, null);
  });

  test("throws: a result changed in place, which its derivative may read", () => {
    const y = exp(leaf([1]));
    y.fill(0);
    assert.throws(() => sum(y).backward(), /backward: the result of exp was changed in place/);
  });

  test("throws: an input that is gone, before anything has changed", () => {
    const a = leaf([1, 2]);
    const loss = scope(() => sum(exp(mul(a, a))));
    assert.throws(
      () => loss.backward(),
      /backward: input 0 of sum was freed at the end of its scope/,
    );
    assert.equal([a.grad], [null]);
  });

  test("throws: a .grad of another shape, device or dtype; noGrad of a promise", () => {
    const a = leaf([1, 2]);
    assert.throws(() => {
      a.grad = ones([3], { device: on });
    }, /grad: dx has shape \[3\], expected \[2\]/);
    assert.throws(() => a.addGrad(ones([2], { dtype: "i32", device: on })), /dx has dtype i32/);
    assert.throws(() => noGrad(async () => 1), /noGrad: fn returned a promise/);
  });

  test("throws: backward where it makes no sense", () => {
    assert.throws(
      () => leaf([1, 2]).mul(2).backward(),
      /backward: x has shape \[2\], expected one element/,
    );
    assert.throws(
      () =>
        leaf([1])
          .mul(2)
          .backward(zeros([2], { device: on })),
      /dy has shape \[2\], expected \[1\]/,
    );
    assert.throws(() => zeros([1], { device: on }).backward(), /does not require a gradient/);
    assert.throws(() => leaf([1, 2]).item(), /item: x has shape \[2\], expected one element/);
  });

  test("throws: a gradient of another shape than its input", () => {
    const a = leaf([1, 2]);
    const y = record("odd", sum(a.detach()), [a], (dy) => [dy]);
    assert.throws(() => y.backward(), /gradient of input 0 of odd has shape \[\], expected \[2\]/);
  });

  test("the caller's line is on top of the stack", () => {
    try {
      add(zeros([2], { device: on }), zeros([3], { device: on }));
      assert.unreachable();
    } catch (error) {
      assert.match((error as Error).stack?.split("\n")[1] ?? "", "autograd.test");
    }
  });

  test("inside scopes: gradients outlive them, all else goes back", () => {
    const a = leaf([1, 2, 3]);
    scope(() => sum(mul(a, a)).backward());
    const before = live();
    for (let i = 0; i < 3; i++)
      scope(() => {
        sum(exp(mul(a, a))).backward();
        a.grad = null;
      });
    assert.is(live(), before);
    assert.throws(() => a.reshape([4]), /reshape/);
  });
});
