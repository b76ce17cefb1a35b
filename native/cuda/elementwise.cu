// Elementwise kernels: a few neighbouring elements at a time, computed as f32.

#include "kernels.h"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

template <int W, class T>
__device__ inline Vector<T, W> allOf(T x) {
  Vector<T, W> same;
  for (int k = 0; k < W; k++) same.at[k] = x;
  return same;
}

/** An operand that repeats: its element i is x[i mod period]. */
template <class T>
struct Repeated {
  const T* x;
  int64_t period;

  /** Elements i to i + W - 1, W of 1 being always possible. */
  template <int W>
  __device__ Vector<T, W> get(int64_t i) const {
    if (W == 1 || period > 1) return load<W>(x + (i < period ? i : i % period));
    return allOf<W>(*x);
  }

  /** Whether n elements can be had W at a time, but for fewer than W at the end. */
  bool comesBy(int W, int64_t n) const {
    return period == 1 || ((period == n || period % W == 0) && (size_t)x % 16 == 0);
  }
};

/** y_i = f(x_i) */
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

/** y_i = f(a_i, b_i); y may be a or b. */
template <int W, class F, class Function>
__global__ void binary(Function f, Repeated<F> a, Repeated<F> b, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    Vector<F, W> p = a.template get<W>(i * W), q = b.template get<W>(i * W);
    for (int k = 0; k < W; k++) p.at[k] = roundTo<F>(f(toFloat(p.at[k]), toFloat(q.at[k])));
    store(y + i * W, p);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n)
    y[i] = roundTo<F>(f(toFloat(a.template get<1>(i).at[0]), toFloat(b.template get<1>(i).at[0])));
}

template <int W, class F>
__global__ void select(Repeated<i32> cond, Repeated<F> a, Repeated<F> b, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    const Vector<i32, W> c = cond.template get<W>(i * W);
    Vector<F, W> p = a.template get<W>(i * W), q = b.template get<W>(i * W);
    for (int k = 0; k < W; k++) p.at[k] = c.at[k] != 0 ? p.at[k] : q.at[k];
    store(y + i * W, p);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n)
    y[i] = cond.template get<1>(i).at[0] != 0 ? a.template get<1>(i).at[0]
                                              : b.template get<1>(i).at[0];
}

template <class F, class Function>
void map(Function f, const F* x, F* y, int64_t n) {
  constexpr int W = Pack<F>::size;
  if (canVectorize<F>(0, x, y))
    launch(unary<W, F, Function>, gridStrideBlocks(ceilDiv(n, W)), BLOCK_SIZE, 0, f, x, y, n);
  else launch(unary<1, F, Function>, gridStrideBlocks(n), BLOCK_SIZE, 0, f, x, y, n);
}

/** Nothing repeated as often as may be still fills no result. */
bool isNothing(const char* kernel, int64_t period, int64_t n) {
  if (n > 0 && period == 0)
    kernelError("%s: an operand has 0 elements, expected at least 1", kernel);
  return n > 0 && period == 0;
}

template <class F, class Function>
void map(const char* kernel, Function f, Repeated<F> a, Repeated<F> b, F* y, int64_t n) {
  constexpr int W = Pack<F>::size;
  if (isNothing(kernel, a.period, n) || isNothing(kernel, b.period, n)) return;
  if (a.comesBy(W, n) && b.comesBy(W, n) && canVectorize<F>(0, y))
    launch(binary<W, F, Function>, gridStrideBlocks(ceilDiv(n, W)), BLOCK_SIZE, 0, f, a, b, y, n);
  else launch(binary<1, F, Function>, gridStrideBlocks(n), BLOCK_SIZE, 0, f, a, b, y, n);
}

__device__ inline float sigmoidOf(float x) { return 1 / (1 + expf(-x)); }

/**
 * Phi(x) = erfc(z) / 2, z = -x / sqrt 2. Far out, z's rounding would cost many units in the last
 * place: what it is wrong by is put right through erfc'(z), about -2 z erfc(z).
 */
__device__ inline float normalCdf(float x) {
  constexpr float high = 0.70710678f, low = 1.21016175e-8f; // their sum is 1 / sqrt 2
  const float z = -x * high, tail = erfcf(z);
  if (!(z > 1 && tail > 0)) return 0.5f * tail;
  const float rest = fmaf(-x, high, -z) - x * low;
  return 0.5f * fmaf(-2 * z * rest, tail, tail);
}

/** sqrt(8 / pi) (x + 0.044715 x^3): (1 + tanh u) / 2 is the sigmoid of 2 u */
__device__ inline float twiceU(float x) { return 1.59576912f * x * fmaf(0.044715f * x, x, 1.0f); }

__device__ inline float geluTanhSlope(float x) {
  const float square = fminf(1e6f, x * x); // from there on 0 or 1; infinity times 0 is NaN
  const float s = sigmoidOf(1.59576912f * x * fmaf(0.044715f, square, 1.0f));
  return s + x * s * (1 - s) * 1.59576912f * fmaf(0.134145f, square, 1.0f);
}

__device__ inline float siluSlope(float x) {
  const float s = sigmoidOf(x);
  return s * (1 + x * (1 - s));
}

/** x^exponent as JavaScript has it: (+-1)^(+-infinity) is no number. */
struct Power {
  double exponent;
  __device__ float operator()(float x) const {
    if (exponent == 2) return x * x;
    const bool isOpen = fabsf(x) == 1 && fabs(exponent) == INFINITY;
    return isOpen || exponent != exponent ? NAN : (float)::pow((double)x, exponent);
  }
};

} // namespace

// ---- a kernel in a line: its name, and its formula

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

/** dx from dy and what the forward pass saved, x or y. */
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
BACKWARD_FROM(x, absBackward, dy * (x > 0 ? 1 : x < 0 ? -1 : x))
UNARY(tanh, tanhf(x))
BACKWARD_FROM(y, tanhBackward, dy * (1 - y * y))
UNARY(relu, x < 0 ? 0 : x) // NaN stays NaN
BACKWARD_FROM(y, reluBackward, y <= 0 ? 0 : dy)
UNARY(sigmoid, sigmoidOf(x))
BACKWARD_FROM(y, sigmoidBackward, dy * y * (1 - y))
UNARY(silu, x / (1 + expf(-x)))
BACKWARD_FROM(x, siluBackward, dy * siluSlope(x))
UNARY(gelu, x * normalCdf(x))
BACKWARD_FROM(x, geluBackward, dy * (normalCdf(x) + x * 0.39894228f * expf(-0.5f * x * x)))
UNARY(geluTanh, x * sigmoidOf(twiceU(x)))
BACKWARD_FROM(x, geluTanhBackward, dy * geluTanhSlope(x))

template <class F>
void pow(const F* x, F* y, int64_t n, double exponent) {
  map(Power{exponent}, x, y, n);
}
FOR_FLOATS(pow)

template <class F>
void where(const i32* cond, const F* a, const F* b, F* y, int64_t nc, int64_t na, int64_t nb,
           int64_t n) {
  constexpr int W = Pack<F>::size;
  const Repeated<i32> c{cond, nc};
  const Repeated<F> p{a, na}, q{b, nb};
  if (isNothing("where", nc, n) || isNothing("where", na, n) || isNothing("where", nb, n)) return;
  if (c.comesBy(W, n) && p.comesBy(W, n) && q.comesBy(W, n) && canVectorize<F>(0, y))
    launch(select<W, F>, gridStrideBlocks(ceilDiv(n, W)), BLOCK_SIZE, 0, c, p, q, y, n);
  else launch(select<1, F>, gridStrideBlocks(n), BLOCK_SIZE, 0, c, p, q, y, n);
}
FOR_FLOATS(where)

template <class F>
void accumulate(const F* x, F* y, int64_t n) {
  map("accumulate", addFormula(), Repeated<F>{y, n}, Repeated<F>{x, n}, y, n);
}
FOR_FLOATS(accumulate)

} // namespace tinybard::cuda
