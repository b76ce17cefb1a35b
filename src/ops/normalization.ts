// Normalization of rows, alone and together with what comes before it in a transformer: a branch
// joins the residual stream, and the next branch starts with the sum, normalized.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions } from "../errors.ts";
import { nextSite } from "../random.ts";
import { checkSameKind, checkWeight } from "../tensor/ndarray.ts";
import { type Backward, empty, type Tensor } from "../tensor/tensor.ts";
import { add, div, mul, sqrt, sub } from "./elementwise.ts";
import { checkProbability, dropout } from "./random.ts";
import { mean, rowsOf, variance } from "./reductions.ts";

/**
 * y = w (x - mean) / sqrt(var + eps) + b over the last axis, with the biased variance. x [..., n];
 * w, b [n]. Ba, Kiros and Hinton (2016).
 * @example
 * console.log(layerNorm(randn([2, 4]), ones([4]), zeros([4])).shape); // [ 2, 4 ]
 */
export function layerNorm(
  x: Tensor,
  w: Tensor,
  b: Tensor | null = null,
  options: { eps?: number } = {},
): Tensor {
  return normalize("layerNorm", x, w, b, options);
}

/**
 * y = x / sqrt(mean(x^2) + eps) w over the last axis.  w [n]. Zhang and Sennrich (2019).
 * @example
 * console.log(rmsNorm(randn([2, 4]), ones([4])).shape); // [ 2, 4 ]
 */
export function rmsNorm(x: Tensor, w: Tensor, options: { eps?: number } = {}): Tensor {
  return normalize("rmsNorm", x, w, null, options);
}

/** rmsNorm is layerNorm with a mean of 0, and so are its derivatives. */
function normalize(
  op: "layerNorm" | "rmsNorm",
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  options: { eps?: number },
): Tensor {
  checkOptions(op, options, ["eps"]);
  const { eps = 1e-5 } = options;
  checkNumber(op, "eps", eps, 0);
  const [rows, n] = rowsOf(op, x);
  checkWeight(op, "w", w, x, [n]);
  if (b !== null) checkWeight(op, "b", b, x, [n]);
  const { kernels } = x.device;
  const subtractMean = op === "layerNorm";
  const [y, [mu, rstd]] = [empty(x), statistics(x, rows)];
  const weights = [w.floatsAs(x.dtype), b && b.floatsAs(x.dtype)] as const;
  kernels.layerNorm(
    x.floats,
    ...weights,
    y.floats,
    mu.floats,
    rstd.floats,
    rows,
    n,
    eps,
    subtractMean,
  );
  const backward: Backward = (dy) => {
    const [dx, { grads, wanted }] = [empty(x), weightGrads(w, b)];
    const given = [x.floats, w.floatsAs(x.dtype), mu.floats, rstd.floats, dy.floats] as const;
    kernels.layerNormBackward(...given, dx.floats, ...wanted, rows, n, subtractMean);
    return [dx, ...grads];
  };
  return record(op, y, b ? [x, w, b] : [x, w], backward, [mu, rstd]);
}

/** Room for the gradients of scale and shift that are wanted, and the same as kernels take it. */
function weightGrads(w: Tensor, b: Tensor | null) {
  const dw = w.requiresGrad && w.gradBuffer();
  const db = b !== null && b.requiresGrad && b.gradBuffer();
  const wanted = [dw ? dw.floats : null, db ? db.floats : null] as const;
  return { grads: b ? [dw, db] : [dw], wanted };
}

/** Room for the means and the reciprocals of the deviations of all rows. */
function statistics(x: Tensor, rows: number): [mean: Tensor, rstd: Tensor] {
  return [empty(x, [rows], x.accumulateDType), empty(x, [rows], x.accumulateDType)];
}

/** What layerNorm means, in small ops. */
export function layerNormSpec(x: Tensor, w: Tensor, b: Tensor, eps = 1e-5): Tensor {
  const centered = sub(x, mean(x, { dim: -1, keepdim: true }));
  const deviation = sqrt(add(variance(x, { dim: -1, keepdim: true }), eps));
  return add(mul(div(centered, deviation), w), b);
}

/** What rmsNorm means, in small ops. */
export function rmsNormSpec(x: Tensor, w: Tensor, eps = 1e-5): Tensor {
  const square = mean(mul(x, x), { dim: -1, keepdim: true });
  return mul(div(x, sqrt(add(square, eps))), w);
}

/**
 * r = x + dropout(y), z = layerNorm(r), as [r, z].  x, y [..., n]; w, b [n]; `dropout` is the
 * probability that an element of y is dropped.
 * @example
 * const x = randn([2, 4]);
 * const y = randn([2, 4]);
 * const [residual, normalized] = residualLayerNorm(x, y, ones([4]), zeros([4]));
 */
export function residualLayerNorm(
  x: Tensor,
  y: Tensor,
  w: Tensor,
  b: Tensor | null = null,
  options: { eps?: number; dropout?: number } = {},
): [r: Tensor, z: Tensor] {
  return join("residualLayerNorm", x, y, w, b, options);
}

/**
 * The same with rmsNorm.
 * @example
 * const x = randn([2, 4]);
 * const y = randn([2, 4]);
 * const [residual, normalized] = residualRMSNorm(x, y, ones([4]));
 */
export function residualRMSNorm(
  x: Tensor,
  y: Tensor,
  w: Tensor,
  options: { eps?: number; dropout?: number } = {},
): [r: Tensor, z: Tensor] {
  return join("residualRMSNorm", x, y, w, null, options);
}

function join(
  op: "residualLayerNorm" | "residualRMSNorm",
  x: Tensor,
  y: Tensor,
  w: Tensor,
  b: Tensor | null,
  options: { eps?: number; dropout?: number },
): [r: Tensor, z: Tensor] {
  checkOptions(op, options, ["eps", "dropout"]);
  const { eps = 1e-5, dropout: p = 0 } = options;
  checkNumber(op, "eps", eps, 0);
  checkProbability(op, p);
  const [rows, n] = rowsOf(op, x);
  checkSameKind(op, "y", y, x, x.shape);
  checkWeight(op, "w", w, x, [n]);
  if (b !== null) checkWeight(op, "b", b, x, [n]);
  const { kernels } = x.device;
  const subtractMean = op === "residualLayerNorm";
  const [r, z, [mu, rstd]] = [empty(x), empty(x), statistics(x, rows)];
  const [rngState, site] = [x.device.rngState(), p > 0 ? nextSite() : 0];
  const results = [r.floats, z.floats, mu.floats, rstd.floats] as const;
  const inputs = [x.floats, y.floats, w.floatsAs(x.dtype), b && b.floatsAs(x.dtype)] as const;
  kernels.residualLayerNorm(...inputs, ...results, rngState, rows, n, eps, site, p, subtractMean);
  const backward = (dr?: Tensor, dz?: Tensor) => {
    const [dx, dy, { grads, wanted }] = [empty(x), p > 0 && empty(x), weightGrads(w, b)];
    const slope = dz ?? empty(x).fill(0);
    const saved = [r.floats, w.floatsAs(x.dtype), mu.floats, rstd.floats] as const;
    const given = [dr ? dr.floats : null, slope.floats] as const;
    const results = [dx.floats, dy ? dy.floats : null, ...wanted] as const;
    const sizes = [rows, n, site, p, subtractMean] as const;
    kernels.residualLayerNormBackward(...saved, ...given, ...results, rngState, ...sizes);
    return [dx, dy || dx, ...grads];
  };
  return record(op, [r, z], b ? [x, y, w, b] : [x, y, w], backward, [mu, rstd]);
}

export function residualLayerNormSpec(
  x: Tensor,
  y: Tensor,
  w: Tensor,
  b: Tensor,
  p = 0,
): [r: Tensor, z: Tensor] {
  const r = add(x, dropout(y, { p }));
  return [r, layerNormSpec(r, w, b)];
}

export function residualRMSNormSpec(
  x: Tensor,
  y: Tensor,
  w: Tensor,
  p = 0,
): [r: Tensor, z: Tensor] {
  const r = add(x, dropout(y, { p }));
  return [r, rmsNormSpec(r, w)];
}
