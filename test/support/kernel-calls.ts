// Calls of every kernel, made from the words of native/kernels.def, which the addon exports as
// `signatures`: for tests that want all kernels, at sizes of their own choice.

import type { CudaAddon } from "#src/backend/addon.js";
import { normal } from "#src/random.js";

/** An argument of a kernel: IN(f32, x, rows * n), SIZE(rows). */
export interface Parameter {
  readonly kind: string;
  readonly type: string;
  readonly name: string;
  readonly length: string;
}

export type Values = Record<string, number | boolean>;
export type NumericArray = Float32Array | Int32Array;
type NumbersOf = Float32ArrayConstructor | Int32ArrayConstructor;
/** New memory for an array of a type and length. */
export type Allocate = (type: NumbersOf, length: number) => NumericArray;

const plain: Allocate = (type, length) => new type(length);

/** What the sizes and numbers of a call are where nothing else is said: small and odd. */
// biome-ignore format: a few kernels a row
const usual: Values = {
  n: 5, na: 5, nb: 1, nc: 5, batch: 2, M: 3, N: 5, K: 2, transA: false, transB: false,
  accumulate: true, activation: 2, outer: 2, inner: 3, rows: 3, p: 0.2, q: 3, start: 1, count: 2,
  V: 4, C: 3, heads: 2, Tq: 3, Tk: 4, D: 2, B: 2, T: 3, H: 2, capacity: 7, causal: true, site: 1,
  parts: 3, half: 2, turned: 2, inverse: true, eps: 1e-5, exponent: 2.5, value: 1.5, stream: 1,
  ignoreIndex: -100, momentum: 0.9, weightDecay: 0.1, beta1: 0.9, beta2: 0.99, l2: 0.01,
  maxNorm: 0.5, groups: 1, bits: 8, subtractMean: true,
};

/** NumericArray that only make sense, or only are well conditioned, above 0. */
const positive = new Set(["rstd", "lse", "count", "total", "v", "t", "lr"]);
const positiveOf: Record<string, string> = { div: "b", log: "x", pow: "x", sqrt: "x" };

export function parseSignature(signature: string): Parameter[] {
  const words = signature.matchAll(
    /\b((?:IN|OUT|SIZE|REAL|FLAG)\w*)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/g,
  );
  return [...words].map(([, kind, inside]) => {
    const parts = inside.split(",").map((part) => part.trim());
    const [type, name, length = ""] = parts.length > 1 ? parts : ["", ...parts];
    return { kind, type, name, length };
  });
}

export const isList = ({ kind }: Parameter) => /^(IN|INOUT|INOUT_SCALAR)_LIST$/.test(kind);
/** Copies in bf16 are left out: cpu has none. */
export const isBuffer = ({ kind, type }: Parameter) => type !== "" && kind !== "OUT_LIST_OPT";

/** A kernel's arguments, random but for the sizes and numbers `given` and the lengths of `lists`. */
export function createArguments(
  { signatures }: Pick<CudaAddon, "signatures">,
  kernel: string,
  given: Values = {},
  { lists = [5, 3], room = plain } = {},
): unknown[] {
  const words = parseSignature(signatures[kernel]);
  const values: Values = { ...usual, ...given };
  if (kernel === "transpose" && !("p" in given)) values.p = 3; // a size there, elsewhere a share
  values.aStep ??= (values.M as number) * (values.K as number);
  values.bStep ??= (values.K as number) * (values.N as number);
  return words.map((word, site) => {
    if (word.kind === "OUT_LIST_OPT") return [];
    if (!isBuffer(word)) return values[word.name];
    const make = (n: number, at: number) => fill(kernel, word, room(typeOf(word), n), values, at);
    if (isList(word))
      return lists.map((n, i) => make(word.kind === "INOUT_SCALAR_LIST" ? 1 : n, site + 20 * i));
    return make(getLength(word, values), site);
  });
}

const typeOf = ({ type }: Parameter) => (type === "i32" ? Int32Array : Float32Array);

/** A length as kernels.def writes it, which JavaScript reads too. */
export function getLength({ length }: Parameter, values: Values): number {
  return new Function(...Object.keys(values), `return ${length}`)(...Object.values(values));
}

function fill(
  kernel: string,
  { name, type }: Parameter,
  x: NumericArray,
  values: Values,
  site: number,
) {
  const random = normal(x.length, { site, stream: "sample", seed: 3 });
  if (type !== "i32") {
    if (kernel === "adamw" && name === "foundInf") return x.fill(0);
    const isPositive = positive.has(name) || positiveOf[kernel] === name;
    x.set(isPositive ? random.map((each) => Math.abs(each) + 0.5) : random);
    return x;
  }
  const below = { cond: 2, idx: values.V, index: values.n, target: values.n }[name] as number;
  if (name === "rngState") x.set([7, 0, 3, 2]);
  else if (name === "counter") x.set([7, 0, 3, 2]);
  else if (name === "tokens") x.set(random.map((each) => Math.floor(Math.abs(each) * 1e4)));
  else if (name === "w")
    x.set(random.map((each) => each * 2 ** 31)); // numbers of 4 or 8 bits
  else if (name === "length") x.fill((values.capacity as number) - (values.T as number));
  else x.set(random.map((each) => Math.floor(Math.abs(each) * 1e4) % below));
  return x;
}

/** May the argument be null? */
export const isOptional = (kind: string) => /^(IN|OUT)_OPT$/.test(kind);

/** Sizes around every vector width and tile. */
export const oddSizes = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65];

/** Odd sizes drawn for all words of a kernel, such that they go together. */
export function sampleSizes(signature: string, seed: number): Values {
  const words = parseSignature(signature).filter(({ kind }) => kind === "SIZE" || kind === "FLAG");
  const rngState = normal(words.length, { site: seed, stream: "sample", seed: 1 });
  const drawn = words.map(({ name, kind }, i): [string, number | boolean] => {
    const at = Math.floor(Math.abs(rngState[i]) * 1e4);
    return [name, kind === "FLAG" ? at % 2 === 1 : oddSizes[at % oddSizes.length]];
  });
  const values = Object.fromEntries(drawn) as Record<string, number>;
  const { n, start, count, B, H, T, capacity } = values;
  if ("B" in values) Object.assign(values, { B: 1 + (B % 3), H: 1 + (H % 3) });
  if ("count" in values) values.n = start + count + n;
  if ("capacity" in values) values.capacity = T + capacity;
  if ("stream" in values) values.n = T + n;
  values.activation = seed % 4;
  if ("bits" in values) {
    values.bits = seed % 2 ? 4 : 8;
    values.groups = seed % 3 ? 1 : Math.ceil((values.K ?? values.C) / 32);
  }
  if ("aStep" in values) values.aStep = values.aStep > 8 ? values.M * values.K : 0;
  if ("bStep" in values) values.bStep = values.bStep > 8 ? values.K * values.N : 0;
  return values;
}

/** Sizes at which several threads work, and the matrix product packs its operands. */
// biome-ignore format: a few kernels a row
export function* largeSizes(signature: string): Generator<Values> {
  const names = new Set(parseSignature(signature).map(({ name }) => name));
  const n = names.has("rows") ? 257 : names.has("outer") ? 61 : 40_001;
  const sizes = {
    n, na: n, nb: 7, nc: 3, batch: 1, M: 200, N: 330, K: 830, outer: 30, inner: 37, rows: 301, V: 50,
    C: 91, count: 40, start: 9, heads: 7, Tq: 67, Tk: 81, D: 33, B: 3, T: 45, H: 5, capacity: 99,
    activation: 2,
    ...(names.has("q") && names.has("inner") && { p: 31, q: 33 }),
    groups: 1, bits: 8,
  };
  const groups = Math.ceil((names.has("K") ? sizes.K : sizes.C) / 32);
  const others: Values[] = [
    { transA: true }, { transB: true }, { transA: true, transB: true }, { transB: true, M: 3 },
    ...[0, 1, 2, 3].map((activation) => ({ M: 64, N: 128, K: 512, activation })), // for libraries
    { transA: true, M: 64, N: 128, K: 512 }, { transB: true, M: 64, N: 128, K: 512 },
    { rows: 64, n: 128, K: 512 }, { rows: 72, n: 1027, K: 56 },
    { batch: 3, K: 20 }, { causal: false }, { subtractMean: false }, { inner: 1 }, { outer: 1 },
    { bits: 4, groups }, { bits: 8, groups, M: 3 }, { bits: 4, groups, M: 1 },
    { inner: 1, outer: 1, n: 20_000 }, { inner: 1, outer: 1, p: 301, q: 203 },
  ];
  yield sizes;
  for (const other of others)
    if (Object.keys(other).every((name) => names.has(name))) yield { ...sizes, ...other };
}
