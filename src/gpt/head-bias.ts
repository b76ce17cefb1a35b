// Removes the bias of a GPT's output head without changing its predictions, for formats whose head
// has no bias.
//
// The head computes W h + b, where h = LayerNorm(x) with bias beta. With beta + d in place of beta
// and no b, it computes W h + W d. Softmax ignores a constant c added to all logits, so the
// probabilities are the same if W d + c 1 = b. Of its solutions (d, c), the one of least norm is
// A^T (A A^T)^-1 b, where A = [W, 1]. There is one if the rows of A are linearly independent, which
// takes a vocabulary of at most nEmbd + 1 tokens.

/**
 * Returns the bias of the last normalization that replaces the head's bias `b` (V). `w` (V, C) is
 * the head's weight, and `beta` (C) the present bias of the normalization. Returns null if nothing
 * replaces it, or if logits would differ by more than 1e-5.
 */
export function foldHeadBias(
  w: ArrayLike<number>,
  b: ArrayLike<number>,
  beta: ArrayLike<number>,
): Float32Array | null {
  const V = b.length;
  const C = beta.length;
  if (V > C + 1) return null;
  const gram = new Float64Array(V * V); // A A^T
  for (let i = 0; i < V; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = 1;
      for (let k = 0; k < C; k++) sum += w[i * C + k] * w[j * C + k];
      gram[i * V + j] = sum;
    }
  }
  if (!factorize(gram, V)) return null;
  const d = new Float64Array(C);
  let c = 0;
  // the second pass solves for the error of the first
  for (let pass = 0; pass < 2; pass++) {
    const y = solve(gram, residual(w, b, d, c));
    for (let i = 0; i < V; i++) {
      c += y[i];
      for (let k = 0; k < C; k++) d[k] += w[i * C + k] * y[i];
    }
  }
  const folded = Float32Array.from(d, (value, k) => beta[k] + value);
  const rounded = Float64Array.from(folded, (value, k) => value - beta[k]);
  const errors = residual(w, b, rounded, c);
  return errors.every((error) => Math.abs(error) <= 1e-5) ? folded : null;
}

/** Returns b - (W d + c 1). */
function residual(
  w: ArrayLike<number>,
  b: ArrayLike<number>,
  d: Float64Array,
  c: number,
): Float64Array {
  return Float64Array.from(b, (value, i) => {
    let sum = c;
    for (let k = 0; k < d.length; k++) sum += w[i * d.length + k] * d[k];
    return value - sum;
  });
}

/** Cholesky factorization L L^T in place, in the lower triangle; false if it is singular. */
function factorize(a: Float64Array, n: number): boolean {
  for (let j = 0; j < n; j++) {
    const diagonal = a[j * n + j];
    for (let i = j; i < n; i++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      if (i > j) a[i * n + j] = sum / a[j * n + j];
      else if (sum > 1e-13 * diagonal) a[j * n + j] = Math.sqrt(sum);
      else return false;
    }
  }
  return true;
}

/** Solves L L^T y = b. */
function solve(l: Float64Array, b: Float64Array): Float64Array {
  const n = b.length;
  const y = b.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) y[i] -= l[i * n + k] * y[k];
    y[i] /= l[i * n + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) y[i] -= l[k * n + i] * y[k];
    y[i] /= l[i * n + i];
  }
  return y;
}
