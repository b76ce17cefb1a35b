// Creates calls of every kernel from the declarations in native/kernels.def, which the addon
// exports as `signatures`: for tests that call all kernels, with sizes that the test chooses.

import type { CudaAddon } from "#src/backend/addon.js";
import { normal } from "#src/random.js";

/** A parameter of a kernel, as in IN(f32, x, rows * n) or SIZE(rows). */
export interface Parameter {
  readonly kind: string;
  readonly type: string;
  readonly name: string;
  readonly length: string;
}

export type Values = Record<string, number | boolean>;
export type NumericArray = Float32Array | Int32Array;
type ArrayConstructor = Float32ArrayConstructor | Int32ArrayConstructor;
/** Allocates an array with a type and a length. */
export type Allocate = (type: ArrayConstructor, length: number) => NumericArray;

const allocateArray: Allocate = (type, length) => new type(length);

/** The default sizes and numbers of a call: small and odd. */
// biome-ignore format: a few kernels a row
const defaults: Values = {
  n: 5, na: 5, nb: 1, nc: 5, batch: 2, M: 3, N: 5, K: 2, transA: false, transB: false,
  accumulate: true, activation: 2, outer: 2, inner: 3, rows: 3, p: 0.2, q: 3, start: 1, count: 2,
  V: 4, C: 3, heads: 2, Tq: 3, Tk: 4, D: 2, B: 2, T: 3, H: 2, capacity: 7, causal: true, site: 1,
  parts: 3, rotatedParts: 2, normalizedParts: 2, inverse: true, eps: 1e-5, exponent: 2.5, value: 1.5, stream: 1,
  halfD: 2,
  ignoreIndex: -100, momentum: 0.9, weightDecay: 0.1, beta1: 0.9, beta2: 0.99, l2: 0.01,
  maxNorm: 0.5, groups: 1, bits: 8, subtractMean: true,
};

/** Buffers whose values must be positive, to be valid or well conditioned. */
const positiveBuffers = new Set(["rstd", "lse", "count", "total", "v", "t", "lr"]);
const positiveInputs: Record<string, string> = { div: "b", log: "x", pow: "x", sqrt: "x" };

/** Parses the declaration of a kernel in kernels.def. */
export function parseSignature(signature: string): Parameter[] {
  const declarations = signature.matchAll(
    /\b((?:IN|OUT|SIZE|REAL|FLAG)\w*)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/g,
  );
  return [...declarations].map(([, kind, content]) => {
    const parts = content.split(",").map((part) => part.trim());
    const [type, name, length = ""] = parts.length > 1 ? parts : ["", ...parts];
    return { kind, type, name, length };
  });
}

/** Returns true for a list of buffers. */
export const isList = ({ kind }: Parameter) => /^(IN|INOUT|INOUT_SCALAR)_LIST$/.test(kind);
/** Returns true for buffers. bf16 copies are excluded: the cpu backend has none. */
export const isBuffer = ({ kind, type }: Parameter) => type !== "" && kind !== "OUT_LIST_OPT";

/**
 * Creates the arguments of a kernel: random buffers, default sizes and numbers except for
 * `overrides`, and lists of buffers with the lengths `lists`.
 */
export function createArguments(
  { signatures }: Pick<CudaAddon, "signatures">,
  kernel: string,
  overrides: Values = {},
  { lists = [5, 3], allocate = allocateArray } = {},
): unknown[] {
  const parameters = parseSignature(signatures[kernel]);
  const values: Values = { ...defaults, ...overrides };
  if (kernel === "transpose" && !("p" in overrides)) values.p = 3; // a size, not a probability
  values.aStep ??= (values.M as number) * (values.K as number);
  values.bStep ??= (values.K as number) * (values.N as number);
  return parameters.map((parameter, site) => {
    if (parameter.kind === "OUT_LIST_OPT") return [];
    if (!isBuffer(parameter)) return values[parameter.name];
    const create = (length: number, bufferSite: number) => {
      const x = allocate(parameter.type === "i32" ? Int32Array : Float32Array, length);
      return fillBuffer(kernel, parameter, x, values, bufferSite);
    };
    if (!isList(parameter)) return create(getLength(parameter, values), site);
    const isScalar = parameter.kind === "INOUT_SCALAR_LIST";
    return lists.map((length, i) => create(isScalar ? 1 : length, site + 20 * i));
  });
}

/** Evaluates the length of a buffer, an expression that is valid in C++ and in JavaScript. */
export function getLength({ length }: Parameter, values: Values): number {
  return new Function(...Object.keys(values), `return ${length}`)(...Object.values(values));
}

function fillBuffer(
  kernel: string,
  { name, type }: Parameter,
  x: NumericArray,
  values: Values,
  site: number,
) {
  const random = normal(x.length, { site, stream: "sample", seed: 3 });
  if (type !== "i32") {
    if (kernel !== "checkFinite" && name === "foundInf") return x.fill(0);
    const isPositive = positiveBuffers.has(name) || positiveInputs[kernel] === name;
    x.set(isPositive ? random.map((value) => Math.abs(value) + 0.5) : random);
    return x;
  }
  const bound = { cond: 2, idx: values.V, index: values.n, target: values.n }[name] as number;
  if (name === "rngState") x.set([7, 0, 3, 2]);
  else if (name === "counter") x.set([7, 0, 3, 2]);
  else if (name === "tokens") x.set(random.map((value) => Math.floor(Math.abs(value) * 1e4)));
  else if (name === "w")
    x.set(random.map((value) => value * 2 ** 31)); // packed values of 4 or 8 bits
  else if (name === "length") x.fill((values.capacity as number) - (values.T as number));
  else x.set(random.map((value) => Math.floor(Math.abs(value) * 1e4) % bound));
  return x;
}

/** Returns true if the argument may be null. */
export const isOptional = (kind: string) => /^(IN|OUT)_OPT$/.test(kind);

/** Sizes around every vector width and tile size. */
export const oddSizes = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65];

/** Samples odd sizes for all parameters of a kernel that are consistent with one another. */
export function sampleSizes(signature: string, seed: number): Values {
  const parameters = parseSignature(signature).filter(
    ({ kind }) => kind === "SIZE" || kind === "FLAG",
  );
  const random = normal(parameters.length, { site: seed, stream: "sample", seed: 1 });
  const sampled = parameters.map(({ name, kind }, i): [string, number | boolean] => {
    const k = Math.floor(Math.abs(random[i]) * 1e4);
    return [name, kind === "FLAG" ? k % 2 === 1 : oddSizes[k % oddSizes.length]];
  });
  const values = Object.fromEntries(sampled) as Record<string, number>;
  const { n, start, count, B, H, T, capacity } = values;
  if ("B" in values) {
    values.B = 1 + (B % 3);
    values.H = 1 + (H % 3);
  }
  if ("count" in values) values.n = start + count + n;
  if ("capacity" in values) values.capacity = T + capacity;
  if ("stream" in values) values.n = T + n;
  // a head of a single channel is normalized to +-1: in its gradient only rounding errors are left
  if ("normalizedParts" in values) values.D = Math.max(2, values.D);
  values.activation = seed % 5;
  if ("bits" in values) {
    values.bits = seed % 2 ? 4 : 8;
    values.groups = seed % 3 ? 1 : Math.ceil((values.K ?? values.C) / 32);
  }
  if ("aStep" in values) values.aStep = values.aStep > 8 ? values.M * values.K : 0;
  if ("bStep" in values) values.bStep = values.bStep > 8 ? values.K * values.N : 0;
  return values;
}

/** Sizes that use several threads, and for which matmul packs its operands. */
// biome-ignore format: a few kernels a row
export function* largeSizes(signature: string): Generator<Values> {
  const names = new Set(parseSignature(signature).map(({ name }) => name));
  const n = names.has("rows") ? 257 : names.has("outer") ? 61 : 40_001;
  const sizes = {
    n, na: n, nb: 7, nc: 3, batch: 1, M: 200, N: 330, K: 830, outer: 30, inner: 37, rows: 301,
    V: 50, C: 91, count: 40, start: 9, heads: 7, Tq: 67, Tk: 81, D: 33, B: 3, T: 45, H: 5,
    capacity: 99,
    activation: 2,
    ...(names.has("q") && names.has("inner") && { p: 31, q: 33 }),
    groups: 1, bits: 8,
  };
  const groups = Math.ceil((names.has("K") ? sizes.K : sizes.C) / 32);
  const others: Values[] = [
    { transA: true }, { transB: true }, { transA: true, transB: true }, { transB: true, M: 3 },
    ...[0, 1, 2, 3, 4].map((activation) => ({ M: 64, N: 128, K: 512, activation })), // for cuBLASLt
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
