// Elementwise kernels: a grid-stride loop over vectors of W elements, then over the remaining ones.
// Arithmetic is in f32.

#include "kernels.h"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

/** Returns a vector of W copies of x. */
template <int W, class T>
__device__ inline Vector<T, W> broadcast(T x) {
  Vector<T, W> copies;
  for (int k = 0; k < W; k++) copies.at[k] = x;
  return copies;
}

/** A broadcast operand: element i is x[i mod period]. */
template <class T>
struct Repeated {
  const T* x;
  int64_t period;

  /** Returns elements i to i + W - 1. Requires W = 1 or isVectorizable(W, n). */
  template <int W>
  __device__ Vector<T, W> get(int64_t i) const {
    if (W == 1 || period > 1) return load<W>(x + (i < period ? i : i % period));
    return broadcast<W>(*x);
  }

  /** Returns true if n elements can be read W at a time, apart from the last n mod W. */
  bool isVectorizable(int W, int64_t n) const {
    return period == 1 || ((period == n || period % W == 0) && (size_t)x % 16 == 0);
  }
};

/** y_i = f(x_i). x, y [n] */
template <int W, class F, class Function>
__global__ void unary(Function f, const F* x, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    Vector<F, W> v = load<W>(x + i * W);
    for (int k = 0; k < W; k++) v.at[k] = roundTo<F>(f(toFloat(v.at[k])));
    store(y + i * W, v);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = roundTo<F>(f(toFloat(x[i])));
}

/** y_i = f(a_i, b_i). y [n], which may be a or b */
template <int W, class F, class Function>
__global__ void binary(Function f, Repeated<F> a, Repeated<F> b, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    Vector<F, W> va = a.template get<W>(i * W);
    Vector<F, W> vb = b.template get<W>(i * W);
    for (int k = 0; k < W; k++) va.at[k] = roundTo<F>(f(toFloat(va.at[k]), toFloat(vb.at[k])));
    store(y + i * W, va);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n)
    y[i] = roundTo<F>(f(toFloat(a.template get<1>(i).at[0]), toFloat(b.template get<1>(i).at[0])));
}

/** y_i = a_i if cond_i is not 0, otherwise b_i. y [n] */
template <int W, class F>
__global__ void select(Repeated<i32> cond, Repeated<F> a, Repeated<F> b, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    const Vector<i32, W> vc = cond.template get<W>(i * W);
    Vector<F, W> va = a.template get<W>(i * W);
    Vector<F, W> vb = b.template get<W>(i * W);
    for (int k = 0; k < W; k++) va.at[k] = vc.at[k] != 0 ? va.at[k] : vb.at[k];
    store(y + i * W, va);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n)
    y[i] = cond.template get<1>(i).at[0] != 0 ? a.template get<1>(i).at[0]
                                              : b.template get<1>(i).at[0];
}

/** Launches unary. */
template <class F, class Function>
void map(Function f, const F* x, F* y, int64_t n) {
  constexpr int W = Pack<F>::size;
  if (canVectorize<F>(0, x, y))
    launch(unary<W, F, Function>, gridStrideBlocks(ceilDiv(n, W)), BLOCK_SIZE, 0, f, x, y, n);
  else launch(unary<1, F, Function>, gridStrideBlocks(n), BLOCK_SIZE, 0, f, x, y, n);
}

/** Reports an operand without elements, which cannot be broadcast, as an error; returns true. */
bool isEmptyOperand(const char* kernel, int64_t period, int64_t n) {
  if (n > 0 && period == 0)
    kernelError("%s: an operand has 0 elements, expected at least 1", kernel);
  return n > 0 && period == 0;
}

/** Launches binary. */
template <class F, class Function>
void map(const char* kernel, Function f, Repeated<F> a, Repeated<F> b, F* y, int64_t n) {
  constexpr int W = Pack<F>::size;
  if (isEmptyOperand(kernel, a.period, n) || isEmptyOperand(kernel, b.period, n)) return;
  if (a.isVectorizable(W, n) && b.isVectorizable(W, n) && canVectorize<F>(0, y))
    launch(binary<W, F, Function>, gridStrideBlocks(ceilDiv(n, W)), BLOCK_SIZE, 0, f, a, b, y, n);
  else launch(binary<1, F, Function>, gridStrideBlocks(n), BLOCK_SIZE, 0, f, a, b, y, n);
}

__device__ inline float logistic(float x) { return 1 / (1 + expf(-x)); }

/**
 * Returns the standard normal CDF, Phi(x) = erfc(z) / 2 with z = -x / sqrt(2). In the tail the
 * rounding of z would cost many ulp; it is corrected to first order, with erfc'(z) ~ -2 z erfc(z).
 */
__device__ inline float normalCdf(float x) {
  constexpr float high = 0.70710678f; // high + low = 1 / sqrt(2)
  constexpr float low = 1.21016175e-8f;
  const float z = -x * high;
  const float tail = erfcf(z);
  if (!(z > 1 && tail > 0)) return 0.5f * tail;
  const float error = fmaf(-x, high, -z) - x * low;
  return 0.5f * fmaf(-2 * z * error, tail, tail);
}

/**
 * Returns 2 u = sqrt(8 / pi) (x + 0.044715 x^3). The tanh approximation of GELU is
 * x (1 + tanh u) / 2 = x sigmoid(2 u).
 */
__device__ inline float geluTanhArgument(float x) {
  return 1.59576912f * x * fmaf(0.044715f * x, x, 1.0f);
}

__device__ inline float geluTanhDerivative(float x) {
  const float square = fminf(1e6f, x * x); // bounded, for infinity times 0 would be NaN
  const float s = logistic(1.59576912f * x * fmaf(0.044715f, square, 1.0f));
  return s + x * s * (1 - s) * 1.59576912f * fmaf(0.134145f, square, 1.0f);
}

__device__ inline float siluDerivative(float x) {
  const float s = logistic(x);
  return s * (1 + x * (1 - s));
}

/** x^exponent as in IEEE 754: 1^NaN, NaN^0 and (-1)^infinity are 1. */
struct Power {
  double exponent;
  __device__ float operator()(float x) const {
    return exponent == 2 ? x * x : (float)::pow((double)x, exponent);
  }
};

} // namespace

// ---- one kernel per line: its name and formula

#define UNARY(name, formula)                                                                      \
  namespace {                                                                                     \
  struct name##Formula {                                                                          \
    __device__ float operator()(float x) const { return formula; }                                \
  };                                                                                              \
  }                                                                                               \
  template <class F>                                                                              \
  void name(const F* x, F* y, int64_t n) {                                                        \
    map(name##Formula(), x, y, n);                                                                \
  }                                                                                               \
  FOR_FLOATS(name)

#define PAIRWISE(name, formula)                                                                   \
  namespace {                                                                                     \
  struct name##Formula {                                                                          \
    __device__ float operator()(float a, float b) const { return formula; }                       \
  };                                                                                              \
  }                                                                                               \
  template <class F>                                                                              \
  void name(const F* a, const F* b, F* y, int64_t na, int64_t nb, int64_t n) {                    \
    map(#name, name##Formula(), Repeated<F>{a, na}, Repeated<F>{b, nb}, y, n);                    \
  }                                                                                               \
  FOR_FLOATS(name)

/** dx_i from dy_i and the saved x_i or y_i of the forward pass. */
#define BACKWARD_FROM(saved, name, formula)                                                       \
  namespace {                                                                                     \
  struct name##Formula {                                                                          \
    __device__ float operator()(float saved, float dy) const { return formula; }                  \
  };                                                                                              \
  }                                                                                               \
  template <class F>                                                                              \
  void name(const F* saved, const F* dy, F* dx, int64_t n) {                                      \
    map(#name, name##Formula(), Repeated<F>{saved, n}, Repeated<F>{dy, n}, dx, n);                \
  }                                                                                               \
  FOR_FLOATS(name)

PAIRWISE(add, a + b)
PAIRWISE(sub, a - b)
PAIRWISE(mul, a * b)
PAIRWISE(div, a / b)
UNARY(neg, -x)
UNARY(exp, expf(x))
UNARY(log, logf(x))
UNARY(sqrt, sqrtf(x))
UNARY(sin, sinf(x))
UNARY(cos, cosf(x))
UNARY(abs, fabsf(x))
BACKWARD_FROM(x, absBackward, dy * (x > 0 ? 1 : x < 0 ? -1 : 0))
UNARY(tanh, tanhf(x))
BACKWARD_FROM(y, tanhBackward, dy * (1 - y * y))
UNARY(relu, x < 0 ? 0 : x) // NaN stays NaN
BACKWARD_FROM(y, reluBackward, y <= 0 ? 0 : dy)
UNARY(relu2, x < 0 ? 0 : x * x)
BACKWARD_FROM(y, relu2Backward, y <= 0 ? 0 : 2 * sqrtf(y) * dy)
UNARY(sigmoid, logistic(x))
BACKWARD_FROM(y, sigmoidBackward, dy * y * (1 - y))
UNARY(silu, x / (1 + expf(-x)))
BACKWARD_FROM(x, siluBackward, dy * siluDerivative(x))
UNARY(gelu, x * normalCdf(x))
BACKWARD_FROM(x, geluBackward, dy * (normalCdf(x) + x * 0.39894228f * expf(-0.5f * x * x)))
UNARY(geluTanh, x * logistic(geluTanhArgument(x)))
BACKWARD_FROM(x, geluTanhBackward, dy * geluTanhDerivative(x))

template <class F>
void pow(const F* x, F* y, int64_t n, double exponent) {
  map(Power{exponent}, x, y, n);
}
FOR_FLOATS(pow)

template <class F>
void where(const i32* cond, const F* a, const F* b, F* y, int64_t nc, int64_t na, int64_t nb,
           int64_t n) {
  constexpr int W = Pack<F>::size;
  if (isEmptyOperand("where", nc, n)) return;
  if (isEmptyOperand("where", na, n)) return;
  if (isEmptyOperand("where", nb, n)) return;
  const Repeated<i32> c{cond, nc};
  const Repeated<F> ra{a, na};
  const Repeated<F> rb{b, nb};
  const bool vectorize = c.isVectorizable(W, n) && ra.isVectorizable(W, n) &&
                         rb.isVectorizable(W, n) && canVectorize<F>(0, y);
  if (vectorize)
    launch(select<W, F>, gridStrideBlocks(ceilDiv(n, W)), BLOCK_SIZE, 0, c, ra, rb, y, n);
  else launch(select<1, F>, gridStrideBlocks(n), BLOCK_SIZE, 0, c, ra, rb, y, n);
}
FOR_FLOATS(where)

template <class F>
void accumulate(const F* x, F* y, int64_t n) {
  map("accumulate", addFormula(), Repeated<F>{y, n}, Repeated<F>{x, n}, y, n);
}
FOR_FLOATS(accumulate)

} // namespace tinybard::cuda
