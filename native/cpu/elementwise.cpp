// Elementwise kernels: a vector at a time, each thread a stretch of the elements.

#include "kernels.h"
#include "vecmath.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 8192; // elements: fewer are not worth a second thread

/** y_i = f(x_i, dy_i) and the like, for any number of inputs. */
template <class F, class... Inputs>
static void map(int64_t n, float* y, const F& f, const Inputs*... x) {
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t i = begin;
    for (; i + Vec::width <= end; i += Vec::width) f(Vec::load(x + i)...).store(y + i);
    if (i < end) f(Vec::load(x + i, end - i)...).store(y + i, end - i);
  });
}

/** y_i = f(x_i) by a function of one float. */
template <class F>
static void mapEach(int64_t n, const float* x, float* y, const F& f) {
  parallelFor(n, GRAIN / 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) y[i] = f(x[i]);
  });
}

/** An operand that repeats after `period` elements; a single one is the same everywhere. */
struct Repeated {
  const float* x;
  int64_t period;

  int64_t left(int64_t i) const { return period == 1 ? INT64_MAX : period - i % period; }
  Vec load(int64_t i, int64_t n) const {
    return period == 1 ? Vec(*x) : n == Vec::width ? Vec::load(x + i) : Vec::load(x + i, n);
  }
  int64_t place(int64_t i) const { return period == 1 ? 0 : i % period; }
};

/** Nothing repeated as often as may be still fills no result. */
static void reportEmptyOperand(const char* kernel) {
  kernelError("%s: an operand has 0 elements, expected at least 1", kernel);
}

template <class F>
static void pairwise(const char* kernel, Repeated a, Repeated b, float* y, int64_t n, const F& f) {
  if (n > 0 && (a.period == 0 || b.period == 0)) return reportEmptyOperand(kernel);
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) { // a stretch in which neither operand starts again
      int64_t stop = end - i;
      if (a.left(i) < stop) stop = a.left(i);
      if (b.left(i) < stop) stop = b.left(i);
      const int64_t p = a.place(i), q = b.place(i);
      for (int64_t j = 0; j < stop; j += Vec::width) {
        const int64_t lanes = lanesLeft(j, stop);
        f(a.load(p + j, lanes), b.load(q + j, lanes)).store(y + i + j, lanes);
      }
      i += stop;
    }
  });
}

void add(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  pairwise("add", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a + b; });
}

void sub(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  pairwise("sub", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a - b; });
}

void mul(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  pairwise("mul", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a * b; });
}

void div(const f32* a, const f32* b, f32* y, int64_t na, int64_t nb, int64_t n) {
  pairwise("div", {a, na}, {b, nb}, y, n, [](Vec a, Vec b) { return a / b; });
}

void where(const i32* cond, const f32* a, const f32* b, f32* y, int64_t nc, int64_t na, int64_t nb,
           int64_t n) {
  if (n > 0 && (nc == 0 || na == 0 || nb == 0)) return reportEmptyOperand("where");
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    int64_t c = begin % nc, p = begin % na, q = begin % nb;
    for (int64_t i = begin; i < end; i++) {
      y[i] = cond[c] != 0 ? a[p] : b[q];
      if (++c == nc) c = 0;
      if (++p == na) p = 0;
      if (++q == nb) q = 0;
    }
  });
}

void pow(const f32* x, f32* y, int64_t n, double exponent) {
  if (exponent == 2) return map(n, y, [](Vec x) { return x * x; }, x);
  mapEach(n, x, y, [=](float x) { // as JavaScript has it: (+-1)^(+-infinity) is no number
    const bool isOpen = (x == 1 || x == -1) && std::isinf(exponent);
    return isOpen || exponent != exponent ? NAN : (float)std::pow((double)x, exponent);
  });
}

void neg(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return Vec(-0.0f) - x; }, x);
}

void exp(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return exp(x); }, x);
}

void log(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return log(x); }, x);
}

void sqrt(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return sqrt(x); }, x);
}

void sin(const f32* x, f32* y, int64_t n) {
  mapEach(n, x, y, [](float x) { return std::sin(x); });
}

void cos(const f32* x, f32* y, int64_t n) {
  mapEach(n, x, y, [](float x) { return std::cos(x); });
}

void abs(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return abs(x); }, x);
}

void absBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) {
    const Vec sign = select(x == Vec(0.0f), x, withSign(Vec(1.0f), x));
    return dy * select(x == x, sign, x);
  }, x, dy);
}

void tanh(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return tanh(x); }, x);
}

void tanhBackward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) { return dy * fma(-y, y, Vec(1.0f)); }, y, dy);
}

void relu(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return max(Vec(0.0f), x); }, x); // NaN stays NaN
}

void reluBackward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) { return select(y <= Vec(0.0f), Vec(0.0f), dy); }, y, dy);
}

void sigmoid(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return sigmoid(x); }, x);
}

void sigmoidBackward(const f32* y, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec y, Vec dy) { return dy * y * (Vec(1.0f) - y); }, y, dy);
}

void silu(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return silu(x); }, x);
}

void siluBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) { return dy * siluSlope(x); }, x, dy);
}

void gelu(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return gelu(x); }, x);
}

void geluBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) { return dy * geluSlope(x); }, x, dy);
}

void geluTanh(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x) { return geluTanh(x); }, x);
}

void geluTanhBackward(const f32* x, const f32* dy, f32* dx, int64_t n) {
  map(n, dx, [](Vec x, Vec dy) { return dy * geluTanhSlope(x); }, x, dy);
}

void accumulate(const f32* x, f32* y, int64_t n) {
  map(n, y, [](Vec x, Vec y) { return x + y; }, x, static_cast<const f32*>(y));
}

} // namespace tinybard::SIMD
