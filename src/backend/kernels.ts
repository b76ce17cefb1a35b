// The kernel interface: every kernel once, with its formula; the elementwise ones are in
// elementwise-kernels.ts. All backends implement it.
//
// A kernel is a plain function over flat buffers: inputs, outputs, saved values, then sizes. It
// checks no shapes (ops do) and allocates nothing. Outputs are overwritten unless the line says +=.
// Any size may be 0: the sum of no elements is 0, and a kernel without outputs returns at once.
// Gradients of weights (dw, db), statistics and scalars are f32 where the others are bf16. The
// comment of each kernel states its formula and the shapes of its buffers; [outer, n, inner] is a
// dense array seen from one axis.

import type { ElementwiseKernels } from "./elementwise-kernels.ts";

/** Floats of a buffer: f32, or f64 where gradients are checked in double precision. */
export type Floats = Float32Array | Float64Array;
/** Element types of tensors. bf16 is supported on cuda only. */
export type DType = "f32" | "f64" | "i32" | "bf16";
export type List<T> = readonly T[];

/** F is a buffer of floats, I one of 32-bit integers, as the device holds them. */
export interface Kernels<F = Floats, I = Int32Array> extends ElementwiseKernels<F, I> {
  // ---- matmul: tiles

  /**
   * For each i of a batch: c_i = op(a_i) op(b_i), or += if `accumulate`. c_i [M, N]; op transposes
   * the stored a_i [K, M] to [M, K] if `transA`, b_i [N, K] to [K, N] if `transB`. a_i starts at i
   * aStep, b_i at i bStep: step 0 shares one matrix with the whole batch.
   */
  matmul(a: F, b: F, c: F, batch: number, M: number, N: number, K: number, aStep: number,
    bStep: number, transA: boolean, transB: boolean, accumulate: boolean): void;
  /**
   * y = f(h), h = x w^T + b; h is stored if it is not null. `activation` is the code of f: 0 none,
   * 1 relu, 2 gelu, 3 geluTanh, 4 relu2.  x [M, K], w [N, K], b [N], h, y [M, N]
   */
  linear(x: F, w: F, b: F | null, h: F | null, y: F, M: number, N: number, K: number,
    activation: number): void;
  /**
   * dx = dy w, dw = dy^T x, db = the column sums of dy; each is computed if it is not null. If h is
   * not null, x = f(h) comes from the layer before, and dx is the gradient of h: (dy w) f'(h). For
   * relu h may be x itself, for relu2 it must be: f' is a function of x.  h [M, K]
   */
  linearBackward(x: F, w: F, h: F | null, dy: F, dx: F | null, dw: F | null, db: F | null,
    M: number, N: number, K: number, activation: number): void;

  // ---- reductions, softmax, normalization, loss: each output needs a whole row

  /** y[o, i] = sum over j of x[o, j, i].  x [outer, n, inner], y [outer, inner] */
  sum(x: F, y: F, outer: number, n: number, inner: number): void;
  /** y[o, i] = max over j of x[o, j, i]; index is the first such j; NaN is the maximum. */
  max(x: F, y: F, index: I, outer: number, n: number, inner: number): void;
  /** dx[o, index, i] = dy[o, i], all else 0 */
  maxBackward(dy: F, index: I, dx: F, outer: number, n: number, inner: number): void;
  /** y = e^x / sum(e^x) of each row.  x, y [rows, n] */
  softmax(x: F, y: F, rows: number, n: number): void;
  /** dx = y (dy - sum(dy y)) */
  softmaxBackward(y: F, dy: F, dx: F, rows: number, n: number): void;
  /** y = x - log(sum(e^x)) of each row */
  logSoftmax(x: F, y: F, rows: number, n: number): void;
  /** dx = dy - e^y sum(dy) */
  logSoftmaxBackward(y: F, dy: F, dx: F, rows: number, n: number): void;
  /**
   * y = (x - mean) rstd w + b, rstd = 1 / sqrt(mean((x - mean)^2) + eps). Without
   * `subtractMean` the mean is 0: rmsNorm.  x, y [rows, n]; w, b [n]; mean, rstd [rows]
   */
  layerNorm(x: F, w: F, b: F | null, y: F, mean: F, rstd: F, rows: number, n: number,
    eps: number, subtractMean: boolean): void;
  /** dx [rows, n]; dw, db [n], each computed if it is not null */
  layerNormBackward(x: F, w: F, mean: F, rstd: F, dy: F, dx: F, dw: F | null, db: F | null,
    rows: number, n: number, subtractMean: boolean): void;
  /**
   * r = x + dropout(y), z = layerNorm(r): adds a branch to the residual stream and normalizes.
   * x, y, r, z [rows, n]; w, b [n]; mean, rstd [rows]; p = 0 drops nothing
   */
  residualLayerNorm(x: F, y: F, w: F, b: F | null, r: F, z: F, mean: F, rstd: F, rngState: I,
    rows: number, n: number, eps: number, site: number, p: number, subtractMean: boolean): void;
  /**
   * dx = dr + the gradient of layerNorm by r, dy = dropout(dx). A dr of null counts as 0; dy, dw
   * and db are computed if they are not null.  dx, dy [rows, n]; dw, db [n]
   */
  residualLayerNormBackward(r: F, w: F, mean: F, rstd: F, dr: F | null, dz: F, dx: F,
    dy: F | null, dw: F | null, db: F | null, rngState: I, rows: number, n: number, site: number,
    p: number, subtractMean: boolean): void;
  /**
   * loss[0] = mean of max_r + lse_r - x[r, target_r] over the count[0] rows whose target is not
   * ignoreIndex; max_r is the maximum of the row, lse_r = log(sum(e^(x_r - max_r))): not added to
   * each other, which would lose precision in f32.  x [rows, n]; target, lse [rows]; loss, count
   * [1]; throws if a target is not in 0..n-1
   */
  crossEntropy(x: F, target: I, loss: F, lse: F, count: F, rows: number, n: number,
    ignoreIndex: number): void;
  /** dx[r, j] = (e^(x[r, j] - max_r - lse_r) - [j = target_r]) dy[0] / count[0]; 0 if ignored */
  crossEntropyBackward(x: F, target: I, lse: F, count: F, dy: F, dx: F, rows: number, n: number,
    ignoreIndex: number): void;
  /**
   * crossEntropy of linear: logits = x w^T + b, overwritten by d loss / d logits.  x [rows, K],
   * w [n, K], b [n], loss, count [1]; logits [rows, n + 7], padded as the backend prefers
   */
  linearCrossEntropy(x: F, w: F, b: F | null, target: I, loss: F, count: F, logits: F, rows: number,
    n: number, K: number, ignoreIndex: number): void;
  /** logits *= dy[0]; dx = logits w, dw = logits^T x, db = column sums; each if it is not null */
  linearCrossEntropyBackward(x: F, w: F, logits: F, dy: F, dx: F | null, dw: F | null, db: F | null,
    rows: number, n: number, K: number): void;

  // ---- movement: data moves, nothing is computed

  /** y[i] = x[i], converted to y's type */
  copy(x: F | I, y: F | I, n: number): void;
  fill(y: F | I, value: number, n: number): void;
  /** y[o, q, p, i] = x[o, p, q, i].  x [outer, p, q, inner] */
  transpose(x: F | I, y: F | I, outer: number, p: number, q: number, inner: number): void;
  /** y[o, j, i] = x[o, i] for every j: the derivative of sum.  y [outer, n, inner] */
  expand(x: F | I, y: F | I, outer: number, n: number, inner: number): void;
  /** y[o, j, i] = x[o, start + j, i].  x [outer, n, inner], y [outer, count, inner] */
  slice(x: F | I, y: F | I, outer: number, n: number, inner: number, start: number,
    count: number): void;
  /** y[o, start + j, i] = x[o, j, i], the rest of y is unchanged: the derivative of slice */
  sliceUpdate(x: F | I, y: F | I, outer: number, n: number, inner: number, start: number,
    count: number): void;
  /** y[r] = w[idx[r]].  idx [rows], w [V, C], y [rows, C]; throws if an index is not in 0..V-1 */
  embedding(idx: I, w: F, y: F, rows: number, V: number, C: number): void;
  /** dw[v] = sum of dy[r] over the rows with idx[r] = v, in the order of rows */
  embeddingBackward(idx: I, dy: F, dw: F, rows: number, V: number, C: number): void;

  // ---- quantized weights. w holds Q [N, K], integers from -2^(bits-1) to 2^(bits-1) - 1 with 8 or
  // 4 `bits`, packed into 32-bit words: each row starts with a new word, its first number in the
  // lowest bits. The weights are W[n, k] = scale[n, g] Q[n, k]: scale [N, groups] has one number
  // for a row (groups = 1, g = 0), or one for each 32 columns (groups = K / 32 rounded up, g = k
  // div 32)

  /** y = f(x W^T + b); f by `activation`, as in linear.  x [M, K], b [N], y [M, N] */
  linearQuantized(x: F, w: I, scale: F, b: F | null, y: F, M: number, N: number, K: number,
    groups: number, bits: number, activation: number): void;
  /** y[r] = W[idx[r]].  idx [rows], W [V, C], y [rows, C]; throws if an index is not in 0..V-1 */
  embeddingQuantized(idx: I, w: I, scale: F, y: F, rows: number, V: number, C: number,
    groups: number, bits: number): void;

  // ---- attention. Causal: query i attends to keys j <= i + Tk - Tq. Dropout: like `dropout` for
  // element ((b H + h) Tq + i) Tk + j of the probabilities.

  /**
   * y_i = sum_j P_ij v_j, P = softmax(q k^T / sqrt D), per head; lse saves log(sum(e^scores)).
   * q, y [heads, Tq, D]; k, v [heads, Tk, D]; lse [heads, Tq]
   */
  attention(q: F, k: F, v: F, y: F, lse: F, rngState: I, heads: number, Tq: number, Tk: number,
    D: number, causal: boolean, site: number, p: number): void;
  attentionBackward(q: F, k: F, v: F, y: F, lse: F, dy: F, dq: F, dk: F, dv: F, rngState: I,
    heads: number, Tq: number, Tk: number, D: number, causal: boolean, site: number,
    p: number): void;
  /** attention() of one projection: qkv [B, T, 3, H, D], y [B, T, H, D], lse [B, H, T] */
  selfAttention(qkv: F, y: F, lse: F, rngState: I, B: number, T: number, H: number, D: number,
    causal: boolean, site: number, p: number): void;
  selfAttentionBackward(qkv: F, y: F, lse: F, dy: F, dqkv: F, rngState: I, B: number, T: number,
    H: number, D: number, causal: boolean, site: number, p: number): void;
  /**
   * Writes the keys and values of T new tokens into the cache at length[0], then attends causally
   * over all of its tokens. qkv [B, T, 3, H, D]; cache [B, capacity, 2, H, D]; y [B, T, H, D];
   * length [1]
   */
  cachedAttention(qkv: F, cache: F, length: I, y: F, B: number, T: number, H: number, D: number,
    capacity: number): void;

  /**
   * Rotates pairs of channels by angles proportional to a token's position, in the first
   * `rotatedParts` parts of x; the others are copied: (a, b) to (a cos - b sin, a sin + b cos), or
   * back if `inverse`. a is x[.., 0, i], b is x[.., 1, i]; x, y [B, T, parts, H, 2, halfD]; table
   * [capacity, 2, halfD]: the cosines and sines of each position. Token t has position length[0] +
   * t, or t if length is null; throws if it is not below capacity
   */
  rotary(x: F, table: F, length: I | null, y: F, B: number, T: number, parts: number, H: number,
    halfD: number, capacity: number, rotatedParts: number, inverse: boolean): void;
  /**
   * y = R(x / sqrt(mean(x^2) + eps)) for each head of the first `normalizedParts` parts of x; the
   * others are copied. R rotates as in `rotary`, or not at all if table is null; the last channel
   * of an odd D is not rotated.  x, y [B, T, parts, H, D]; table [capacity, D]
   */
  qkNorm(x: F, table: F | null, length: I | null, y: F, B: number, T: number, parts: number,
    H: number, D: number, capacity: number, normalizedParts: number, eps: number): void;
  /** With rstd = 1 / sqrt(mean(x^2) + eps) and g = R^-1 dy: dx = rstd (g - x rstd^2 mean(g x)) */
  qkNormBackward(x: F, table: F | null, length: I | null, dy: F, dx: F, B: number, T: number,
    parts: number, H: number, D: number, capacity: number, normalizedParts: number,
    eps: number): void;
  /**
   * y[b, t] = x[b, t] + w x[b, t - 1], where x[b, -1] is previous[b], or 0 if that is null.
   * x, y [B, T, C]; w [C]; previous [B, C]
   */
  tokenShift(x: F, w: F, previous: F | null, y: F, B: number, T: number, C: number): void;
  /**
   * dx[b, t] = dy[b, t] + w dy[b, t + 1]; dw = the sum of dy[b, t] x[b, t - 1] over b and t, if it
   * is not null.  dx, dy [B, T, C]; dw [C]
   */
  tokenShiftBackward(x: F, w: F, previous: F | null, dy: F, dx: F, dw: F | null, B: number,
    T: number, C: number): void;

  // ---- optimizers: in place, over lists of buffers; the i-th buffers of all lists belong to one
  // parameter. The learning rate lr [1] and the counts of updates t [1] are in buffers, since a
  // captured step is replayed with other values. Nothing is changed if foundInf[0] is not 0

  /** velocity = momentum velocity + dw + weightDecay w; w -= lr velocity */
  sgd(w: List<F>, dw: List<F>, velocity: List<F>, lr: F, foundInf: F | null,
    momentum: number, weightDecay: number): void;
  /**
   * t += 1; g = dw + l2 w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= lr
   * weightDecay w + lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps); copies = w in bf16
   */
  adamw(w: List<F>, dw: List<F>, m: List<F>, v: List<F>, copies: List<F>, t: List<F>, lr: F,
    foundInf: F | null, beta1: number, beta2: number, eps: number, weightDecay: number,
    l2: number): void;
  /** y += weight[0] (x - y) */
  lerp(y: List<F>, x: List<F>, weight: F, foundInf: F | null): void;
  /** total[0] = sum(x^2) over the whole list */
  sumSquares(x: List<F>, total: F): void;
  /** x *= min(1, maxNorm / (sqrt(total[0]) + 1e-6)) */
  clip(x: List<F>, total: F, maxNorm: number): void;
  /** foundInf[0] = 1 if x[0] is not finite; otherwise it is unchanged */
  checkFinite(x: F, foundInf: F): void;

  // ---- distributed

  /**
   * x = its sum over all ranks of the process group, in place; the lists of all ranks have the
   * same lengths. Every rank has the same bits: on cpu the terms are added in the order of ranks,
   * on cuda in an order that NCCL chooses. In a single process it does nothing
   */
  allReduce(x: List<F>): void;

  // ---- random

  /**
   * y_i = x_i scale, or 0 if the 16 bits of element i are below t = round(65536 p);
   * scale = 65536 / (65536 - t). The bits are those of word (i mod 8) div 2 (low half first) of
   * Philox at counter (i div 8, rngState[3] + site, step, dropout stream).
   * rngState = [key low, key high, step, site offset]
   */
  dropout(x: F, y: F, rngState: I, n: number, site: number, p: number): void;
  /**
   * x, y [B, T]: pieces of the n tokens, and the same one token later. Piece b starts at the upper
   * 32 of the 64 bits of w (n - T), where w is word b of Philox at the counter [key low, key high,
   * step, site]
   */
  sampleBatch(tokens: I, counter: I, x: I, y: I, n: number, B: number, T: number,
    stream: number): void;
}
