// Tests every kernel of the CUDA backend, on the device or on the emulator, at odd sizes and at
// sizes of many blocks. f32 results must equal the reference in double precision. The error of bf16
// results is bounded by the error of an exact kernel that rounds its inputs and results to bf16:
// twice that error, or three times in a backward kernel. A second call must return the same bits.

import {
  type Device,
  type DeviceName,
  device,
  linearCrossEntropy,
  randn,
  type Tensor,
  tensor,
} from "tinybard";
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

/** Rounds numbers to bf16, to nearest, ties to even. */
function roundToBf16<T extends Float32Array | Float64Array>(x: T): T {
  const bits = new Uint32Array(Float32Array.from(x).buffer);
  for (let i = 0; i < bits.length; i++)
    bits[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) & 0xffff0000;
  const single = new Float32Array(bits.buffer);
  return x.map((value, i) => (Number.isFinite(value) ? single[i] : value)) as T;
}

/** Returns the dtype of a buffer if the kernel is called with `dtype`. f32 buffers stay f32. */
const getDType = ({ type }: Parameter, dtype: DType) =>
  type === "i32" ? "i32" : type === "F" || type === "W" ? dtype : "f32";

/** Returns the largest difference. NaN equals NaN, and an infinity equals itself. */
function maxError(x: ArrayLike<number>, expected: number[]): number {
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(x[i], expected[i]) || x[i] === expected[i]) continue;
    largest = Math.max(largest, Math.abs(x[i] - expected[i])); // NaN stays NaN
  }
  return largest;
}

function define(addon: CudaAddon): void {
  const native = addon.kernels as unknown as Kernels;

  const upload = (x: NumericArray, dtype: string): DeviceBuffer => {
    const buffer = addon.allocate(dtype, x.length);
    if (!buffer) throw new Error("out of memory");
    addon.write(buffer, x);
    return buffer;
  };

  /** Runs a kernel on the device with copies of the arguments. Returns all buffers. */
  const run = (kernel: string, parameters: Parameter[], args: Args, dtype: DType) => {
    const buffers: DeviceBuffer[] = [];
    const copy = (x: unknown, parameter: Parameter): unknown => {
      if (Array.isArray(x)) return x.map((item) => copy(item, parameter));
      if (!ArrayBuffer.isView(x)) return x;
      buffers.push(upload(x as NumericArray, getDType(parameter, dtype)));
      return buffers.at(-1);
    };
    native[kernel](...args.map((x, i) => copy(x, parameters[i])));
    const results = buffers.map((buffer) => addon.read(buffer));
    for (const buffer of buffers) addon.free(buffer);
    return results;
  };

  /** Runs the reference kernel in double precision. Returns all buffers. */
  const compute = (kernel: string, args: Args) => {
    const copy = (x: unknown): unknown => {
      if (Array.isArray(x)) return x.map(copy);
      return x instanceof Float32Array ? Float64Array.from(x) : structuredClone(x);
    };
    const doubles = args.map(copy);
    (reference as unknown as Kernels)[kernel](...doubles);
    return doubles.flat().filter(ArrayBuffer.isView) as (Float64Array | Int32Array)[];
  };

  /** Kernels of two steps, in which the result of the first step is an output and is rounded. */
  const computeInSteps: Record<string, (args: Args) => unknown[]> = {
    linearCrossEntropy(args) {
      const [x, w, b, target, loss, count, logits, rows, n, K, ignoreIndex] = args as never[];
      const scores = compute("linear", [x, w, b, null, logits, rows, n, K, 0]).at(-1);
      const lse = new Float32Array(rows);
      const rounded = roundToBf16(scores as Float64Array);
      const lossArgs = [rounded, target, loss, lse, count, rows, n, ignoreIndex];
      const [, , meanLoss, , targetCount] = compute("crossEntropy", lossArgs);
      return [x, w, b, target, meanLoss, targetCount, logits];
    },
    residualLayerNorm(args) {
      const [x, y, w, b, , z, mean, rstd, rngState, rows, n, eps, , , subtractMean] =
        args as never[];
      const inputCount = args.slice(0, 4).filter(ArrayBuffer.isView).length;
      const r = roundToBf16(compute("residualLayerNorm", args)[inputCount] as Float64Array);
      const normalized = compute("layerNorm", [r, w, b, z, mean, rstd, rows, n, eps, subtractMean]);
      return [x, y, w, b, r, ...normalized.slice(-3), rngState];
    },
  };

  /** Checks a call. Bit i of `nulls` is 1 if the i-th optional argument is null. */
  const check = (kernel: string, values: Values, lists: number[], nulls: number, dtype: DType) => {
    if (kernel === "linearCrossEntropyBackward")
      values = { ...values, n: 8 * (values.n as number) }; // no padding
    const what = `${kernel} ${dtype} ${JSON.stringify(values)}, nulls ${nulls}`;
    const parameters = parseSignature(addon.signatures[kernel]);
    const args = createArguments(addon, kernel, values, { lists });
    for (const [i, { kind, name }] of parameters.entries()) {
      if (!isOptional(kind)) continue;
      const isNone = name === "h" && !values.activation;
      const isNeeded = kernel === "linearBackward" && name === "h"; // for its activation
      if (isNone || (nulls % 2 === 1 && !isNeeded)) args[i] = null;
      nulls >>= 1;
    }
    const roundedArgs = args.map((x, i) => {
      const isBf16 = getDType(parameters[i], dtype) === "bf16";
      return x instanceof Float32Array && isBf16 ? roundToBf16(x) : structuredClone(x);
    });
    const actual = run(kernel, parameters, roundedArgs, dtype);
    for (const [i, x] of run(kernel, parameters, roundedArgs, dtype).entries())
      assert.equal(x, actual[i], `${what}: different bits`);
    const exact = compute(kernel, args);
    const steps = computeInSteps[kernel]?.(roundedArgs).filter(ArrayBuffer.isView) as
      | Float64Array[]
      | undefined;
    const ideal = steps ?? compute(kernel, roundedArgs);
    const bufferParameters = parameters.flatMap((parameter, i) => {
      const arg = args[i];
      if (Array.isArray(arg)) return arg.map(() => parameter);
      return ArrayBuffer.isView(arg) ? [parameter] : [];
    });
    for (const [i, x] of actual.entries()) {
      const parameter = bufferParameters[i];
      if (!/OUT/.test(parameter.kind)) continue;
      // the layout of the logits depends on the backend
      if (kernel.startsWith("linearCrossEntropy") && parameter.name === "logits") continue;
      const expected = Array.from(exact[i]);
      const largest = expected.reduce(
        (m, y) => (Math.abs(y) < Infinity ? Math.max(m, Math.abs(y)) : m),
        1e-6,
      );
      const best =
        getDType(parameter, dtype) === "bf16" ? roundToBf16(ideal[i] as Float64Array) : ideal[i];
      const allowed =
        dtype === "f32" ? 0 : (/Backward/.test(kernel) ? 3 : 2) * maxError(best, expected);
      const error = maxError(x, expected);
      assert.ok(
        error <= allowed + 1e-5 * largest,
        `${what}: error of ${parameter.name} is ${error}, allowed ${allowed}, at up to ${largest}`,
      );
    }
  };

  for (const dtype of ["f32", "bf16"] as const)
    test(`linearCrossEntropy in ${dtype}: rows of classes that are not 16-byte aligned`, () => {
      const sizes = [[70, 64], [1027, 64], [1027]];
      const target = Int32Array.from({ length: 70 }, (_, i) => (i * i) % 1027);
      const on = device(name as DeviceName);
      const values = sizes.map((shape) =>
        randn(shape, { device: "ts" })
          .data()
          .map((x) => x / 4),
      );
      const toTensors = (device: DeviceName | Device) =>
        values.map((x, i) => tensor(x, { shape: sizes[i], device, requiresGrad: true }));
      const computeLoss = ([x, w, b]: Tensor[]) => {
        const targets = tensor(target, { device: x.device });
        const y = linearCrossEntropy(x.device === on ? x.to(dtype) : x, w, b, targets);
        y.backward();
        return y.item();
      };
      const expected = toTensors("ts");
      const actual = toTensors(on);
      const expectedLoss = computeLoss(expected);
      const loss = computeLoss(actual);
      const allowed = dtype === "f32" ? 1e-5 : 1e-2;
      assert.ok(
        Math.abs(loss - expectedLoss) <= allowed * expectedLoss,
        `${loss}, expected ${expectedLoss}`,
      );
      for (const [i, x] of actual.entries()) {
        const dx = Array.from((expected[i].grad as Tensor).data());
        const largest = dx.reduce((m, y) => Math.max(m, Math.abs(y)), 0);
        const error = maxError((x.grad as Tensor).data(), dx);
        assert.ok(error <= allowed * largest, `gradient ${i} is off by ${error}, up to ${largest}`);
      }
    });

  for (const [kernel, signature] of Object.entries(addon.signatures)) {
    const dtypes: DType[] = /\((F|W),/.test(signature) ? ["f32", "bf16"] : ["f32"];
    for (const dtype of dtypes)
      test(`${kernel} in ${dtype}: equals the reference, and returns the same bits again`, () => {
        for (const [seed, size] of oddSizes.entries()) {
          const lists = [size, 1, oddSizes[oddSizes.length - 1 - seed]];
          check(kernel, sampleSizes(signature, seed), lists, seed, dtype);
        }
        for (const values of largeSizes(signature)) {
          // relu and relu2 without h, as in models
          const hasNoH = values.activation === 1 || values.activation === 4;
          const nulls = kernel === "linear" && hasNoH ? 2 : 0;
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
