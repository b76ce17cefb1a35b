import fc from "fast-check";
import { add, mul, ones, randn, sum, type Tensor, tensor, zeros } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { checkOptions } from "#src/errors.js";
import { broadcast, isSuffix, normalizeAxis, numel, sizesAround } from "#src/shape.js";
import { assertClose, hasMessage } from "./support/harness.js";

const test = suite("shape");

test("sizes, axes, and the view around an axis", () => {
  assert.is(numel([]), 1);
  assert.is(numel([2, 0, 3]), 0);
  assert.is(normalizeAxis("op", -1, 3), 2);
  assert.throws(() => normalizeAxis("op", 3, 3), hasMessage("op: dim is 3, expected -3 to 2"));
  assert.equal(sizesAround([2, 3, 4, 5], 1), { outer: 2, n: 3, inner: 20 });
});

test("broadcast, as NumPy", () => {
  assert.equal(broadcast("op", [4, 1], [6]), [4, 6]);
  assert.equal(broadcast("op", [], [2, 3]), [2, 3]);
  assert.equal(broadcast("op", [1, 5], [0, 1]), [0, 5]);
  assert.throws(
    () => broadcast("op", [2, 3], [4]),
    hasMessage("op: b has shape [4], expected one that broadcasts with [2, 3]"),
  );
});

test("isSuffix: whether repeating the elements is broadcasting", () => {
  assert.ok(
    isSuffix([3, 4], [2, 3, 4]) &&
      isSuffix([1, 4], [3, 4]) &&
      isSuffix([], [5]) &&
      isSuffix([1, 1], [5, 5]),
  );
  assert.not(isSuffix([3, 1], [3, 4]) || isSuffix([2, 1, 4], [2, 3, 4]) || isSuffix([3], [3, 4]));
});

test("an unknown option is an error that names the known ones", () => {
  assert.throws(
    () => checkOptions("op", { lr: 1, mom: 2 }, ["lr", "momentum"]),
    hasMessage("op: unknown option mom, expected lr, momentum"),
  );
  assert.throws(
    () => checkOptions("op", 3 as never, ["lr"]),
    hasMessage("op: options are 3, expected an object such as { lr: ... }"),
  );
});

// ---- laws of broadcasting, on random shapes

const size = fc.integer({ min: 1, max: 4 });
const pair = fc
  .array(fc.tuple(size, fc.constantFrom("both", "left", "right")), { maxLength: 4 })
  .chain((axes) =>
    fc.tuple(fc.nat(axes.length), fc.nat(axes.length)).map(([dropA, dropB]) => {
      const a = axes
        .map(([n, kind]) => (kind === "left" ? 1 : n))
        .slice(Math.min(dropA, axes.length));
      const b = axes
        .map(([n, kind]) => (kind === "right" ? 1 : n))
        .slice(Math.min(dropB, axes.length));
      return [a, b] as const;
    }),
  );
const counting = (shape: readonly number[]) =>
  tensor(
    Float32Array.from({ length: numel(shape) }, (_, i) => (i % 13) - 6),
    { shape, requiresGrad: true },
  );
/** The element of x that stands at a place of the broadcast result. */
const at = (x: Tensor, index: number[]) => {
  const own = index.slice(index.length - x.shape.length);
  return x.data()[own.reduce((flat, i, d) => flat * x.shape[d] + (x.shape[d] === 1 ? 0 : i), 0)];
};

test("law: an op on broadcast tensors is the op at each place", () => {
  fc.assert(
    fc.property(pair, ([a, b]) => {
      const [x, y] = [counting(a), counting(b)];
      const z = add(x, mul(y, 3));
      const values = z.data();
      for (let flat = 0; flat < values.length; flat++) {
        const index: number[] = [];
        for (
          let d = z.shape.length - 1, rest = flat;
          d >= 0;
          rest = Math.floor(rest / z.shape[d--])
        )
          index.unshift(rest % z.shape[d]);
        assert.is(values[flat], at(x, index) + 3 * at(y, index));
      }
    }),
  );
});

test("law: it commutes, and its gradient counts how often each element was used", () => {
  fc.assert(
    fc.property(pair, ([a, b]) => {
      const [x, y] = [counting(a), counting(b)];
      assert.equal(mul(x, y).data(), mul(y, x).data());
      const z = add(x, y);
      z.backward(ones(z.shape));
      const uses = z.size / x.size;
      assert.ok(x.grad?.data().every((each) => each === uses));
    }),
  );
});

test("law: the gradient of broadcasting is its transpose, <dy, expand(x)> = <sumTo(dy), x>", () => {
  fc.assert(
    fc.property(pair, ([a, b]) => {
      const x = counting(a);
      const y = add(x, zeros(b));
      const dy = randn(y.shape);
      const left = sum(mul(dy, y.detach())).item();
      y.backward(dy);
      assertClose([sum(mul(x.grad as Tensor, x.detach())).item()], [left], {
        rtol: 1e-4,
        atol: 1e-4,
      });
    }),
  );
});

test.run();
