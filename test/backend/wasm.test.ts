// The WebAssembly module by itself: invalid arguments, its memory when it is full, captured graphs
// and freed buffers, both variants, and threads that do not keep a process running. What every device
// does is tested with the others; threads.test.ts compares all kernels with the reference.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { OutOfMemoryError, setDefaultDevice, zeros } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CapturedGraph, WasmAddon } from "#src/backend/addon.js";
import type { Buffer as DeviceBuffer } from "#src/backend/device.js";
import { addonOf } from "#src/backend/platform/node.js";
import {
  type Allocate,
  createArguments,
  isBuffer,
  isList,
  type NumericArray,
  parseSignature,
} from "../support/kernel-calls.js";

const test = suite("wasm");
const root = join(dirname(fileURLToPath(import.meta.url)), "../..");
const MB = 2 ** 20;
const collect = globalThis.gc ?? assert.unreachable.bind(null, "run with --expose-gc");

type Kernel = (...args: unknown[]) => unknown;

/** Returns the error of a call. */
function errorOf(call: () => unknown, what: string): Error {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof Error, `${what} threw ${String(error)}`);
    return error as Error;
  }
  throw new Error(`${what} returned`);
}

function define(wasm: WasmAddon): void {
  const kernels = wasm.kernels as unknown as Record<string, Kernel>;
  const make = (length: number) => wasm.make("f32", length) as Float32Array;
  const allocate: Allocate = (type, length) =>
    wasm.make(type === Int32Array ? "i32" : "f32", length) as NumericArray;
  const create = (name: string, sizes = {}) => createArguments(wasm, name, sizes, { allocate });
  const fails = () => {
    throw new Error("a getter that throws");
  };

  /** Values that are invalid for every buffer. */
  const invalidBuffers: Record<string, (x: NumericArray) => unknown> = {
    "an array on other memory": (x) => Float32Array.from(x),
    "an array on shared memory": (x) => new Float32Array(new SharedArrayBuffer(x.byteLength)),
    "a part of a buffer": (x) => x.subarray(0),
    "a freed buffer": (x) => {
      const freed = x instanceof Int32Array ? wasm.make("i32", x.length) : make(x.length);
      wasm.free(freed as DeviceBuffer);
      return freed;
    },
    "a view of all memory": (x) => new Float32Array(x.buffer as ArrayBuffer),
    "a proxy": (x) => new Proxy(x, {}),
    "an object that throws": () => new Proxy({}, { get: fails, getPrototypeOf: fails }),
    bytes: (x) => new Uint8Array(x.buffer as ArrayBuffer, x.byteOffset, x.byteLength),
    "a number": () => 1,
    "a string": () => "x",
    undefined: () => undefined,
    "an array that throws": () => Object.defineProperty([], 0, { get: fails }),
    "a huge array": () => new Array(2 ** 32 - 1),
  };

  test("an invalid buffer is an error, by itself and in a list", () => {
    for (const [name, signature] of Object.entries(wasm.signatures)) {
      for (const [i, parameter] of parseSignature(signature).entries()) {
        if (!isBuffer(parameter)) continue;
        for (const [what, spoil] of Object.entries(invalidBuffers)) {
          const args = create(name);
          const valid = args[i] as NumericArray & NumericArray[];
          args[i] = isList(parameter) ? [spoil(valid[0]), valid[1]] : spoil(valid);
          errorOf(() => kernels[name](...args), `${name}: ${parameter.name} is ${what}`);
        }
      }
    }
  });

  test("its messages are those of the addon", () => {
    const cpu = addonOf("cpu");
    if (typeof cpu === "string") return console.log(`skipped: messages of wasm: ${cpu}`);
    const native = cpu.kernels as unknown as Record<string, Kernel>;
    const numbers = [-1, 0.5, 2 ** 53, Number.NaN, true, "1", null, 7];
    for (const [name, signature] of Object.entries(wasm.signatures)) {
      for (const [i, parameter] of parseSignature(signature).entries()) {
        if (isBuffer(parameter) || isList(parameter)) continue;
        for (const value of numbers) {
          const messages = [
            [kernels, create(name)] as const,
            [native, createArguments(cpu, name)] as const,
          ].map(([table, args]) => {
            args[i] = value;
            try {
              return table[name](...args);
            } catch (error) {
              return String(error);
            }
          });
          assert.is(messages[0], messages[1], `${name}: ${parameter.name} is ${String(value)}`);
        }
      }
      for (const count of [0, 1, 25]) {
        const args = new Array(count).fill(1);
        const message = errorOf(() => native[name](...args), name).message;
        assert.is(errorOf(() => kernels[name](...args), name).message, message);
      }
    }
  });

  test("any sizes return or throw an error, and write to no other buffer", () => {
    const some = fc.constantFrom(0, 1, 2, 3, 17, 65, 200);
    const huge = fc.constantFrom(2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32 + 1, 2 ** 40, 2 ** 53 - 1);
    const anySize = fc.oneof({ weight: 9, arbitrary: some }, { weight: 2, arbitrary: huge });
    const elements = fc.constantFrom(0, 1, 6, 64, 500);
    const names = Object.keys(kernels);
    const call = fc.tuple(fc.constantFrom(...names), fc.array(anySize, { minLength: 8 }), elements);
    fc.assert(
      fc.property(call, ([name, sizes, length]) => {
        const fences: Float32Array[] = [];
        const fence = () => fences.push(make(16).fill(7));
        fence();
        const args = create(name);
        for (const [i, parameter] of parseSignature(wasm.signatures[name]).entries()) {
          if (parameter.kind === "SIZE") args[i] = sizes[i % sizes.length];
          else if (isBuffer(parameter) && !isList(parameter)) {
            args[i] = allocate(args[i] instanceof Int32Array ? Int32Array : Float32Array, length);
            (args[i] as NumericArray).fill(1);
            fence();
          }
        }
        try {
          kernels[name](...args);
        } catch (error) {
          assert.ok(error instanceof Error);
        }
        for (const x of fences)
          assert.ok(
            x.every((value) => value === 7),
            name,
          );
      }),
      { seed: 1, numRuns: 2000 },
    );
  });

  test("doubles return false, and a getter cannot change a call", () => {
    const x = wasm.make("f64", 5) as Float64Array;
    assert.is(kernels.exp(x, wasm.make("f64", 5), 5), false);
    const [a, b, y] = [make(2).fill(3), make(2).fill(4), make(2)];
    const list = Object.defineProperty([a, a], 0, {
      get: () => {
        kernels.add(b, b, y, 2, 2, 2); // writes to the staging area
        return a;
      },
    });
    const args = create("sgd", {});
    args[0] = list;
    errorOf(() => kernels.sgd(...args), "sgd"); // a is written and read
    assert.equal([...y], [8, 8]);
  });

  test("a full memory is null, and an OutOfMemoryError of the device, which stays usable", () => {
    const blocks: DeviceBuffer[] = [];
    for (let length = 256 * MB; length >= MB; ) {
      const block = wasm.make("f32", length);
      if (block) blocks.push(block);
      else length /= 2;
    }
    const total = blocks.reduce((sum, block) => sum + block.byteLength, 0);
    assert.ok(total > 3.9 * 1024 * MB, `${total} bytes`);
    setDefaultDevice("wasm");
    const error = errorOf(() => zeros([2048, 2048]), "zeros");
    assert.instance(error, OutOfMemoryError);
    for (const block of blocks) {
      block[block.length - 1] = 1;
      wasm.free(block);
    }
    assert.equal(zeros([2048, 2048]).sum().item(), 0);
  });

  test("what counts buffers for the garbage collector takes no memory", () => {
    const before = process.memoryUsage.rss();
    const buffers: DeviceBuffer[] = [];
    for (let i = 0; i < 5000; i++) {
      const previous = buffers[i % 100];
      if (previous) wasm.free(previous);
      const length = (MB / 16) * (1 + ((i * 7919) % 13)); // 256 KB to 3.3 MB, which stay untouched
      buffers[i % 100] = make(length) as DeviceBuffer;
      if (i % 500 === 0) collect();
    }
    const growth = process.memoryUsage.rss() - before;
    assert.ok(growth < 64 * MB, `${growth} bytes more`);
    for (const buffer of buffers) wasm.free(buffer);
  });

  for (const count of [1, 2])
    test(`a memory that is full inside a kernel is an error, with ${count} threads`, () => {
      wasm.threads(count);
      const n = 384 * count;
      const args = [make(n * n).fill(1), make(n * n).fill(1), make(n * n)];
      const sizes = [1, n, n, n, 0, 0, true, true, false];
      const blocks: DeviceBuffer[] = [];
      for (let length = 256 * MB; length >= 64; ) {
        const block = wasm.make("f32", length);
        if (block) blocks.push(block);
        else length /= 2;
      }
      const error = errorOf(() => kernels.matmul(...args, ...sizes), "matmul");
      assert.ok(error instanceof RangeError);
      assert.match(error.message, /^out of memory/);
      for (const block of blocks) wasm.free(block);
      assert.is(kernels.matmul(...args, ...sizes), true);
      assert.ok(args[2].every((value) => value === n));
    });

  test("a graph keeps the buffers that it uses, until it is released", () => {
    const [x, y] = [make(1000).fill(2), make(1000)];
    wasm.beginCapture();
    kernels.mul(x, x, y, 1000, 1000, 1000);
    const graph = wasm.endCapture() as CapturedGraph;
    wasm.free(x);
    wasm.free(y);
    const other = make(1000).fill(5);
    wasm.replay(graph);
    assert.ok(other.every((value) => value === 5));
    assert.ok(y.every((value) => value === 4));
    wasm.releaseGraph(graph);
    assert.throws(() => wasm.replay(graph), /replay: the graph has been released/);
    errorOf(() => kernels.exp(x, y, 1000), "a freed buffer");
    assert.is(wasm.endCapture(), undefined);
    for (const junk of [{}, 1, null, x])
      assert.throws(() => wasm.replay(junk as unknown as CapturedGraph), /expected a captured/);
  });

  test("threads() checks its argument", () => {
    for (const junk of [0, 1.5, 257, "2", Number.NaN])
      assert.throws(() => wasm.threads(junk as number), /threads: expected an integer from 1 to/);
  });

  test("threads do not keep a process running, or need a script in a file", () => {
    const script = `
      import { ones, setDefaultDevice } from "tinybard";
      setDefaultDevice("wasm");
      console.log(ones([300, 300]).matmul(ones([300, 300])).sum().item());`;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--input-type=module", "-e", script],
      {
        encoding: "utf8",
        cwd: root,
        timeout: 20_000,
        env: { ...process.env, TINYBARD_THREADS: "2" },
      },
    );
    assert.equal([status, stdout.trim(), stderr], [0, "27000000", ""]);
  });

  const plain = ["build-wasm", "prebuilds/wasm"].some((folder) =>
    existsSync(join(root, folder, "kernels.wasm")),
  );
  if (wasm.simd === "relaxed" && plain)
    test("the kernel tests pass without relaxed SIMD", () => {
      const files = ["kernels", "threads", "wasm"].map((name) => `backend/${name}.test`);
      files.push("ops/causality.test", "ops/special-values.test");
      const { stdout } = spawnSync(
        process.execPath,
        [join(root, "dist-test/run.js"), ...files, "--device", "wasm"],
        { encoding: "utf8", env: { ...process.env, TINYBARD_WASM_SIMD: "plain" } },
      );
      assert.match(stdout, /^[1-9]\d* passed, 0 failed, 0 skipped$/m);
    });
}

const addon = addonOf("wasm");
if (typeof addon === "string") {
  console.log(`skipped: wasm: ${addon}`);
  test.skip("needs the WebAssembly module");
} else define(addon);
test.run();
