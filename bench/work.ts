// The work of a kernel call, by its arguments: floating-point operations, or bytes.

import type { Kernels } from "#src/backend/device.js";

type Args = readonly unknown[];

/** The work of a call, and the sizes that it is listed by. */
export interface Work {
  sizes: string;
  /** 0 for kernels that move more than they compute. */
  flops: number;
  bytes: number;
}

/** Returns the work of a call. `signature` declares the kernel's parameters, as in kernels.def. */
export function countWork(kernel: keyof Kernels, args: Args, signature = ""): Work {
  const numbers = args.filter((x): x is number => typeof x === "number");
  const count = flopCounts[kernel];
  return {
    sizes: count ? numbers.slice(0, count.sizes).join(" x ") : "",
    flops: count ? count.flops(numbers, args) : 0,
    bytes: countBytes(kernel, args, signature),
  };
}

/** The buffers that a kernel uses completely, if not all: their elements are read and written. */
const moved: Partial<Record<keyof Kernels, number[]>> = {
  sampleBatch: [2, 3],
  slice: [1],
  sliceUpdate: [0],
  embedding: [2],
};

/** Counts each buffer once, or twice if it is updated in place. */
function countBytes(kernel: keyof Kernels, args: Args, signature: string): number {
  const sizeOf = (x: unknown) =>
    [x].flat().reduce((sum: number, y) => sum + (ArrayBuffer.isView(y) ? y.byteLength : 0), 0);
  const used = moved[kernel];
  if (used) return used.reduce((sum, i) => sum + 2 * sizeOf(args[i]), 0);
  const kinds = [...signature.matchAll(/\b(INOUT|IN|OUT)(_LIST|_SCALAR|_OPT)*\(/g)];
  return args.reduce(
    (sum: number, x, i) => sum + sizeOf(x) * (kinds[i]?.[1] === "INOUT" ? 2 : 1),
    0,
  );
}

/** The floating-point operations of a kernel, and how many of its numbers describe its size. */
interface FlopCount {
  sizes: number;
  flops(numbers: number[], args: Args): number;
}

/** Returns how many of two results are computed: those that are not null. */
const countResults = (args: Args, first: number) =>
  Number(args[first] !== null) + Number(args[first + 1] !== null);

/** Returns the number of pairs of a query and a key that it attends to. */
function countPairs(heads: number, Tq: number, Tk: number, args: Args): number {
  const isCausal = args.find((x) => typeof x === "boolean");
  const T = Math.min(Tq, Tk);
  return heads * (Tq * Tk - (isCausal ? (T * (T - 1)) / 2 : 0));
}

// A matmul takes 2 FLOPs per multiply-add; attention has two per pair and channel forward, and five
// backward, one of which recomputes the scores.
const flopCounts: Partial<Record<keyof Kernels, FlopCount>> = {
  matmul: { sizes: 4, flops: ([batch, M, N, K]) => 2 * batch * M * N * K },
  linear: { sizes: 3, flops: ([M, N, K]) => 2 * M * N * K },
  linearBackward: { sizes: 3, flops: ([M, N, K], args) => 2 * M * N * K * countResults(args, 4) },
  linearCrossEntropy: { sizes: 3, flops: ([rows, n, K]) => 2 * rows * n * K },
  linearCrossEntropyBackward: {
    sizes: 3,
    flops: ([rows, n, K], args) => 2 * rows * n * K * countResults(args, 4),
  },
  attention: {
    sizes: 4,
    flops: ([heads, Tq, Tk, D], args) => 4 * D * countPairs(heads, Tq, Tk, args),
  },
  attentionBackward: {
    sizes: 4,
    flops: ([heads, Tq, Tk, D], args) => 10 * D * countPairs(heads, Tq, Tk, args),
  },
  selfAttention: {
    sizes: 4,
    flops: ([B, T, H, D], args) => 4 * D * countPairs(B * H, T, T, args),
  },
  selfAttentionBackward: {
    sizes: 4,
    flops: ([B, T, H, D], args) => 10 * D * countPairs(B * H, T, T, args),
  },
};
