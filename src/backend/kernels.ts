// The kernel interface: every kernel once, with its formula. All backends implement it.
//
// A kernel is a plain function over flat buffers: inputs, outputs, saved values, then sizes. It
// checks no shape (ops do) and allocates nothing. Outputs are overwritten unless the line says +=.
// Gradients of weights (dw, db), statistics and scalars are f32 where the others are bf16.
// The comment behind each kernel gives the buffers' shapes; [outer, n, inner] is a dense array seen
// from one axis.

/** Floats of a buffer: f32, or f64 where gradients are checked in double precision. */
export type Floats = Float32Array | Float64Array;
/** Element types of tensors. bf16 is supported on cuda only. */
export type DType = "f32" | "f64" | "i32" | "bf16";
export type List<T> = readonly T[];

/** F is a buffer of floats, I one of 32-bit integers, as the device holds them. */
export interface Kernels<F = Floats, I = Int32Array> {
  // ---- elementwise: element i of the output comes from element i of the inputs; all have n
  // elements

  /** y = a + b. Operands shorter than n repeat: a_i is a[i mod na]. So for sub, mul, div. */
  add(a: F, b: F, y: F, na: number, nb: number, n: number): void;
  sub(a: F, b: F, y: F, na: number, nb: number, n: number): void;
  mul(a: F, b: F, y: F, na: number, nb: number, n: number): void;
  div(a: F, b: F, y: F, na: number, nb: number, n: number): void;
  /** y = cond != 0 ? a : b. All three repeat. */
  where(cond: I, a: F, b: F, y: F, nc: number, na: number, nb: number, n: number): void;
  /** y = x^exponent */
  pow(x: F, y: F, n: number, exponent: number): void;
  neg(x: F, y: F, n: number): void;
  exp(x: F, y: F, n: number): void;
  log(x: F, y: F, n: number): void;
  sqrt(x: F, y: F, n: number): void;
  sin(x: F, y: F, n: number): void;
  cos(x: F, y: F, n: number): void;
  abs(x: F, y: F, n: number): void;
  /** dx = dy sign(x) */
  absBackward(x: F, dy: F, dx: F, n: number): void;
  tanh(x: F, y: F, n: number): void;
  /** dx = dy (1 - y^2) */
  tanhBackward(y: F, dy: F, dx: F, n: number): void;
  /** y = max(x, 0) */
  relu(x: F, y: F, n: number): void;
  /** dx = y <= 0 ? 0 : dy */
  reluBackward(y: F, dy: F, dx: F, n: number): void;
  /** y = 1 / (1 + e^-x) */
  sigmoid(x: F, y: F, n: number): void;
  /** dx = dy y (1 - y) */
  sigmoidBackward(y: F, dy: F, dx: F, n: number): void;
  /** y = x sigmoid(x) */
  silu(x: F, y: F, n: number): void;
  siluBackward(x: F, dy: F, dx: F, n: number): void;
  /** y = x Phi(x), Phi(x) = (1 + erf(x / sqrt 2)) / 2 */
  gelu(x: F, y: F, n: number): void;
  geluBackward(x: F, dy: F, dx: F, n: number): void;
  /** y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
  geluTanh(x: F, y: F, n: number): void;
  geluTanhBackward(x: F, dy: F, dx: F, n: number): void;
  /** y += x */
  accumulate(x: F, y: F, n: number): void;

  // ---- matmul: tiles

  /**
   * For each i of a batch: c_i = op(a_i) op(b_i), or += if `accumulate`. c_i [M, N]; op transposes
   * the stored a_i [K, M] to [M, K] if `transA`, b_i [N, K] to [K, N] if `transB`. a_i begins at i
   * aStep, b_i at i bStep: step 0 shares one matrix with the whole batch.
   */
  matmul(a: F, b: F, c: F, batch: number, M: number, N: number, K: number, aStep: number,
    bStep: number, transA: boolean, transB: boolean, accumulate: boolean): void;
  /**
   * y = f(h), h = x w^T + b; h itself is kept where it is wanted, unless f is none. f by
   * `activation`: 0 none, 1 relu, 2 gelu, 3 geluTanh.  x [M, K], w [N, K], b [N], h, y [M, N]
   */
  linear(x: F, w: F, b: F | null, h: F | null, y: F, M: number, N: number, K: number,
    activation: number): void;
  /**
   * dx = dy w, dw = dy^T x, db = the sums of dy's columns: those that are wanted. Where x is f(h)
   * itself, of the layer before, dx is the gradient of h instead: (dy w) f'(h). h is what f' is
   * written in: x for relu, else what f was applied to; null if f is none.  h [M, K]
   */
  linearBackward(x: F, w: F, h: F | null, dy: F, dx: F | null, dw: F | null, db: F | null,
    M: number, N: number, K: number, activation: number): void;

  // ---- rows: each output needs a whole row

  /** y[o, i] = sum over j of x[o, j, i].  x [outer, n, inner], y [outer, inner] */
  sum(x: F, y: F, outer: number, n: number, inner: number): void;
  /** y[o, i] = max over j of x[o, j, i]; index: the first j that has it; NaN counts as largest. */
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
   * y = (x - mean) rstd w + b, rstd = 1 / sqrt(mean((x - mean)^2) + eps). If it is not
   * `subtractMean`, mean counts as 0: that is rmsNorm.  x, y [rows, n]; w, b [n]; mean, rstd [rows]
   */
  layerNorm(x: F, w: F, b: F | null, y: F, mean: F, rstd: F, rows: number, n: number,
    eps: number, subtractMean: boolean): void;
  /** dx [rows, n]; dw, db [n]: those of the two that are wanted */
  layerNormBackward(x: F, w: F, mean: F, rstd: F, dy: F, dx: F, dw: F | null, db: F | null,
    rows: number, n: number, subtractMean: boolean): void;
  /**
   * r = x + dropout(y), z = layerNorm(r): what joins a branch to the residual stream.  x, y, r, z
   * [rows, n]; w, b [n]; mean, rstd [rows]; p = 0 drops nothing
   */
  residualLayerNorm(x: F, y: F, w: F, b: F | null, r: F, z: F, mean: F, rstd: F, rngState: I,
    rows: number, n: number, eps: number, site: number, p: number, subtractMean: boolean): void;
  /**
   * dx = dr + what flows back through the normalization, dy = dropout(dx).  dr may be null: then it
   * is 0; of dy, dw and db those are given that are wanted. dx, dy [rows, n]; dw, db [n]
   */
  residualLayerNormBackward(r: F, w: F, mean: F, rstd: F, dr: F | null, dz: F, dx: F,
    dy: F | null, dw: F | null, db: F | null, rngState: I, rows: number, n: number, site: number,
    p: number, subtractMean: boolean): void;
  /**
   * loss[0] = mean of max_r + lse_r - x[r, target_r] over the count[0] rows whose target is not
   * ignoreIndex; max_r is the row's largest element, lse_r = log(sum(e^(x_r - max_r))): apart from
   * each other, since f32 could not add them without loss. x [rows, n]; target, lse [rows]; loss,
   * count [1]; throws if a target is not in 0..n-1
   */
  crossEntropy(x: F, target: I, loss: F, lse: F, count: F, rows: number, n: number,
    ignoreIndex: number): void;
  /** dx[r, j] = (e^(x[r, j] - max_r - lse_r) - [j = target_r]) dy[0] / count[0]; 0 if ignored */
  crossEntropyBackward(x: F, target: I, lse: F, count: F, dy: F, dx: F, rows: number, n: number,
    ignoreIndex: number): void;
  /**
   * crossEntropy of linear: logits = x w^T + b, overwritten by d loss / d logits.  x [rows, K],
   * w [n, K], b [n], loss, count [1]; logits: room for [rows, n + 7], laid out as the floor likes
   */
  linearCrossEntropy(x: F, w: F, b: F | null, target: I, loss: F, count: F, logits: F, rows: number,
    n: number, K: number, ignoreIndex: number): void;
  /** logits *= dy[0]; dx = logits w, dw = logits^T x, db = column sums: those that are wanted */
  linearCrossEntropyBackward(x: F, w: F, logits: F, dy: F, dx: F | null, dw: F | null, db: F | null,
    rows: number, n: number, K: number): void;

  // ---- movement: data moves, nothing is computed

  /** y[i] = x[i], converted to y's type */
  copy(x: F | I, y: F | I, n: number): void;
  fill(y: F | I, value: number, n: number): void;
  /** y[o, q, p, i] = x[o, p, q, i].  x [outer, p, q, inner] */
  transpose(x: F | I, y: F | I, outer: number, p: number, q: number, inner: number): void;
  /** y[o, j, i] = x[o, i] for every j: sum in reverse.  y [outer, n, inner] */
  expand(x: F | I, y: F | I, outer: number, n: number, inner: number): void;
  /** y[o, j, i] = x[o, start + j, i].  x [outer, n, inner], y [outer, count, inner] */
  slice(x: F | I, y: F | I, outer: number, n: number, inner: number, start: number,
    count: number): void;
  /** y[o, start + j, i] = x[o, j, i], the rest of y stays: slice in reverse */
  sliceUpdate(x: F | I, y: F | I, outer: number, n: number, inner: number, start: number,
    count: number): void;
  /** y[r] = w[idx[r]].  idx [rows], w [V, C], y [rows, C]; throws if an index is not in 0..V-1 */
  embedding(idx: I, w: F, y: F, rows: number, V: number, C: number): void;
  /** dw[v] = sum of dy[r] over the rows with idx[r] = v, in the order of rows */
  embeddingBackward(idx: I, dy: F, dw: F, rows: number, V: number, C: number): void;

  // ---- quantized: weights of a few bits, read as they lie. w is Q [N, K], the whole numbers from
  // -2^(bits-1) to 2^(bits-1) - 1 that `bits`, 8 or 4, can hold, packed into words of 32: each row
  // begins with a new word, its first number in the lowest bits. What they stand for is
  // W[n, k] = scale[n, g] Q[n, k]: scale [N, groups] has one number for a row (groups = 1, g = 0),
  // or one for each 32 columns (groups = K / 32, rounded up, g = k div 32)

  /** y = f(x W^T + b); f by `activation`, as in linear.  x [M, K], b [N], y [M, N] */
  linearQuantized(x: F, w: I, scale: F, b: F | null, y: F, M: number, N: number, K: number,
    groups: number, bits: number, activation: number): void;
  /** y[r] = W[idx[r]].  idx [rows], W [V, C], y [rows, C]; throws if an index is not in 0..V-1 */
  embeddingQuantized(idx: I, w: I, scale: F, y: F, rows: number, V: number, C: number,
    groups: number, bits: number): void;

  // ---- attention: rows of tiles. Causal: query i sees key j <= i + Tk - Tq. Dropout: as `dropout`
  // does for element ((b H + h) Tq + i) Tk + j of the probabilities.

  /**
   * y_i = sum_j P_ij v_j, P = softmax(q k^T / sqrt D), per head; lse saves log(sum(e^scores)).
   * q, y [heads, Tq, D]; k, v [heads, Tk, D]; lse [heads, Tq]
   */
  attention(q: F, k: F, v: F, y: F, lse: F, rngState: I, heads: number, Tq: number, Tk: number,
    D: number, causal: boolean, site: number, p: number): void;
  attentionBackward(q: F, k: F, v: F, y: F, lse: F, dy: F, dq: F, dk: F, dv: F, rngState: I,
    heads: number, Tq: number, Tk: number, D: number, causal: boolean, site: number,
    p: number): void;
  /**
   * The same in the layout of one projection: qkv [B, T, 3, H, D] and y [B, T, H, D]; lse [B, H, T]
   */
  selfAttention(qkv: F, y: F, lse: F, rngState: I, B: number, T: number, H: number, D: number,
    causal: boolean, site: number, p: number): void;
  selfAttentionBackward(qkv: F, y: F, lse: F, dy: F, dqkv: F, rngState: I, B: number, T: number,
    H: number, D: number, causal: boolean, site: number, p: number): void;
  /**
   * Writes the keys and values of T new tokens into the cache at length[0], then attends causally
   * over all that it holds. qkv [B, T, 3, H, D]; cache [B, capacity, 2, H, D]; y [B, T, H, D];
   * length [1]
   */
  cachedAttention(qkv: F, cache: F, length: I, y: F, B: number, T: number, H: number, D: number,
    capacity: number): void;

  /**
   * Turns pairs of channels by angles that grow with a token's place, in all parts of x but those
   * from `turned` on, which are copied: (a, b) to (a cos - b sin, a sin + b cos), or back if
   * `inverse`. a is x[.., 0, i], b is x[.., 1, i]; x, y [B, T, parts, H, 2, half]; table
   * [capacity, 2, half]: the cosines and the sines of each place. Token t has place length[0] + t,
   * t if length is null; throws if it is not below capacity
   */
  rotary(x: F, table: F, length: I | null, y: F, B: number, T: number, parts: number, H: number,
    half: number, capacity: number, turned: number, inverse: boolean): void;

  // ---- optimizer: in place, over all elements of lists of buffers, the i-th ones of which belong
  // to one parameter. lr [1] is the learning rate, each t [1] counts updates: they lie in buffers,
  // not in the call, so that a recorded step can be replayed with other values

  /** velocity = momentum velocity + dw + weightDecay w; w -= lr velocity */
  sgd(w: List<F>, dw: List<F>, velocity: List<F>, lr: F, momentum: number,
    weightDecay: number): void;
  /**
   * t += 1; g = dw + l2 w; m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; then w -= lr
   * weightDecay w and w -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps). copies: w in
   * bf16, where that is kept, else an empty list. Nothing at all if foundInf[0] is not 0
   */
  adamw(w: List<F>, dw: List<F>, m: List<F>, v: List<F>, copies: List<F>, t: List<F>, lr: F,
    foundInf: F | null, beta1: number, beta2: number, eps: number, weightDecay: number,
    l2: number): void;
  /** total[0] = sum(x^2) over the whole list */
  sumSquares(x: List<F>, total: F): void;
  /** x *= min(1, maxNorm / (sqrt(total[0]) + 1e-6)) */
  clip(x: List<F>, total: F, maxNorm: number): void;
  /** foundInf[0] = 1 if x[0] is not finite; else it stays */
  checkFinite(x: F, foundInf: F): void;

  // ---- random

  /**
   * y_i = x_i scale, or 0 if the 16 bits of element i are below t = round(65536 p);
   * scale = 65536 / (65536 - t). The bits are those of word (i mod 8) div 2 (low half first) of
   * Philox at counter (i div 8, rngState[3] + site, step, dropout stream).
   * rngState = [key low, key high, step, first site]
   */
  dropout(x: F, y: F, rngState: I, n: number, site: number, p: number): void;
  /**
   * x, y [B, T]: pieces of the n tokens, and the same one token later. Piece b begins at the upper
   * half of w (n - T), 64 bits, w being word b of Philox at place = [key low, key high, step, site]
   */
  sampleBatch(tokens: I, place: I, x: I, y: I, n: number, B: number, T: number,
    stream: number): void;
}
