// Elementwise kernels: y_i = f(x_i). All buffers have n elements unless stated. Threads divide the
// elements anywhere, because each is computed by itself; each thread works a vector at a time.

#include "kernels.h"
#include "vecmath.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 8192; // elements that are not worth a second thread

/** y_i = f(x_i, ...) for one or more inputs; f takes and returns a Vec. */
template <class F, class... Inputs>
static void map(int64_t n, float* y, const F& f, const Inputs*... x) {
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + Vec::width <= end; i += Vec::width) f(Vec::load(x + i)...).store(y + i);
    if (i < end) f(Vec::load(x + i, end - i)...).store(y + i, end - i);
  });
}

/** y_i = f(x_i) for a function f of one float. */
template <class F>
static void mapScalar(int64_t n, const float* x, float* y, const F& f) {
  parallelFor(n, GRAIN / 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) y[i] = f(x[i]);
  });
}

/** An operand of `period` elements that is repeated: element i is x[i mod period]. */
struct Repeated {
  const float* x;
  int64_t period;

  /** Returns the number of elements from i on until the operand repeats. */
  int64_t left(int64_t i) const { return period == 1 ? INT64_MAX : period - i % period; }
  int64_t offset(int64_t i) const { return period == 1 ? 0 : i % period; }
  /** Returns n elements from an offset on, none of them past the period. */
  Vec load(int64_t offset, int64_t n) const {
    if (period == 1) return Vec(*x);
    return n == Vec::width ? Vec::load(x + offset) : Vec::load(x + offset, n);
  }
};

static void reportEmptyOperand(const char* kernel) {
  kernelError("%s: an operand has 0 elements, expected at least 1", kernel);
}

/** y_i = f(a_i, b_i), in runs of elements within which neither operand repeats. */
template <class F>
static void mapRepeated(const char* kernel, Repeated a, Repeated b, float* y, int64_t n,
                        const F& f) {
  if (n > 0 && (a.period == 0 || b.period == 0)) return reportEmptyOperand(kernel);
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    while (i < end) {
      int64_t length = end - i;
      if (a.left(i) < length) length = a.left(i);
      if (b.left(i) < length) length = b.left(i);
      const int64_t aOffset = a.offset(i);
      const int64_t bOffset = b.offset(i);
      forEachVector(length, [&](int64_t j, int64_t lanes) {
        f(a.load(aOffset + j, lanes), b.load(bOffset + j, lanes)).store(y + i + j, lanes);
      });
      i += length;
    }
  });
}

/** y = a + b. a [na] and b [nb] are repeated; the same for sub, mul and div. */
void add(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  mapRepeated("add", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a + b; });
}

void sub(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  mapRepeated("sub", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a - b; });
}

void mul(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  mapRepeated("mul", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a * b; });
}

void div(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  mapRepeated("div", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a / b; });
}

/** y = cond != 0 ? a : b. cond [nc], a [na] and b [nb] are repeated. */
void where(const i32* cond, const f32* a, const f32* b, f32* y, int64_t nc, int64_t na, int64_t nb,
           int64_t n) {
  if (n > 0 && (nc == 0 || na == 0 || nb == 0)) return reportEmptyOperand("where");
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t condIndex = begin % nc; // counted up: a division per element would be slow
    int64_t aIndex = begin % na;
    int64_t bIndex = begin % nb;
    for (int64_t i = begin; i < end; i++) {
      y[i] = cond[condIndex] != 0 ? a[aIndex] : b[bIndex];
      if (++condIndex == nc) condIndex = 0;
      if (++aIndex == na) aIndex = 0;
      if (++bIndex == nb) bIndex = 0;
    }
  });
}

/** y = x^exponent, as in IEEE 754: 1^NaN, NaN^0 and (-1)^infinity are 1. */
void pow(const f32* x, f32* y, int64_t n, double exponent) {
  if (exponent == 2) return map(n, y, [](Vec x) { return x * x; }, x);
  mapScalar(n, x, y, [=](float x) { return (float)std::pow((double)x, exponent); });
}

/** y = -x */
void neg(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return Vec(-0.0f) - x; }, x);
}

/** y = e^x */
void exp(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return exp(x); }, x);
}

/** y = ln(x) */
void log(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return log(x); }, x);
}

/** y = sqrt(x) */
void sqrt(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return sqrt(x); }, x);
}

/** y = sin(x) */
void sin(const f32* x, f32* y, int64_t n) {
  mapScalar(n, x, y, [](float x) { return std::sin(x); });
}

/** y = cos(x) */
void cos(const f32* x, f32* y, int64_t n) {
  mapScalar(n, x, y, [](float x) { return std::cos(x); });
}

/** y = |x| */
void abs(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return abs(x); }, x);
}

/** dx = dy sign(x), with sign(0) = sign(NaN) = 0 */
void absBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) {
    return dy * select(Vec(0.0f) < abs(x), copysign(Vec(1.0f), x), Vec(0.0f));
  }, x, dy);
}

/** y = tanh(x) */
void tanh(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return tanh(x); }, x);
}

/** dx = dy (1 - y^2) */
void tanhBackward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) { return dy * fma(-y, y, Vec(1.0f)); }, y, dy);
}

/** y = max(x, 0); NaN stays NaN */
void relu(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return relu(x); }, x);
}

/** dx = y <= 0 ? 0 : dy */
void reluBackward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) { return select(y <= Vec(0.0f), Vec(0.0f), dy); }, y, dy);
}

/** y = max(x, 0)^2; NaN stays NaN */
void relu2(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return relu2(x); }, x);
}

/** dx = y <= 0 ? 0 : 2 sqrt(y) dy */
void relu2Backward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) {
    return select(y <= Vec(0.0f), Vec(0.0f), Vec(2.0f) * sqrt(y) * dy);
  }, y, dy);
}

/** y = 1 / (1 + e^-x) */
void sigmoid(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return sigmoid(x); }, x);
}

/** dx = dy y (1 - y) */
void sigmoidBackward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) { return dy * y * (Vec(1.0f) - y); }, y, dy);
}

/** y = x sigmoid(x) */
void silu(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return silu(x); }, x);
}

/** dx = dy silu'(x) */
void siluBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) { return dy * siluDerivative(x); }, x, dy);
}

/** y = x Phi(x), with the normal distribution function Phi */
void gelu(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return gelu(x); }, x);
}

/** dx = dy gelu'(x) */
void geluBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) { return dy * geluDerivative(x); }, x, dy);
}

/** y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 */
void geluTanh(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return geluTanh(x); }, x);
}

/** dx = dy geluTanh'(x) */
void geluTanhBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) { return dy * geluTanhDerivative(x); }, x, dy);
}

/** y += x */
void accumulate(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x, Vec y) { return x + y; }, x, static_cast<const f32*>(y));
}

} // namespace tinybard::SIMD
