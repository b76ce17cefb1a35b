// The elementwise part of the kernel interface (kernels.ts): element i of the output comes from
// element i of the inputs, which all have n elements.

/** F is a buffer of floats, I one of 32-bit integers. */
export interface ElementwiseKernels<F, I> {
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
  /** y = max(x, 0)^2 */
  relu2(x: F, y: F, n: number): void;
  /** dx = y <= 0 ? 0 : 2 sqrt(y) dy */
  relu2Backward(y: F, dy: F, dx: F, n: number): void;
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
}
