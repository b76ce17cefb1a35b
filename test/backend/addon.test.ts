// Tests the addon against hostile callers: for any arguments, a function returns a result or throws
// a JavaScript error, and writes nothing but its outputs. A crash ends the process of this file,
// which the test runner reports.

import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { types } from "node:util";
import fc from "fast-check";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { addonOf, type CapturedGraph, type CpuAddon } from "#src/backend/addon.js";
import { reference } from "#src/backend/ts/index.js";
import {
  type Allocate,
  createArguments,
  isBuffer,
  isList,
  type NumericArray,
  parseSignature,
} from "../support/kernel-calls.js";

const test = suite("addon");
const addon = addonOf("cpu");
const rounds = { seed: 1, numRuns: 3000 };

type Args = unknown[];
type Kernel = (...args: Args) => unknown;
/** ES2024's resizable buffers, which the library of ES2023 does not know. */
type Resizable = ArrayBuffer & { resize(bytes: number): void };
const resizable = (bytes: number, most: number): Resizable =>
  Reflect.construct(ArrayBuffer, [bytes, { maxByteLength: most }]);

/** Detaches the memory of an array. */
function detach<T extends NumericArray>(x: T): T {
  structuredClone(x.buffer, { transfer: [x.buffer as ArrayBuffer] });
  return x;
}

/** Allocates arrays between guard bytes, and detects writes. */
class Fence {
  static readonly margin = 64; // bytes
  readonly #memory: { bytes: Uint8Array; before: Buffer }[] = [];

  readonly room: Allocate = (type, length) => {
    const buffer = new ArrayBuffer(4 * length + 2 * Fence.margin);
    const bytes = new Uint8Array(buffer).fill(0xa5);
    this.#memory.push({ bytes, before: Buffer.from(bytes) });
    return new type(buffer, Fence.margin, length);
  };

  /** Remembers all content. */
  close(): void {
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

// ---- wrong arguments

const fails = () => {
  throw new Error("a getter that throws");
};

/** Values that are wrong for nearly every argument. */
const junk: Record<string, () => unknown> = {
  "a string": () => "1",
  "an object": () => ({}),
  "a boxed number": () => Object(1),
  "what could be a number": () => ({ valueOf: () => 1, [Symbol.toPrimitive]: () => 1 }),
  "what throws": () => new Proxy({}, { get: fails, getPrototypeOf: fails }),
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
  "an heir": () => Object.create(new Float32Array(100)),
};

/** Returns true for the exceptions. */
function isFit(kind: string, value: unknown): boolean {
  if (kind === "REAL") return typeof value === "number";
  if (kind === "FLAG") return typeof value === "boolean";
  if (kind === "INTEGER") return Number.isSafeInteger(value); // what else is wrong, kernels say
  return kind.endsWith("_OPT") && value === null;
}

const typeOf = (x: NumericArray) => x.constructor as Float32ArrayConstructor;

/** Arrays similar to a valid one, but wrong. */
const spoilt: Record<string, (x: NumericArray) => unknown> = {
  detached: (x) => detach(x.slice()),
  "in resizable memory": (x) => new (typeOf(x))(resizable(x.byteLength, 1000), 0, x.length),
  "as long as resizable memory": (x) => new (typeOf(x))(resizable(x.byteLength, 1000)),
  "outside of memory that has shrunk": (x) => {
    const memory = resizable(x.byteLength, 1000);
    const view = new (typeOf(x))(memory, 0, x.length);
    memory.resize(x.byteLength - 1);
    return view;
  },
  "in shared memory": (x) => new (typeOf(x))(new SharedArrayBuffer(x.byteLength)),
  "in shared memory that grows": (x) => {
    const memory = Reflect.construct(SharedArrayBuffer, [x.byteLength, { maxByteLength: 1000 }]);
    return new (typeOf(x))(memory);
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

  /** Arguments in a fence. */
  const fenced = (name: string, sizes: Record<string, number> = {}) => {
    const fence = new Fence();
    const args = createArguments(cpu, name, sizes, { room: fence.room });
    fence.close();
    return { args, fence };
  };

  /** Calls a kernel, which must throw an Error and write nothing. */
  const expectError = (name: string, args: Args, fence: Fence, what: string) => {
    const whole = `${name}(${what})`;
    let thrown: unknown = "nothing";
    try {
      kernels[name](...args);
    } catch (error) {
      thrown = error;
    }
    assert.ok(thrown instanceof Error, `${whole} threw ${String(thrown)}`);
    assert.ok(fence.isUntouched, whole);
  };

  /** Makes one wrong call for each kernel and each argument that `spoil` returns values for. */
  const eachPlace = (
    spoil: (word: ReturnType<typeof parseSignature>[0], good: unknown) => Args,
  ) => {
    for (const name of names)
      for (const [i, word] of parseSignature(cpu.signatures[name]).entries()) {
        const count = spoil(word, fenced(name).args[i]).length;
        for (let j = 0; j < count; j++) {
          const { args, fence } = fenced(name);
          args[i] = spoil(word, args[i])[j];
          expectError(name, args, fence, `${word.name}: spoilt ${j}`);
        }
      }
  };

  for (const name of names) {
    test(`${name}: a valid call writes its outputs, and nothing else`, () => {
      const { args, fence } = fenced(name);
      if (name === "checkFinite") (args[0] as Float32Array)[0] = Infinity; // a finite one changes nothing
      const before = structuredClone(args);
      assert.is(kernels[name](...args), true);
      assert.ok(fence.isIntact);
      for (const [i, { kind }] of parseSignature(cpu.signatures[name]).entries()) {
        const isResult = /OUT/.test(kind) && kind !== "OUT_LIST_OPT";
        (isResult ? assert.not.equal : assert.equal)(args[i], before[i], `argument ${i}`);
      }
    });
  }

  test("kernels have the parameters of their TypeScript versions, in the same order", () => {
    for (const [name, kernel] of Object.entries(reference)) {
      const [, parameters = ""] = /\(([^)]*)\)/.exec(kernel.toString()) ?? [];
      assert.equal(
        parameters.split(/[,\s]+/).filter(Boolean),
        parseSignature(cpu.signatures[name]).map((word) => word.name),
        name,
      );
    }
  });

  test("one argument too few or too many is an error", () => {
    for (const name of names) {
      const { args, fence } = fenced(name);
      for (const wrong of [[], args.slice(1), args.slice(0, -1), [...args, 1], args.concat(args)])
        expectError(name, wrong, fence, `${wrong.length} arguments`);
    }
  });

  test("junk in place of any argument is an error", () => {
    for (const [what, make] of Object.entries(junk)) {
      for (const name of names)
        for (const [i, { kind, name: place }] of parseSignature(cpu.signatures[name]).entries()) {
          const { args, fence } = fenced(name);
          if (isFit(kind, make())) continue;
          args[i] = make();
          expectError(name, args, fence, `${place}: ${what}`);
        }
    }
  });

  test("a wrong array is an error, by itself and in a list", () => {
    for (const make of Object.values(spoilt))
      eachPlace((word, good) => {
        if (!isBuffer(word)) return [];
        if (!isList(word)) return [make(good as NumericArray)];
        const [first, second] = good as NumericArray[];
        return [
          [make(first), second],
          [first, make(second)],
        ];
      });
  });

  test("an array that is too short is an error, by itself and in one of several lists", () => {
    const short = (x: NumericArray) => x.subarray(1);
    eachPlace((word, good) => {
      if (!isBuffer(word) || (isList(word) && word.name === "x")) return [];
      return [isList(word) ? (good as NumericArray[]).map(short) : short(good as NumericArray)];
    });
  });

  test("integers for floats and floats for integers are an error, unless the kernel takes both", () => {
    const swapped = (x: NumericArray) =>
      x instanceof Int32Array ? new Float32Array(x.length) : new Int32Array(x.length);
    eachPlace((word, good) => {
      if (!isBuffer(word) || word.type === "any") return [];
      return [isList(word) ? (good as NumericArray[]).map(swapped) : swapped(good as NumericArray)];
    });
  });

  test("Float64Arrays return false, and nothing is written; for integers they are an error", () => {
    const double = (x: NumericArray) => new Float64Array(x.length);
    for (const name of names)
      for (const [i, word] of parseSignature(cpu.signatures[name]).entries()) {
        if (!isBuffer(word)) continue;
        const { args, fence } = fenced(name);
        args[i] = isList(word)
          ? (args[i] as NumericArray[]).map(double)
          : double(args[i] as NumericArray);
        if (word.type === "i32") expectError(name, args, fence, `${word.name}: doubles`);
        else assert.is(kernels[name](...args), false, `${name}: ${word.name}`);
        assert.ok(fence.isUntouched, name);
      }
  });

  test("an argument that overlaps an output is an error", () => {
    for (const name of names) {
      const words = [...parseSignature(cpu.signatures[name]).entries()].filter(([, w]) =>
        isBuffer(w),
      );
      for (const [i, a] of words)
        for (const [j, b] of words) {
          const isWritten = [a, b].some(({ kind }) => /OUT/.test(kind));
          if (i === j || !isWritten) continue;
          const { args, fence } = fenced(name, { n: 6, na: 6, nb: 6, nc: 6 });
          const [x, y] = [args[i], args[j]].map((each) =>
            Array.isArray(each) ? each[0] : each,
          ) as NumericArray[];
          if (y.length > x.length) continue;
          const same = new (typeOf(y))(x.buffer as ArrayBuffer, x.byteOffset, y.length);
          args[j] = isList(b) ? [same, (args[j] as NumericArray[])[1]] : same;
          expectError(name, args, fence, `${b.name} in ${a.name}`);
        }
    }
  });

  test("lists of other lengths, with a getter that detaches, or with too many entries are errors", () => {
    for (const [name, places] of Object.entries({ sgd: [0, 1, 2], adamw: [0, 1, 2, 3, 5] }))
      for (const place of places) {
        const spoil = (change: (list: NumericArray[], args: Args, fence: Fence) => unknown) => {
          const { args, fence } = fenced(name);
          args[place] = change(args[place] as NumericArray[], args, fence);
          expectError(name, args, fence, `list ${place}`);
        };
        spoil((list) => list.slice(1));
        spoil((list) => [...list, new Float32Array(1)]);
        spoil(([a, b]) => [b, a].map((x) => (x.length === 1 ? new Float32Array(2) : x)));
        spoil(() => new Array(2 ** 32 - 1));
        spoil((list, args) => {
          const victim = (args[(place + 1) % 3] as NumericArray[])[1];
          return Object.defineProperty([...list], 1, { get: () => detach(victim) && list[1] });
        });
      }
  });

  test("a buffer with its own `resizable` property is accepted, or an error", () => {
    const lying = (get: () => unknown) => {
      const memory = resizable(20, 1000);
      Object.defineProperty(memory, "resizable", { get });
      return { memory, x: new Float32Array(memory) };
    };
    const { memory, x } = lying(() => false);
    const y = new Float32Array(5);
    kernels.exp(x, y, 5);
    assert.equal(y, new Float32Array(5).fill(1));
    cpu.beginCapture();
    kernels.exp(x, y, 5);
    const graph = cpu.endCapture() as CapturedGraph;
    memory.resize(4);
    assert.throws(() => cpu.replay(graph), /detached/);
    assert.throws(() => kernels.exp(lying(fails).x, y, 5), /a getter that throws/);
    const detaching = lying(() => detach(y) && false).x;
    assert.throws(() => kernels.add(y, detaching, new Float32Array(5), 5, 5, 5), /detached/);
  });

  test("indices out of range are a RangeError", () => {
    const places: Record<string, [place: number, below: number]> = {
      embedding: [0, 4],
      embeddingBackward: [0, 4],
      embeddingQuantized: [0, 4],
      crossEntropy: [1, 5],
      crossEntropyBackward: [1, 5],
      maxBackward: [1, 5],
      cachedAttention: [2, 5],
    };
    for (const [name, [place, below]] of Object.entries(places))
      for (const wrong of [-1, below, 2 ** 31 - 1, -(2 ** 31)]) {
        const { args, fence } = fenced(name);
        const x = args[place] as Int32Array;
        x[x.length - 1] = wrong;
        fence.close();
        assert.throws(() => kernels[name](...args), RangeError);
        assert.ok(fence.isUntouched, name);
      }
  });

  test("unsupported sizes are an error", () => {
    const wrong: [string, Record<string, number>][] = [
      ...["add", "sub", "mul", "div"].flatMap((name): [string, Record<string, number>][] => [
        [name, { na: 0 }],
        [name, { nb: 0 }],
      ]),
      ["where", { nc: 0 }],
      ["where", { na: 0 }],
      ["where", { nb: 0 }],
      ["max", { n: 0 }],
      ["maxBackward", { n: 0 }],
      ["slice", { start: 4 }],
      ["sliceUpdate", { start: 4 }],
      ["slice", { start: 2 ** 53 - 1 }],
      ["linear", { activation: 4 }],
      ["linear", { activation: -1 }],
      ["linearQuantized", { activation: 4 }],
      ["linearQuantized", { bits: 3 }],
      ["linearQuantized", { bits: 0 }],
      ["linearQuantized", { groups: 3 }],
      ["embeddingQuantized", { bits: 5 }],
      ["embeddingQuantized", { groups: 0 }],
    ];
    for (const [name, sizes] of wrong) {
      const { args, fence } = fenced(name, sizes);
      expectError(name, args, fence, JSON.stringify(sizes));
    }
  });

  test("sizes of 0 are valid, or an error", () => {
    for (const name of names)
      for (const word of parseSignature(cpu.signatures[name]).filter(
        ({ kind }) => kind === "SIZE",
      )) {
        const { args, fence } = fenced(name, { [word.name]: 0 });
        try {
          kernels[name](...args);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
        assert.ok(fence.isIntact, `${name}(${word.name}: 0)`);
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
      fc.property(call, ([name, sizes, most]) => {
        const { args, fence } = fenced(name);
        for (const [i, word] of parseSignature(cpu.signatures[name]).entries()) {
          if (word.kind === "SIZE") args[i] = sizes[i % sizes.length];
          else if (isBuffer(word) && !isList(word)) {
            const type = args[i] instanceof Int32Array ? Int32Array : Float32Array;
            if (word.name !== "rngState") args[i] = fence.room(type, most);
          }
        }
        try {
          kernels[name](...args);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
        assert.ok(fence.isIntact, name);
      }),
      rounds,
    );
  });

  test("any numbers return or throw an error", () => {
    const call = fc.tuple(fc.constantFrom(...names), fc.array(fc.double(), { minLength: 5 }));
    fc.assert(
      fc.property(call, ([name, reals]) => {
        const { args, fence } = fenced(name);
        for (const [i, { kind }] of parseSignature(cpu.signatures[name]).entries())
          if (kind === "REAL") args[i] = reals[i % reals.length];
        assert.is(kernels[name](...args), true);
        assert.ok(fence.isIntact, name);
      }),
      rounds,
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
      rounds,
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
    cpu.beginCapture(); // anew
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
    const foreign = _handle?._externalStream; // an external of Node's own, where this is a pipe
    if (types.isExternal(foreign)) assert.throws(() => cpu.replay(foreign as never), TypeError);
    cpu.beginCapture();
    const [x, y] = [new Float32Array(5), new Float32Array(5)];
    kernels.exp(x, y, 5);
    assert.throws(() => cpu.replay(foreign as never), TypeError);
    const graph = cpu.endCapture() as CapturedGraph;
    cpu.beginCapture();
    assert.throws(() => cpu.replay(graph), /a replay cannot be captured/);
    cpu.endCapture();
  });

  test("replay on detached memory is an error, and nothing is written", () => {
    const [x, y] = [new Float32Array(1e5), new Float32Array(1e5)];
    const [first, second] = [captureExp(x, y), captureExp(y, new Float32Array(1e5))];
    y.fill(3);
    detach(x);
    assert.throws(() => cpu.replay(first), /memory of the captured graph has been detached/);
    assert.ok(y.every((value) => value === 3));
    cpu.replay(second);
    detach(y);
    for (const graph of [first, second]) assert.throws(() => cpu.replay(graph), /detached/);
  });

  test("replay checks indices again", () => {
    const { args, fence } = fenced("embedding");
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
    assert.ok((await collect()) - before > 39e6); // the inputs, which only graphs hold
    for (const y of results) y.fill(0);
    for (const graph of graphs) cpu.replay(graph);
    assert.ok(results.every(([y]) => y === 1));
    graphs = [];
    results.length = 0;
    assert.ok((await collect()) - before < 1e6);
  });

  test("it can be loaded twice, with separate captures", () => {
    const require = createRequire(import.meta.url);
    const built = fileURLToPath(new URL("../../build/Release/cpu.node", import.meta.url));
    const file = require.resolve(process.env.TINYBARD_ADDON ?? built);
    const load = (): CpuAddon => {
      delete require.cache[file];
      return require(file).cpu;
    };
    const [a, b] = [load(), load()];
    a.beginCapture();
    assert.is(b.endCapture(), undefined);
    const graph = a.endCapture() as CapturedGraph;
    b.replay(graph);
  });

  for (const words of [[], ["too"]])
    test(`worker threads load it, train, and are terminated${words.length ? "; the main thread trains too" : ""}`, () => {
      const program = fileURLToPath(new URL("../support/workers.js", import.meta.url));
      const { status, signal, stderr } = spawnSync(process.execPath, [program, ...words], {
        encoding: "utf8",
        timeout: 60_000,
      });
      assert.equal([status, signal], [0, null], stderr);
    });
}

if (typeof addon === "string") {
  console.log(`skipped: addon: ${addon}`);
  test.skip("needs the C++ addon");
} else define(addon);
test.run();
