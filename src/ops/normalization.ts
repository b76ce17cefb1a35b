// Normalization of rows, by itself and fused with the addition before it in a transformer: a branch
// is added to the residual stream, and the next branch starts with the norm of the sum.

import { record } from "../autograd.ts";
import { checkNumber, checkOptions } from "../errors.ts";
import { nextSite } from "../random.ts";
import { checkSameKind, checkWeight } from "../tensor/ndarray.ts";
import { empty, type Tensor } from "../tensor/tensor.ts";
import { add, div, mul, sqrt, sub } from "./elementwise.ts";
import { checkProbability, dropout } from "./random.ts";
import { mean, variance } from "./reductions.ts";
import { rowSizes } from "./rows.ts";

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
  return normalize("layerNorm", true, x, w, b, options);
}

/** The reference for layerNorm(), composed of small ops. */
export function layerNormSpec(x: Tensor, w: Tensor, b: Tensor, eps = 1e-5): Tensor {
  const centered = sub(x, mean(x, { dim: -1, keepdim: true }));
  const deviation = sqrt(add(variance(x, { dim: -1, keepdim: true }), eps));
  return add(mul(div(centered, deviation), w), b);
}

/**
 * y = w x / sqrt(mean(x^2) + eps) over the last axis. x [..., n]; w [n]. Zhang and Sennrich (2019).
 * @example
 * console.log(rmsNorm(randn([2, 4]), ones([4])).shape); // [ 2, 4 ]
 */
export function rmsNorm(x: Tensor, w: Tensor, options: { eps?: number } = {}): Tensor {
  return normalize("rmsNorm", false, x, w, null, options);
}

/** The reference for rmsNorm(), composed of small ops. */
export function rmsNormSpec(x: Tensor, w: Tensor, eps = 1e-5): Tensor {
  const meanSquare = mean(mul(x, x), { dim: -1, keepdim: true });
  return mul(div(x, sqrt(add(meanSquare, eps))), w);
}

/** Both norms: rmsNorm is layerNorm with the mean fixed at 0, in forward and backward. */
function normalize(
  op: string,
  subtractMean: boolean,
  x: Tensor,
  w: Tensor,
  b: Tensor | null,
  options: { eps?: number },
): Tensor {
  checkOptions(op, options, ["eps"]);
  const { eps = 1e-5 } = options;
  checkNumber(op, "eps", eps, 0);
  const [rows, n] = rowSizes(op, x);
  checkWeight(op, "w", w, x, [n]);
  if (b !== null) checkWeight(op, "b", b, x, [n]);
  const { kernels } = x.device;
  const y = empty(x);
  const rowMean = empty(x, [rows], x.accumulateDType);
  const rstd = empty(x, [rows], x.accumulateDType); // 1 / sqrt(var + eps)
  kernels.layerNorm(
    x.floats,
    w.floatsAs(x.dtype),
    b && b.floatsAs(x.dtype),
    y.floats,
    rowMean.floats,
    rstd.floats,
    rows,
    n,
    eps,
    subtractMean,
  );
  const backward = (dy: Tensor) => {
    const dx = empty(x);
    const dw = w.gradBuffer();
    const db = b && b.gradBuffer();
    kernels.layerNormBackward(
      x.floats,
      w.floatsAs(x.dtype),
      rowMean.floats,
      rstd.floats,
      dy.floats,
      dx.floats,
      dw && dw.floats,
      db && db.floats,
      rows,
      n,
      subtractMean,
    );
    return [dx, dw, db];
  };
  return record(op, y, b ? [x, w, b] : [x, w], backward, [rowMean, rstd]);
}

/**
 * r = x + dropout(y), z = layerNorm(r), as [r, z]. x, y [..., n]; w, b [n]; `dropout` is the
 * probability that an element of y is zeroed.
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
  return addAndNormalize("residualLayerNorm", true, x, y, w, b, options);
}

/** The reference for residualLayerNorm(), composed of small ops. */
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

/**
 * r = x + dropout(y), z = rmsNorm(r), as [r, z]. x, y [..., n]; w [n].
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
  return addAndNormalize("residualRMSNorm", false, x, y, w, null, options);
}

/** The reference for residualRMSNorm(), composed of small ops. */
export function residualRMSNormSpec(
  x: Tensor,
  y: Tensor,
  w: Tensor,
  p = 0,
): [r: Tensor, z: Tensor] {
  const r = add(x, dropout(y, { p }));
  return [r, rmsNormSpec(r, w)];
}

function addAndNormalize(
  op: string,
  subtractMean: boolean,
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
  const [rows, n] = rowSizes(op, x);
  checkSameKind(op, "y", y, x, x.shape);
  checkWeight(op, "w", w, x, [n]);
  if (b !== null) checkWeight(op, "b", b, x, [n]);
  const { kernels } = x.device;
  const rngState = x.device.rngState();
  const site = p > 0 ? nextSite() : 0; // backward uses the same site, so the same dropout mask
  const r = empty(x);
  const z = empty(x);
  const rowMean = empty(x, [rows], x.accumulateDType);
  const rstd = empty(x, [rows], x.accumulateDType);
  kernels.residualLayerNorm(
    x.floats,
    y.floats,
    w.floatsAs(x.dtype),
    b && b.floatsAs(x.dtype),
    r.floats,
    z.floats,
    rowMean.floats,
    rstd.floats,
    rngState,
    rows,
    n,
    eps,
    site,
    p,
    subtractMean,
  );
  const backward = (dr: Tensor | undefined, dz: Tensor | undefined) => {
    const dx = empty(x);
    const dy = p > 0 ? empty(x) : null; // without dropout dy is dx
    const dw = w.gradBuffer();
    const db = b && b.gradBuffer();
    const dzOrZeros = dz ?? empty(x).fill(0);
    kernels.residualLayerNormBackward(
      r.floats,
      w.floatsAs(x.dtype),
      rowMean.floats,
      rstd.floats,
      dr ? dr.floats : null,
      dzOrZeros.floats,
      dx.floats,
      dy && dy.floats,
      dw && dw.floats,
      db && db.floats,
      rngState,
      rows,
      n,
      site,
      p,
      subtractMean,
    );
    return [dx, dy ?? dx, dw, db];
  };
  return record(op, [r, z], b ? [x, y, w, b] : [x, y, w], backward, [rowMean, rstd]);
}
