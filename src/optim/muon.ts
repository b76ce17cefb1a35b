// Muon: momentum whose update of each matrix is orthogonalized. Its directions then all have about
// the same size, while those of a gradient differ by orders of magnitude.

import { noGrad } from "../autograd.ts";
import { fail } from "../errors.ts";
import { relu } from "../ops/activations.ts";
import { add, div, mul, sqrt, sub } from "../ops/elementwise.ts";
import { matmul } from "../ops/matmul.ts";
import { cat, reshape, slice, transpose } from "../ops/movement.ts";
import { sum } from "../ops/reductions.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { buffersOf } from "./algorithms.ts";
import { checkValues, Optimizer, type Params, type RateOptions, type Update } from "./optimizer.ts";

/** Options of Muon: PyTorch's, and `parts`. */
export interface MuonOptions extends RateOptions {
  /** The decoupled decay of weights; default 0.1. */
  weightDecay: number;
  /** The decay rate of the average of gradients; default 0.95. */
  momentum: number;
  /** Nesterov momentum; default true. */
  nesterov: boolean;
  /** The coefficients a, b, c of the Newton-Schulz iteration. */
  nsCoefficients: readonly [number, number, number];
  /** The smallest norm that a matrix is divided by. */
  eps: number;
  /** The number of Newton-Schulz iterations. */
  nsSteps: number;
  /**
   * How the rate depends on the shape [A, B]: "original" multiplies it by sqrt(max(1, A / B)),
   * "match_rms_adamw" by 0.2 sqrt(max(A, B)), so that updates are about as large as AdamW's and one
   * rate serves both. Moonshot AI (2025).
   */
  adjustLrFn: "original" | "match_rms_adamw";
  /** The number of matrices that a parameter holds, one below the other, as c_attn does. */
  parts: number;
}

/**
 * Muon, for matrices: momentumBuffer = lerp(momentumBuffer, dw, 1 - momentum), and the update is
 * the orthogonalized momentumBuffer, or with `nesterov` lerp(dw, momentumBuffer, momentum). Weight
 * decay is decoupled, as in AdamW. Embeddings, the output head and vectors need another optimizer.
 * Jordan (2024).
 * @example
 * const layer = new nn.Linear(4, 3, { bias: false });
 * const optimizer = new optim.Muon(layer.parameters(), { lr: 0.02, weightDecay: 0 });
 * sum(layer.forward(randn([2, 4]))).backward();
 * optimizer.step();
 */
export class Muon extends Optimizer<MuonOptions> {
  constructor(params: Params<MuonOptions>, options: Partial<MuonOptions> = {}) {
    const defaults: MuonOptions = {
      lr: 1e-3,
      lrScale: 1,
      weightDecay: 0.1,
      momentum: 0.95,
      nesterov: true,
      nsCoefficients: [3.4445, -4.775, 2.0315],
      eps: 1e-7,
      nsSteps: 5,
      adjustLrFn: "original",
      parts: 1,
    };
    super("Muon", params, defaults, options, ["momentumBuffer"]);
  }

  protected override checkGroup(op: string, params: readonly Tensor[], options: MuonOptions): void {
    const { nesterov, nsCoefficients, adjustLrFn, ...numbers } = options;
    checkValues(op, numbers);
    const check = (key: keyof MuonOptions, isValid: boolean, expected: string) => {
      if (!isValid) fail(`${op}: ${key} is ${options[key]}, expected ${expected}`);
    };
    const { parts, nsSteps } = options;
    check("parts", Number.isInteger(parts) && parts >= 1, "a whole number from 1 up");
    check("nsSteps", Number.isInteger(nsSteps) && nsSteps < 100, "a whole number below 100");
    check("nesterov", typeof nesterov === "boolean", "true or false");
    const isTriple = Array.isArray(nsCoefficients) && nsCoefficients.length === 3;
    check("nsCoefficients", isTriple && nsCoefficients.every(Number.isFinite), "three numbers");
    const names = ["original", "match_rms_adamw"];
    check("adjustLrFn", names.includes(adjustLrFn), names.join(" or "));
    for (const { shape } of params) {
      if (shape.length !== 2)
        fail(`${op}: a parameter has shape ${formatShape(shape)}, expected a matrix`);
      if (shape[0] % parts !== 0)
        fail(`${op}: a parameter has ${shape[0]} rows, expected a multiple of parts, ${parts}`);
    }
  }

  protected override update(update: Update<MuonOptions>): void {
    const { kernels, params, w, dw, state, lr, foundInf, options } = update;
    const { momentum, nesterov, weightDecay } = options;
    if (params.length === 0) return;
    const scalar = (value: number) => empty(params[0], []).fill(value).floats;
    scope(() => {
      const momenta = buffersOf(state.momentumBuffer);
      kernels.lerp(momenta, dw, scalar(1 - momentum), foundInf);
      let updates = state.momentumBuffer;
      if (nesterov) {
        updates = params.map((x) => empty(x).assign(x.grad as Tensor));
        kernels.lerp(buffersOf(updates), momenta, scalar(momentum), null);
      }
      updates = noGrad(() => orthogonalizeAll(updates, options));
      // without momentum, sgd's weight decay is decoupled; it writes the velocity all the same
      const velocity = buffersOf(params.map((x) => empty(x)));
      kernels.sgd(w, buffersOf(updates), velocity, lr, foundInf, 0, weightDecay);
    });
  }
}

/**
 * Orthogonalizes all parts of matrices and multiplies them by the factor of adjustLrFn. Parts of
 * one shape are a batch, tall ones transposed.
 */
function orthogonalizeAll(list: readonly Tensor[], options: MuonOptions): Tensor[] {
  const batches = new Map<string, { factor: number; members: number[] }>();
  const wide = list.map((x, i) => {
    const rows = x.shape[0] / options.parts;
    const columns = x.shape[1];
    const factor = getFactor(rows, columns, options);
    const key = `${Math.min(rows, columns)} ${Math.max(rows, columns)} ${factor}`;
    const batch = batches.get(key) ?? { factor, members: [] };
    batch.members.push(i);
    batches.set(key, batch);
    const matrices = reshape(x, [options.parts, rows, columns]);
    return rows > columns ? transpose(matrices, 1, 2) : matrices;
  });
  const results: Tensor[] = [];
  for (const { factor, members } of batches.values()) {
    const batch = cat(members.map((i) => wide[i])); // [n, r, c]
    const result = mul(orthogonalize(batch, options), factor);
    for (const [position, i] of members.entries()) {
      const start = position * options.parts;
      const own = slice(result, { dim: 0, start, end: start + options.parts });
      const isTall = list[i].shape[0] / options.parts > list[i].shape[1];
      results[i] = reshape(isTall ? transpose(own, 1, 2) : own, list[i].shape);
    }
  }
  return results;
}

function getFactor(rows: number, columns: number, { adjustLrFn }: MuonOptions): number {
  if (adjustLrFn === "original") return Math.sqrt(Math.max(1, rows / columns));
  return 0.2 * Math.sqrt(Math.max(rows, columns));
}

/**
 * Approximates the orthogonal matrix nearest to each matrix x = U S V^T, which is U V^T, by the
 * Newton-Schulz iteration x = a x + b (x x^T) x + c (x x^T)^2 x. It applies a polynomial to the
 * singular values; five iterations bring them from anywhere in [0.01, 1] to about 0.7 to 1.2.
 * x [n, r, c] with r <= c, which makes x x^T [n, r, r] the smaller product.
 */
function orthogonalize(x: Tensor, { nsCoefficients, nsSteps, eps }: MuonOptions): Tensor {
  const [a, b, c] = nsCoefficients;
  const n = x.shape[0];
  const norm = sqrt(sum(reshape(mul(x, x), [n, -1]), { dim: 1 })); // [n]
  const divisor = add(relu(sub(norm, eps)), eps); // max(norm, eps)
  let y = div(x, reshape(divisor, [n, 1, 1])); // no singular value is above 1
  for (let i = 0; i < nsSteps; i++) {
    y = scope(() => {
      const gram = matmul(y, transpose(y, 1, 2)); // [n, r, r]
      const polynomial = add(mul(gram, b), mul(matmul(gram, gram), c)); // [n, r, r]
      return add(mul(y, a), matmul(polynomial, y)); // [n, r, c]
    });
  }
  return y;
}
