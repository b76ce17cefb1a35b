// Tests the addon with invalid arguments: for any arguments, a function returns a result or throws
// a JavaScript error, and writes only to its outputs. A crash ends the process of this file, which
// the test runner reports.

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { types } from "node:util";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CapturedGraph, CpuAddon } from "#src/backend/addon.js";
import { addonOf, fileOf } from "#src/backend/platform/node.js";
import { reference } from "#src/backend/ts/index.js";
import {
  type Allocate,
  createArguments,
  isBuffer,
  isList,
  type NumericArray,
  type Parameter,
  parseSignature,
} from "../support/kernel-calls.js";

const test = suite("addon");
const addon = addonOf("cpu");
const fuzzOptions = { seed: 1, numRuns: 3000 };

type Args = unknown[];
type Kernel = (...args: Args) => unknown;
/** A resizable buffer of ES2024, which the ES2023 type library does not declare. */
type Resizable = ArrayBuffer & { resize(bytes: number): void };
const resizable = (bytes: number, maxByteLength: number): Resizable =>
  Reflect.construct(ArrayBuffer, [bytes, { maxByteLength }]);

/** Detaches the memory of an array. */
function detach<T extends NumericArray>(x: T): T {
  structuredClone(x.buffer, { transfer: [x.buffer as ArrayBuffer] });
  return x;
}

/** Allocates arrays between guard bytes, and detects writes. */
class Fence {
  static readonly margin = 64; // bytes
  readonly #memory: { bytes: Uint8Array; before: Buffer }[] = [];

  readonly allocate: Allocate = (type, length) => {
    const buffer = new ArrayBuffer(4 * length + 2 * Fence.margin);
    const bytes = new Uint8Array(buffer).fill(0xa5);
    this.#memory.push({ bytes, before: Buffer.from(bytes) });
    return new type(buffer, Fence.margin, length);
  };

  /** Remembers the current content. */
  snapshot(): void {
    for (const block of this.#memory) block.before = Buffer.from(block.bytes);
  }

  /** True if nothing was written outside of the arrays. */
  get isIntact(): boolean {
    const guards = ({ bytes }: { bytes: Uint8Array }) => [
      ...bytes.subarray(0, Fence.margin),
      ...bytes.subarray(-Fence.margin),
    ];
    return this.#memory.every((block) => guards(block).every((byte) => byte === 0xa5));
  }

  /** True if nothing was written at all. Detached memory has no bytes to compare. */
  get isUntouched(): boolean {
    return this.#memory.every(({ bytes, before }) => !bytes.length || before.equals(bytes));
  }
}

// ---- invalid arguments

const fails = () => {
  throw new Error("a getter that throws");
};

/** Values that are invalid for nearly every argument. */
const junk: Record<string, () => unknown> = {
  "a string": () => "1",
  "an object": () => ({}),
  "a boxed number": () => Object(1),
  "an object that converts to a number": () => ({
    valueOf: () => 1,
    [Symbol.toPrimitive]: () => 1,
  }),
  "an object that throws": () => new Proxy({}, { get: fails, getPrototypeOf: fails }),
  "a symbol": () => Symbol("x"),
  "a function": () => fails,
  "a bigint": () => 1n,
  undefined: () => undefined,
  null: () => null,
  true: () => true,
  NaN: () => Number.NaN,
  Infinity: () => Number.POSITIVE_INFINITY,
  "-1": () => -1,
  "0.5": () => 0.5,
  "2^53": () => 2 ** 53,
  "2^63": () => 2 ** 63,
  "1e300": () => 1e300,
  "numbers in an array": () => [1, 2, 3, 4, 5],
  "an array with a hole": () => new Array(2),
  "an array that throws": () => Object.defineProperty([], 0, { get: fails }),
  "an array-like": () => ({ length: 2, 0: new Float32Array(5), 1: new Float32Array(3) }),
  "a buffer": () => new ArrayBuffer(400),
  "a view": () => new DataView(new ArrayBuffer(400)),
  "an array's prototype": () => Float32Array.prototype,
  "an object that inherits from an array": () => Object.create(new Float32Array(100)),
};

/** Returns true if the value is valid for a parameter of this kind. */
function isValid(kind: string, value: unknown): boolean {
  if (kind === "REAL") return typeof value === "number";
  if (kind === "FLAG") return typeof value === "boolean";
  if (kind === "INTEGER") return Number.isSafeInteger(value); // kernels check its range
  return kind.endsWith("_OPT") && value === null;
}

const getArrayType = (x: NumericArray) => x.constructor as Float32ArrayConstructor;

/** Arrays that resemble a valid one but are invalid. */
const invalidArrays: Record<string, (x: NumericArray) => unknown> = {
  detached: (x) => detach(x.slice()),
  "in resizable memory": (x) => new (getArrayType(x))(resizable(x.byteLength, 1000), 0, x.length),
  "that tracks the length of resizable memory": (x) =>
    new (getArrayType(x))(resizable(x.byteLength, 1000)),
  "outside of memory that has shrunk": (x) => {
    const memory = resizable(x.byteLength, 1000);
    const view = new (getArrayType(x))(memory, 0, x.length);
    memory.resize(x.byteLength - 1);
    return view;
  },
  "in shared memory": (x) => new (getArrayType(x))(new SharedArrayBuffer(x.byteLength)),
  "in shared memory that grows": (x) => {
    const memory = Reflect.construct(SharedArrayBuffer, [x.byteLength, { maxByteLength: 1000 }]);
    return new (getArrayType(x))(memory);
  },
  "a proxy": (x) => new Proxy(x, {}),
  "of bytes": (x) => new Uint8Array(4 * x.length),
  "of clamped bytes": (x) => new Uint8ClampedArray(4 * x.length),
  "of unsigned integers": (x) => new Uint32Array(x.length),
  "of bigints": (x) => new BigInt64Array(x.length),
};

function define(cpu: CpuAddon): void {
  const kernels = cpu.kernels as unknown as Record<string, Kernel>;
  const names = Object.keys(kernels);
  const { gc } = globalThis;

  /** Creates arguments in memory between guard bytes. */
  const createFenced = (name: string, sizes: Record<string, number> = {}) => {
    const fence = new Fence();
    const args = createArguments(cpu, name, sizes, { allocate: fence.allocate });
    fence.snapshot();
    return { args, fence };
  };

  /** Calls a kernel, which must throw an Error and write nothing. */
  const expectError = (name: string, args: Args, fence: Fence, what: string) => {
    const call = `${name}(${what})`;
    let thrown: unknown = "nothing";
    try {
      kernels[name](...args);
    } catch (error) {
      thrown = error;
    }
    assert.ok(thrown instanceof Error, `${call} threw ${String(thrown)}`);
    assert.ok(fence.isUntouched, call);
  };

  /** Makes one invalid call for each kernel, each argument and each value that `spoil` returns. */
  const forEachArgument = (spoil: (parameter: Parameter, valid: unknown) => Args) => {
    for (const name of names)
      for (const [i, parameter] of parseSignature(cpu.signatures[name]).entries()) {
        const count = spoil(parameter, createFenced(name).args[i]).length;
        for (let j = 0; j < count; j++) {
          const { args, fence } = createFenced(name);
          args[i] = spoil(parameter, args[i])[j];
          expectError(name, args, fence, `${parameter.name}: invalid value ${j}`);
        }
      }
  };

  for (const name of names) {
    test(`${name}: a valid call writes its outputs and nothing else`, () => {
      const { args, fence } = createFenced(name);
      // checkFinite writes its output only if the value is not finite
      if (name === "checkFinite") (args[0] as Float32Array)[0] = Infinity;
      const before = structuredClone(args);
      assert.is(kernels[name](...args), true);
      assert.ok(fence.isIntact);
      for (const [i, { kind }] of parseSignature(cpu.signatures[name]).entries()) {
        // allReduce changes nothing in a single process
        const isOutput = /OUT/.test(kind) && kind !== "OUT_LIST_OPT" && name !== "allReduce";
        if (isOutput) assert.not.equal(args[i], before[i], `argument ${i}`);
        else assert.equal(args[i], before[i], `argument ${i}`);
      }
    });
  }

  test("kernels have the parameters of their TypeScript versions, in the same order", () => {
    for (const [name, kernel] of Object.entries(reference)) {
      const [, parameters = ""] = /\(([^)]*)\)/.exec(kernel.toString()) ?? [];
      assert.equal(
        parameters.split(/[,\s]+/).filter(Boolean),
        parseSignature(cpu.signatures[name]).map((parameter) => parameter.name),
        name,
      );
    }
  });

  test("a wrong number of arguments is an error", () => {
    for (const name of names) {
      const { args, fence } = createFenced(name);
      for (const list of [[], args.slice(1), args.slice(0, -1), [...args, 1], args.concat(args)])
        expectError(name, list, fence, `${list.length} arguments`);
    }
  });

  test("a junk value for any argument is an error", () => {
    for (const [what, make] of Object.entries(junk)) {
      for (const name of names)
        for (const [i, parameter] of parseSignature(cpu.signatures[name]).entries()) {
          const { args, fence } = createFenced(name);
          if (isValid(parameter.kind, make())) continue;
          args[i] = make();
          expectError(name, args, fence, `${parameter.name}: ${what}`);
        }
    }
  });

  test("an invalid array is an error, by itself and in a list", () => {
    for (const make of Object.values(invalidArrays))
      forEachArgument((parameter, valid) => {
        if (!isBuffer(parameter)) return [];
        if (!isList(parameter)) return [make(valid as NumericArray)];
        const [first, second] = valid as NumericArray[];
        return [
          [make(first), second],
          [first, make(second)],
        ];
      });
  });

  test("an array that is too short is an error, by itself and in one of several lists", () => {
    const shorten = (x: NumericArray) => x.subarray(1);
    forEachArgument((parameter, valid) => {
      if (!isBuffer(parameter) || (isList(parameter) && parameter.name === "x")) return [];
      return [
        isList(parameter) ? (valid as NumericArray[]).map(shorten) : shorten(valid as NumericArray),
      ];
    });
  });

  test("swapping integers and floats is an error unless the kernel takes both", () => {
    const swapType = (x: NumericArray) =>
      x instanceof Int32Array ? new Float32Array(x.length) : new Int32Array(x.length);
    forEachArgument((parameter, valid) => {
      if (!isBuffer(parameter) || parameter.type === "any") return [];
      return [
        isList(parameter)
          ? (valid as NumericArray[]).map(swapType)
          : swapType(valid as NumericArray),
      ];
    });
  });

  test("a Float64Array returns false and writes nothing; for integers it is an error", () => {
    const toDoubles = (x: NumericArray) => new Float64Array(x.length);
    for (const name of names)
      for (const [i, parameter] of parseSignature(cpu.signatures[name]).entries()) {
        if (!isBuffer(parameter)) continue;
        const { args, fence } = createFenced(name);
        args[i] = isList(parameter)
          ? (args[i] as NumericArray[]).map(toDoubles)
          : toDoubles(args[i] as NumericArray);
        if (parameter.type === "i32") expectError(name, args, fence, `${parameter.name}: doubles`);
        else assert.is(kernels[name](...args), false, `${name}: ${parameter.name}`);
        assert.ok(fence.isUntouched, name);
      }
  });

  test("an argument that overlaps an output is an error", () => {
    for (const name of names) {
      const parameters = [...parseSignature(cpu.signatures[name]).entries()];
      const buffers = parameters.filter(([, parameter]) => isBuffer(parameter));
      for (const [i, a] of buffers)
        for (const [j, b] of buffers) {
          const isWritten = [a, b].some(({ kind }) => /OUT/.test(kind));
          if (i === j || !isWritten) continue;
          const { args, fence } = createFenced(name, { n: 6, na: 6, nb: 6, nc: 6 });
          const getFirst = (arg: unknown) => (Array.isArray(arg) ? arg[0] : arg) as NumericArray;
          const x = getFirst(args[i]);
          const y = getFirst(args[j]);
          if (y.length > x.length) continue;
          const same = new (getArrayType(y))(x.buffer as ArrayBuffer, x.byteOffset, y.length);
          args[j] = isList(b) ? [same, (args[j] as NumericArray[])[1]] : same;
          expectError(name, args, fence, `${b.name} in ${a.name}`);
        }
    }
  });

  test("lists with wrong lengths, detaching getters or too many entries are errors", () => {
    for (const [name, indices] of Object.entries({
      sgd: [0, 1, 2],
      adamw: [0, 1, 2, 3, 5],
      lerp: [0, 1],
    }))
      for (const index of indices) {
        const spoil = (change: (list: NumericArray[], args: Args, fence: Fence) => unknown) => {
          const { args, fence } = createFenced(name);
          args[index] = change(args[index] as NumericArray[], args, fence);
          expectError(name, args, fence, `list ${index}`);
        };
        spoil((list) => list.slice(1));
        spoil((list) => [...list, new Float32Array(1)]);
        spoil(([a, b]) => [b, a].map((x) => (x.length === 1 ? new Float32Array(2) : x)));
        spoil(() => new Array(2 ** 32 - 1));
        spoil((list, args) => {
          const victim = (args[(index + 1) % 3] as NumericArray[])[1];
          return Object.defineProperty([...list], 1, { get: () => detach(victim) && list[1] });
        });
      }
  });

  test("a buffer that overrides its `resizable` property is accepted or an error", () => {
    const createBuffer = (get: () => unknown) => {
      const memory = resizable(20, 1000);
      Object.defineProperty(memory, "resizable", { get });
      return { memory, x: new Float32Array(memory) };
    };
    const { memory, x } = createBuffer(() => false);
    const y = new Float32Array(5);
    kernels.exp(x, y, 5);
    assert.equal(y, new Float32Array(5).fill(1));
    cpu.beginCapture();
    kernels.exp(x, y, 5);
    const graph = cpu.endCapture() as CapturedGraph;
    memory.resize(4);
    assert.throws(() => cpu.replay(graph), /detached/);
    assert.throws(() => kernels.exp(createBuffer(fails).x, y, 5), /a getter that throws/);
    const detaching = createBuffer(() => detach(y) && false).x;
    assert.throws(() => kernels.add(y, detaching, new Float32Array(5), 5, 5, 5), /detached/);
  });

  test("indices out of range are a RangeError", () => {
    const indexArguments: Record<string, [argument: number, bound: number]> = {
      embedding: [0, 4],
      embeddingBackward: [0, 4],
      embeddingQuantized: [0, 4],
      crossEntropy: [1, 5],
      crossEntropyBackward: [1, 5],
      maxBackward: [1, 5],
      cachedAttention: [2, 5],
    };
    for (const [name, [argument, bound]] of Object.entries(indexArguments))
      for (const index of [-1, bound, 2 ** 31 - 1, -(2 ** 31)]) {
        const { args, fence } = createFenced(name);
        const x = args[argument] as Int32Array;
        x[x.length - 1] = index;
        fence.snapshot();
        assert.throws(() => kernels[name](...args), RangeError);
        assert.ok(fence.isUntouched, name);
      }
  });

  test("unsupported sizes are an error", () => {
    const invalid: [string, Record<string, number>][] = [
      ...["add", "sub", "mul", "div"].flatMap((name): [string, Record<string, number>][] => [
        [name, { na: 0 }],
        [name, { nb: 0 }],
      ]),
      ["where", { nc: 0 }],
      ["where", { na: 0 }],
      ["where", { nb: 0 }],
      ["max", { n: 0 }],
      ["slice", { start: 4 }],
      ["sliceUpdate", { start: 4 }],
      ["slice", { start: 2 ** 53 - 1 }],
      ["linear", { activation: 5 }],
      ["linear", { activation: -1 }],
      ["linearQuantized", { activation: 5 }],
      ["linearQuantized", { bits: 3 }],
      ["linearQuantized", { bits: 0 }],
      ["linearQuantized", { groups: 3 }],
      ["embeddingQuantized", { bits: 5 }],
      ["embeddingQuantized", { groups: 0 }],
    ];
    for (const [name, sizes] of invalid) {
      const { args, fence } = createFenced(name, sizes);
      expectError(name, args, fence, JSON.stringify(sizes));
    }
  });

  test("sizes of 0 are valid or an error", () => {
    for (const name of names)
      for (const parameter of parseSignature(cpu.signatures[name]).filter(
        ({ kind }) => kind === "SIZE",
      )) {
        const { args, fence } = createFenced(name, { [parameter.name]: 0 });
        try {
          kernels[name](...args);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
        assert.ok(fence.isIntact, `${name}(${parameter.name}: 0)`);
      }
    assert.is(kernels.sum(new Float32Array(0), new Float32Array(0), 1, 200, 0), true);
  });

  test("any sizes return or throw an error", () => {
    const some = fc.constantFrom(0, 1, 2, 3, 17, 65, 200);
    const huge = fc.constantFrom(2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32 + 1, 2 ** 40, 2 ** 53 - 1);
    const anySize = fc.oneof({ weight: 9, arbitrary: some }, { weight: 2, arbitrary: huge });
    const elements = fc.constantFrom(0, 1, 6, 64, 500);
    const call = fc.tuple(fc.constantFrom(...names), fc.array(anySize, { minLength: 8 }), elements);
    fc.assert(
      fc.property(call, ([name, sizes, length]) => {
        const { args, fence } = createFenced(name);
        for (const [i, parameter] of parseSignature(cpu.signatures[name]).entries()) {
          if (parameter.kind === "SIZE") args[i] = sizes[i % sizes.length];
          else if (isBuffer(parameter) && !isList(parameter)) {
            const type = args[i] instanceof Int32Array ? Int32Array : Float32Array;
            if (parameter.name !== "rngState") args[i] = fence.allocate(type, length);
          }
        }
        try {
          kernels[name](...args);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
        assert.ok(fence.isIntact, name);
      }),
      fuzzOptions,
    );
  });

  test("any real numbers return or throw an error", () => {
    const call = fc.tuple(fc.constantFrom(...names), fc.array(fc.double(), { minLength: 5 }));
    fc.assert(
      fc.property(call, ([name, reals]) => {
        const { args, fence } = createFenced(name);
        for (const [i, { kind }] of parseSignature(cpu.signatures[name]).entries())
          if (kind === "REAL") args[i] = reals[i % reals.length];
        assert.is(kernels[name](...args), true);
        assert.ok(fence.isIntact, name);
      }),
      fuzzOptions,
    );
  });

  test("any arguments return or throw an error", () => {
    const anyArray = fc.oneof(fc.float32Array(), fc.int32Array(), fc.float64Array());
    const anything = fc.oneof(fc.anything(), fc.array(anyArray), anyArray, fc.nat(3), fc.boolean());
    fc.assert(
      fc.property(fc.constantFrom(...names), fc.array(anything), (name, args) => {
        try {
          kernels[name](...args);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
      }),
      fuzzOptions,
    );
  });

  // ---- the other functions

  test("threads takes an integer from 1 to 256, or nothing", () => {
    const before = cpu.threads();
    for (const n of [1, 256, 2]) assert.is(cpu.threads(n), n);
    for (const [what, make] of [
      ...Object.entries(junk),
      ["0", () => 0],
      ["257", () => 257],
    ] as const)
      assert.throws(() => cpu.threads(make() as never), RangeError, what);
    assert.is(cpu.threads(), 2);
    cpu.threads(before);
  });

  test("alignment takes an ArrayBuffer", () => {
    for (const [what, make] of Object.entries(junk))
      if (what !== "a buffer") assert.throws(() => cpu.alignment(make() as never), TypeError, what);
    assert.throws(() => (cpu.alignment as () => number)(), TypeError);
    const offset = cpu.alignment(new ArrayBuffer(100));
    assert.ok(Number.isInteger(offset) && offset >= 0 && offset < 64);
  });

  /** Captures y = e^x. */
  const captureExp = (x: Float32Array, y: Float32Array) => {
    cpu.beginCapture();
    kernels.exp(x, y, x.length);
    return cpu.endCapture() as CapturedGraph;
  };

  test("replay repeats all calls; calls that threw are not captured", () => {
    const [x, y, z] = [1, 2, 3].map(() => new Float32Array(5));
    cpu.beginCapture();
    cpu.beginCapture(); // starts again
    kernels.exp(x, y, 5);
    assert.throws(() => kernels.exp(x, y, 6));
    kernels.exp(new Float64Array(5), y, 5);
    kernels.add(x, y, z, 5, 5, 5);
    const graph = cpu.endCapture() as CapturedGraph;
    assert.is(cpu.endCapture(), undefined);
    y.fill(7);
    x.fill(0.5);
    cpu.replay(graph);
    assert.equal([...z], new Array(5).fill(Math.fround(Math.fround(Math.exp(0.5)) + 0.5)));
  });

  test("replay of anything but a captured graph is an error", () => {
    for (const [what, make] of Object.entries(junk))
      assert.throws(() => cpu.replay(make() as never), TypeError, what);
    assert.throws(() => (cpu.replay as () => void)(), TypeError);
    const { _handle } = process.stdout as unknown as { _handle?: { _externalStream?: unknown } };
    const external = _handle?._externalStream; // Node's external of stdout, if it is a pipe
    if (types.isExternal(external)) assert.throws(() => cpu.replay(external as never), TypeError);
    cpu.beginCapture();
    const x = new Float32Array(5);
    const y = new Float32Array(5);
    kernels.exp(x, y, 5);
    assert.throws(() => cpu.replay(external as never), TypeError);
    const graph = cpu.endCapture() as CapturedGraph;
    cpu.beginCapture();
    assert.throws(() => cpu.replay(graph), /a replay cannot be captured/);
    cpu.endCapture();
  });

  test("replay on detached memory is an error and writes nothing", () => {
    const x = new Float32Array(1e5);
    const y = new Float32Array(1e5);
    const first = captureExp(x, y);
    const second = captureExp(y, new Float32Array(1e5));
    y.fill(3);
    detach(x);
    assert.throws(() => cpu.replay(first), /memory of the captured graph has been detached/);
    assert.ok(y.every((value) => value === 3));
    cpu.replay(second);
    detach(y);
    for (const graph of [first, second]) assert.throws(() => cpu.replay(graph), /detached/);
  });

  test("replay checks indices again", () => {
    const { args, fence } = createFenced("embedding");
    cpu.beginCapture();
    kernels.embedding(...args);
    const graph = cpu.endCapture() as CapturedGraph;
    (args[0] as Int32Array)[2] = 4;
    assert.throws(() => cpu.replay(graph), RangeError);
    assert.ok(fence.isIntact, "embedding");
  });

  test("a captured graph retains its memory until it is collected", async () => {
    const collect = async () => {
      for (let i = 0; i < 3; i++) {
        gc?.();
        await new Promise(setImmediate);
      }
      return process.memoryUsage().arrayBuffers;
    };
    const before = await collect();
    const results: Float32Array[] = [];
    let graphs = Array.from({ length: 50 }, () => {
      const y = new Float32Array(1e5);
      results.push(y.subarray(0, 1));
      return captureExp(new Float32Array(1e5), y);
    });
    assert.ok((await collect()) - before > 39e6); // the inputs, which only the graphs retain
    for (const y of results) y.fill(0);
    for (const graph of graphs) cpu.replay(graph);
    assert.ok(results.every(([y]) => y === 1));
    graphs = [];
    results.length = 0;
    assert.ok((await collect()) - before < 1e6);
  });

  test("the addon can be loaded twice, with separate captures", () => {
    const require = createRequire(import.meta.url);
    const file = require.resolve(fileOf("cpu") as string);
    const load = (): CpuAddon => {
      delete require.cache[file];
      return require(file).cpu;
    };
    const a = load();
    const b = load();
    a.beginCapture();
    assert.is(b.endCapture(), undefined);
    const graph = a.endCapture() as CapturedGraph;
    b.replay(graph);
  });

  for (const args of [[], ["main"]]) {
    const suffix = args.length > 0 ? " while the main thread trains too" : "";
    test(`worker threads load the addon, train, and are terminated${suffix}`, () => {
      const program = fileURLToPath(new URL("../support/workers.js", import.meta.url));
      const { status, signal, stderr } = spawnSync(process.execPath, [program, ...args], {
        encoding: "utf8",
        timeout: 120_000,
      });
      assert.equal([status, signal], [0, null], stderr);
    });
  }
}

if (typeof addon === "string") {
  console.log(`skipped: addon: ${addon}`);
  test.skip("needs the C++ addon");
} else define(addon);
test.run();
