// Every kernel of the CUDA floor, on the device or on the emulator, at odd sizes and at sizes of many
// blocks: in f32 what the reference gives in double precision; in bf16 held to what rounding alone
// costs: the error may be twice that of a kernel which is exact but for rounding its inputs and its
// results to bf16, three times in a backward kernel. And the same bits again.

import { type DeviceName, device, linearCrossEntropy, randn, type Tensor, tensor } from "tinybard";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CudaAddon, DeviceBuffer } from "#src/backend/addon.js";
import { reference } from "#src/backend/ts/index.js";
import {
  createArguments,
  isOptional,
  largeSizes,
  type NumericArray,
  oddSizes,
  type Parameter,
  parseSignature,
  sampleSizes,
  type Values,
} from "../support/kernel-calls.js";

const test = suite("cuda");
const name = process.env.TINYBARD_TEST_DEVICE as DeviceName | undefined;

type Args = unknown[];
type Kernels = Record<string, (...args: Args) => unknown>;
type DType = "f32" | "bf16";

/** The numbers as bf16 holds them, to the nearest, ties to even. */
function rounded<T extends Float32Array | Float64Array>(x: T): T {
  const bits = new Uint32Array(Float32Array.from(x).buffer);
  for (let i = 0; i < bits.length; i++)
    bits[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) & 0xffff0000;
  const single = new Float32Array(bits.buffer);
  return x.map((each, i) => (Number.isFinite(each) ? single[i] : each)) as T;
}

/** What F is in a word's buffers: those of f32 stay f32. */
const typeOf = ({ type }: Parameter, dtype: DType) =>
  type === "i32" ? "i32" : type === "F" || type === "W" ? dtype : "f32";

/** The largest difference; NaN equals NaN, an infinity itself. */
function worst(x: ArrayLike<number>, truth: number[]): number {
  let most = 0;
  for (let i = 0; i < truth.length; i++) {
    if (Object.is(x[i], truth[i]) || x[i] === truth[i]) continue;
    most = Math.max(most, Math.abs(x[i] - truth[i])); // NaN stays
  }
  return most;
}

function define(addon: CudaAddon): void {
  const native = addon.kernels as unknown as Kernels;

  const upload = (x: NumericArray, dtype: string): DeviceBuffer => {
    const buffer = addon.allocate(dtype, x.length);
    if (!buffer) throw new Error("out of memory");
    addon.write(buffer, x);
    return buffer;
  };

  /** A kernel on the device, on copies of the arguments: all its buffers afterwards. */
  const run = (kernel: string, words: Parameter[], args: Args, dtype: DType) => {
    const buffers: DeviceBuffer[] = [];
    const own = (x: unknown, word: Parameter): unknown => {
      if (Array.isArray(x)) return x.map((each) => own(each, word));
      if (!ArrayBuffer.isView(x)) return x;
      buffers.push(upload(x as NumericArray, typeOf(word, dtype)));
      return buffers.at(-1);
    };
    native[kernel](...args.map((x, i) => own(x, words[i])));
    const results = buffers.map((buffer) => addon.read(buffer));
    for (const buffer of buffers) addon.free(buffer);
    return results;
  };

  /** The same in double precision. */
  const compute = (kernel: string, args: Args) => {
    const own = (x: unknown): unknown => {
      if (Array.isArray(x)) return x.map(own);
      return x instanceof Float32Array ? Float64Array.from(x) : structuredClone(x);
    };
    const doubles = args.map(own);
    (reference as unknown as Kernels)[kernel](...doubles);
    return doubles.flat().filter(ArrayBuffer.isView) as (Float64Array | Int32Array)[];
  };

  /** Two steps in one kernel: the result of the first is one of its results, and is rounded. */
  const inSteps: Record<string, (args: Args) => unknown[]> = {
    linearCrossEntropy(args) {
      const [x, w, b, target, loss, count, logits, rows, n, K, ignoreIndex] = args as never[];
      const scores = compute("linear", [x, w, b, null, logits, rows, n, K, 0]).at(-1);
      const lse = new Float32Array(rows);
      const two = [rounded(scores as Float64Array), target, loss, lse, count, rows, n, ignoreIndex];
      const [, , meanLoss, , counted] = compute("crossEntropy", two);
      return [x, w, b, target, meanLoss, counted, logits];
    },
    residualLayerNorm(args) {
      const [x, y, w, b, , z, mean, rstd, rngState, rows, n, eps, , , subtractMean] =
        args as never[];
      const [first] = [args.slice(0, 4), args.slice(4)].map((part) =>
        part.filter(ArrayBuffer.isView),
      );
      const r = rounded(compute("residualLayerNorm", args)[first.length] as Float64Array);
      const two = compute("layerNorm", [r, w, b, z, mean, rstd, rows, n, eps, subtractMean]);
      return [x, y, w, b, r, ...two.slice(-3), rngState];
    },
  };

  const check = (kernel: string, values: Values, lists: number[], nulls: number, dtype: DType) => {
    if (kernel === "linearCrossEntropyBackward")
      values = { ...values, n: 8 * (values.n as number) }; // no pads
    const what = `${kernel} ${dtype} ${JSON.stringify(values)}, nulls ${nulls}`;
    const words = parseSignature(addon.signatures[kernel]);
    const args = createArguments(addon, kernel, values, { lists });
    for (const [i, { kind, name }] of words.entries()) {
      if (!isOptional(kind)) continue;
      const isNone = name === "h" && !values.activation;
      const isNeeded = kernel === "linearBackward" && name === "h"; // where there is an f
      if (isNone || (nulls % 2 === 1 && !isNeeded)) args[i] = null;
      nulls >>= 1;
    }
    const isF = (i: number) => dtype === "bf16" && /^[FW]$/.test(words[i].type);
    const halves = args.map((x, i) =>
      x instanceof Float32Array && isF(i) ? rounded(x) : structuredClone(x),
    );
    const actual = run(kernel, words, halves, dtype);
    for (const [i, x] of run(kernel, words, halves, dtype).entries())
      assert.equal(x, actual[i], `${what}: other bits`);
    const exact = compute(kernel, args);
    const steps = inSteps[kernel]?.(halves).filter(ArrayBuffer.isView) as
      | Float64Array[]
      | undefined;
    const ideal = steps ?? compute(kernel, halves);
    const flat = words.flatMap((word, i) =>
      Array.isArray(args[i]) ? args[i].map(() => word) : ArrayBuffer.isView(args[i]) ? [word] : [],
    );
    for (const [i, x] of actual.entries()) {
      if (!/OUT/.test(flat[i].kind)) continue;
      if (kernel.startsWith("linearCrossEntropy") && flat[i].name === "logits") continue; // as the floor likes
      const truth = Array.from(exact[i]);
      const most = truth.reduce(
        (m, y) => (Math.abs(y) < Infinity ? Math.max(m, Math.abs(y)) : m),
        1e-6,
      );
      const best = typeOf(flat[i], dtype) === "bf16" ? rounded(ideal[i] as Float64Array) : ideal[i];
      const allowed = dtype === "f32" ? 0 : (/Backward/.test(kernel) ? 3 : 2) * worst(best, truth);
      const error = worst(x, truth);
      assert.ok(
        error <= allowed + 1e-5 * most,
        `${what}: ${flat[i].name} is off by ${error}, allowed ${allowed} at up to ${most}`,
      );
    }
  };

  for (const dtype of ["f32", "bf16"] as const)
    test(`classes that no pack of 16 bytes divides, in ${dtype}: loss and gradients`, () => {
      const sizes = [[70, 64], [1027, 64], [1027]];
      const target = Int32Array.from({ length: 70 }, (_, i) => (i * i) % 1027);
      const on = device(name as DeviceName);
      const values = sizes.map((shape) =>
        randn(shape, { device: "ts" })
          .data()
          .map((x) => x / 4),
      );
      const [expected, actual] = (["ts", on] as const).map((device) =>
        values.map((x, i) => tensor(x, { shape: sizes[i], device, requiresGrad: true })),
      );
      const [loss, same] = [expected, actual].map(([x, w, b]) => {
        const at = tensor(target, { device: x.device });
        const y = linearCrossEntropy(x.device === on ? x.to(dtype) : x, w, b, at);
        y.backward();
        return y.item();
      });
      const allowed = dtype === "f32" ? 1e-5 : 1e-2;
      assert.ok(Math.abs(same - loss) <= allowed * loss, `${same}, expected ${loss}`);
      for (const [i, x] of actual.entries()) {
        const truth = Array.from((expected[i].grad as Tensor).data());
        const most = truth.reduce((m, y) => Math.max(m, Math.abs(y)), 0);
        const error = worst((x.grad as Tensor).data(), truth);
        assert.ok(error <= allowed * most, `gradient ${i} is off by ${error} at up to ${most}`);
      }
    });

  for (const [kernel, signature] of Object.entries(addon.signatures)) {
    const dtypes: DType[] = /\((F|W),/.test(signature) ? ["f32", "bf16"] : ["f32"];
    for (const dtype of dtypes)
      test(`${kernel} in ${dtype}: as exact as can be, and the same bits again`, () => {
        for (const [seed, size] of oddSizes.entries()) {
          const lists = [size, 1, oddSizes[oddSizes.length - 1 - seed]];
          check(kernel, sampleSizes(signature, seed), lists, seed, dtype);
        }
        for (const values of largeSizes(signature)) {
          const nulls = kernel === "linear" && values.activation === 1 ? 2 : 0; // h, as in models
          check(kernel, values, [20_000, 7, 50_001], nulls, dtype);
        }
      });
  }
}

const addon = name ? device(name).addon : null;
if (addon && "allocate" in addon) define(addon);
else {
  console.log("skipped: cuda: run it with --device cuda, or --device cuda-emulator");
  test.skip("needs a CUDA device, or the emulator");
}
test.run();
