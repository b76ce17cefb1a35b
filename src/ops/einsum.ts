// Products of vectors, matrices and tensors, all by matmul.

import { fail } from "../errors.ts";
import { checkShape, formatShape, numel } from "../shape.ts";
import { checkSameKind, checkTensor } from "../tensor/ndarray.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { mul } from "./elementwise.ts";
import { takeElements } from "./indexing.ts";
import { matmul } from "./matmul.ts";
import { permute, reshape } from "./movement.ts";
import { sum } from "./reductions.ts";

/**
 * c = a b for each of a batch of matrices. a [B, M, K], b [B, K, N], c [B, M, N]
 * @example
 * console.log(bmm(ones([2, 3, 4]), ones([2, 4, 5])).shape); // [ 2, 3, 5 ]
 */
export function bmm(a: Tensor, b: Tensor): Tensor {
  checkTensor("bmm", "a", a);
  checkSameKind("bmm", "b", b, a);
  const [B, , K] = a.shape;
  if (a.shape.length !== 3) fail(`bmm: a has shape ${formatShape(a.shape)}, expected [B, M, K]`);
  if (b.shape.length !== 3 || b.shape[0] !== B || b.shape[1] !== K)
    fail(`bmm: b has shape ${formatShape(b.shape)}, expected [${B}, ${K}, N]`);
  return matmul(a, b);
}

/**
 * y = the sum of a_i b_i. a, b [n], y []
 * @example
 * console.log(dot(tensor([1, 2]), tensor([3, 4])).item()); // 11
 */
export function dot(a: Tensor, b: Tensor): Tensor {
  checkTensor("dot", "a", a);
  checkTensor("dot", "b", b);
  if (a.shape.length !== 1) fail(`dot: a has shape ${formatShape(a.shape)}, expected [n]`);
  checkShape("dot", "b", b.shape, a.shape);
  return sum(mul(a, b));
}

/**
 * y[i, j] = a[i] b[j]. a [n], b [m], y [n, m]
 * @example
 * console.log(outer(tensor([1, 2]), tensor([3, 4])).toArray()); // [ [ 3, 4 ], [ 6, 8 ] ]
 */
export function outer(a: Tensor, b: Tensor): Tensor {
  for (const [name, x] of Object.entries({ a, b })) {
    checkTensor("outer", name, x);
    if (x.shape.length !== 1)
      fail(`outer: ${name} has shape ${formatShape(x.shape)}, expected [n]`);
  }
  return mul(reshape(a, [-1, 1]), b);
}

/** A tensor with a letter for each of its axes. */
interface Term {
  x: Tensor;
  letters: string[];
}

/**
 * Multiplies tensors whose axes are named by letters, and sums over the letters that the result
 * lacks: "bhid,bhjd->bhij". Without "->" the result has the letters that occur once, in alphabetic
 * order. "..." stands for further axes, which broadcast.
 * @example
 * const a = tensor([[1, 2], [3, 4]]);
 * console.log(einsum("ij,jk->ik", a, a).toArray()); // [ [ 7, 10 ], [ 15, 22 ] ]
 * console.log(einsum("ii", a).item()); // 5
 */
export function einsum(equation: string, ...operands: Tensor[] | [readonly Tensor[]]): Tensor {
  const tensors = operands.flat() as Tensor[];
  if (typeof equation !== "string")
    fail(`einsum: equation is ${typeof equation}, expected a string such as "ij,jk->ik"`);
  const [left, right, ...rest] = equation.replaceAll(" ", "").split("->");
  const inputs = left.split(",");
  if (rest.length > 0) fail(`einsum: equation is ${equation}, expected at most one ->`);
  if (inputs.length !== tensors.length)
    fail(`einsum: equation has ${inputs.length} operands, expected ${tensors.length}`);
  for (const [i, x] of tensors.entries()) {
    checkTensor("einsum", `operand ${i}`, x);
    checkSameKind("einsum", `operand ${i}`, x, tensors[0]);
  }
  const terms = tensors.map((x, i) => takeDiagonals({ x, letters: nameAxes(inputs[i], x, i) }));
  checkSizesOf(terms);
  const all = terms.flatMap(({ letters }) => letters);
  const result = right === undefined ? inferResult(inputs, terms) : parseResult(right, terms);
  for (const letter of result) {
    if (!all.includes(letter))
      fail(`einsum: the result has ${letter}, expected letters of operands`);
  }
  if (new Set(result).size < result.length)
    fail(`einsum: the result is ${right}, expected each letter once`);
  let [product, ...others] = terms;
  while (others.length > 0) {
    const [next, ...later] = others;
    const needed = [...result, ...later.flatMap(({ letters }) => letters)];
    product = contract(product, next, needed);
    others = later;
  }
  product = sumOut(product, result);
  return permute(
    product.x,
    result.map((letter) => product.letters.indexOf(letter)),
  );
}

/** The name of the i-th axis from the end that "..." stands for. */
const ellipsisAxis = (i: number) => `...${i}`;

/** Returns the letter of each axis of an operand. */
function nameAxes(text: string, x: Tensor, i: number): string[] {
  const [before, after, ...rest] = text.split("...");
  const named = `${before}${after ?? ""}`;
  if (rest.length > 0 || /[^A-Za-z]/.test(named))
    fail(`einsum: operand ${i} is "${text}", expected letters and at most one "..."`);
  const count = x.shape.length - named.length;
  if (count < 0 || (after === undefined && count > 0))
    fail(
      `einsum: operand ${i} has shape ${formatShape(x.shape)}, ` +
        `expected ${named.length} axes for "${text}"`,
    );
  const further = Array.from({ length: count }, (_, j) => ellipsisAxis(count - 1 - j));
  return [...before, ...further, ...(after ?? "")];
}

/** Replaces two axes of the same letter by their diagonal. */
function takeDiagonals({ x, letters }: Term): Term {
  const second = letters.findIndex((letter, i) => letters.indexOf(letter) < i);
  if (second < 0) return { x, letters };
  const first = letters.indexOf(letters[second]);
  const n = x.shape[first];
  if (x.shape[second] !== n)
    fail(`einsum: ${letters[second]} has sizes ${n} and ${x.shape[second]}, expected equal ones`);
  const others = letters.map((_, axis) => axis).filter((axis) => axis !== first && axis !== second);
  const moved = permute(x, [...others, first, second]);
  const shape = [...others.map((axis) => x.shape[axis]), n];
  const places = Int32Array.from(
    { length: numel(shape) },
    (_, i) => Math.floor(i / n) * n * n + (i % n) * (n + 1),
  );
  const names = [...others.map((axis) => letters[axis]), letters[first]];
  return takeDiagonals({ x: takeElements(moved, places, shape), letters: names });
}

/** Throws unless a letter has the same size in all operands; sizes of 1 broadcast. */
function checkSizesOf(terms: Term[]): void {
  const sizes = new Map<string, number>();
  for (const { x, letters } of terms) {
    for (const [axis, letter] of letters.entries()) {
      const n = x.shape[axis];
      const known = sizes.get(letter) ?? 1;
      if (known !== 1 && n !== 1 && known !== n)
        fail(`einsum: ${letter} has sizes ${known} and ${n}, expected equal ones`);
      sizes.set(letter, n === 1 ? known : n);
    }
  }
}

function inferResult(inputs: string[], terms: Term[]): string[] {
  const text = inputs.join("").replaceAll(".", "");
  const once = [...text].filter((letter) => text.indexOf(letter) === text.lastIndexOf(letter));
  return [...furtherAxes(terms), ...once.sort()];
}

function parseResult(text: string, terms: Term[]): string[] {
  const [before, after] = text.split("...");
  if (/[^A-Za-z]/.test(`${before}${after ?? ""}`) || text.split("...").length > 2)
    fail(`einsum: the result is "${text}", expected letters and at most one "..."`);
  return [...before, ...(after === undefined ? [] : furtherAxes(terms)), ...(after ?? "")];
}

/** Returns the names of all axes that "..." stands for. */
function furtherAxes(terms: Term[]): string[] {
  const counts = terms.map(({ letters }) => letters.filter((name) => name.length > 1).length);
  const count = Math.max(...counts);
  return Array.from({ length: count }, (_, i) => ellipsisAxis(count - 1 - i));
}

/** Sums over the axes whose letters are not needed. */
function sumOut({ x, letters }: Term, needed: readonly string[]): Term {
  const axes = letters.map((_, axis) => axis).filter((axis) => !needed.includes(letters[axis]));
  if (axes.length === 0) return { x, letters };
  return { x: sum(x, { dim: axes }), letters: letters.filter((name) => needed.includes(name)) };
}

/** Multiplies two terms, and sums over the letters that only they have. */
function contract(a: Term, b: Term, needed: readonly string[]): Term {
  const left = sumOut(dropOnes(a, b), [...needed, ...b.letters]);
  const right = sumOut(dropOnes(b, a), [...needed, ...left.letters]);
  const shared = left.letters.filter((name) => right.letters.includes(name));
  const batch = shared.filter((name) => needed.includes(name));
  const summed = shared.filter((name) => !needed.includes(name));
  const rows = left.letters.filter((name) => !shared.includes(name));
  const columns = right.letters.filter((name) => !shared.includes(name));
  const x = matmul(
    arrange(left, [batch, rows, summed]), //
    arrange(right, [batch, summed, columns]),
  );
  const sizes = [...batch, ...rows].map((name) => sizeOf(left, name));
  const shape = [...sizes, ...columns.map((name) => sizeOf(right, name))];
  return { x: reshape(x, shape), letters: [...batch, ...rows, ...columns] };
}

/** Removes axes of size 1 that the other term has with another size: they broadcast. */
function dropOnes({ x, letters }: Term, other: Term): Term {
  const isKept = letters.map(
    (name, axis) =>
      x.shape[axis] !== 1 || !other.letters.includes(name) || sizeOf(other, name) === 1,
  );
  if (isKept.every(Boolean)) return { x, letters };
  const shape = x.shape.filter((_, axis) => isKept[axis]);
  return { x: reshape(x, shape), letters: letters.filter((_, axis) => isKept[axis]) };
}

function sizeOf({ x, letters }: Term, name: string): number {
  return x.shape[letters.indexOf(name)];
}

/** Returns the tensor with its axes in the order of groups, each group merged into one axis. */
function arrange(term: Term, groups: readonly string[][]): Tensor {
  const order = groups.flat().map((name) => term.letters.indexOf(name));
  const sizes = groups.map((names) => numel(names.map((name) => sizeOf(term, name))));
  return reshape(permute(term.x, order), sizes);
}
