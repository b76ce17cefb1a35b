// Every kernel with all combinations of the sizes 0, 1 and 3, on every device: none may end the
// process, and all return what the reference kernel returns, or fail where it fails.

import * as assert from "uvu/assert";
import type { Buffer, Device, Kernels } from "#src/backend/device.js";
import { addonOf } from "#src/backend/platform/node.js";
import { reference } from "#src/backend/ts/index.js";
import { assertClose, eachDevice } from "../support/harness.js";
import {
  createArguments,
  type NumericArray,
  parseSignature,
  type Values,
} from "../support/kernel-calls.js";

type Kernel = (...args: unknown[]) => void;
type Argument = NumericArray | NumericArray[] | number | boolean | null;

const sizes = [0, 1, 3];
const listLengths = [[], [0], [0, 3, 0], [1, 0, 3]];
/** Parameters of the kind SIZE that are not sizes, or follow from others. */
const fixed = new Set(["site", "stream", "aStep", "bStep", "bits", "groups", "start"]);

/** Yields all combinations of sizes and flags that an op may pass to a kernel. */
function* combinations(kernel: string, signature: string): Generator<Values> {
  const parameters = parseSignature(signature).filter(
    ({ kind, name }) => (kind === "SIZE" && !fixed.has(name)) || kind === "FLAG",
  );
  const choices = parameters.map(({ kind }) => (kind === "FLAG" ? [false, true] : sizes));
  const total = choices.reduce((count, list) => count * list.length, 1);
  for (let i = 0; i < total; i++) {
    let rest = i;
    const values = Object.fromEntries(
      parameters.map(({ name }, j) => {
        const value = choices[j][rest % choices[j].length];
        rest = Math.floor(rest / choices[j].length);
        return [name, value];
      }),
    ) as Record<string, number>;
    if (kernel === "linearCrossEntropyBackward") values.n *= 8; // the rows of logits may be padded
    if (isPossible(kernel, values)) yield { ...values, start: 0, activation: 1 + (i % 4) };
  }
}

/** Returns false for sizes that ops rule out. */
function isPossible(kernel: string, values: Record<string, number>): boolean {
  const {
    n,
    na = n,
    nb = n,
    nc = n,
    outer,
    inner,
    count,
    T,
    capacity,
    parts,
    rotatedParts,
    normalizedParts,
  } = values;
  if (count > n || T > capacity || rotatedParts > parts || normalizedParts > parts) return false;
  if (n > 0 && (na === 0 || nb === 0 || nc === 0)) return false; // broadcasting nothing
  return !(kernel === "max" && n === 0 && outer * inner > 0);
}

/** The buffers whose content differs by backend: logits, and statistics of heads of no elements. */
const unspecified: Record<string, string> = {
  linearCrossEntropy: "logits",
  linearCrossEntropyBackward: "logits",
  attention: "lse",
  selfAttention: "lse",
};

/** Calls a kernel of the device. Returns the arguments after the call, or the error. */
function callOnDevice(on: Device, name: keyof Kernels, args: Argument[]): Argument[] | Error {
  const upload = (x: Argument): unknown => {
    if (Array.isArray(x)) return x.map(upload);
    if (!ArrayBuffer.isView(x)) return x;
    return on.upload(x instanceof Int32Array ? "i32" : "f32", x).buffer;
  };
  const download = (x: unknown, i: number): Argument => {
    if (Array.isArray(x)) return x.map(download) as NumericArray[];
    const isBuffer = typeof x === "object" && x !== null;
    return isBuffer ? (on.memory.read(x as Buffer) as NumericArray) : args[i];
  };
  const uploaded = args.map(upload);
  return callSafely(() => {
    (on.kernels[name] as Kernel)(...uploaded);
    return uploaded.map(download);
  });
}

function callSafely(f: () => Argument[]): Argument[] | Error {
  try {
    return f();
  } catch (error) {
    return error as Error;
  }
}

eachDevice("kernels with sizes of 0", (test, on) => {
  const addon = on.addon ?? addonOf("cpu");
  if (typeof addon === "string") {
    test.skip("needs the declarations of kernels in an addon");
    return;
  }
  for (const [name, signature] of Object.entries(addon.signatures)) {
    test(name, () => {
      const hasLists = /_LIST\(/.test(signature);
      for (const values of combinations(name, signature)) {
        for (const lists of hasLists ? listLengths : [[]]) {
          const what = `${name}(${JSON.stringify(hasLists ? lists : values)})`;
          const create = () => createArguments(addon, name, values, { lists }) as Argument[];
          const expectedArgs = create();
          const expected = callSafely(() => {
            (reference[name as keyof Kernels] as Kernel)(...expectedArgs);
            return expectedArgs;
          });
          const actual = callOnDevice(on, name as keyof Kernels, create());
          if (expected instanceof Error || actual instanceof Error) {
            assert.is(String(actual instanceof Error), String(expected instanceof Error), what);
            continue;
          }
          for (const [i, parameter] of parseSignature(signature).entries()) {
            if (parameter.name === unspecified[name]) continue;
            const [a, e] = [actual[i], expected[i]].map((x) => (Array.isArray(x) ? x : [x]));
            a.forEach((x, j) => {
              if (ArrayBuffer.isView(x))
                assertClose(x, e[j] as NumericArray, { rtol: 1e-5, atol: 1e-5, what });
            });
          }
        }
      }
    });
  }
});
