// Softmax of each row, and its logarithm, with their derivatives.

#include "kernels.h"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** y = e^x / sum(e^x) of each row, or the logarithm of that. */
template <bool isLog, class F, class S>
__global__ void __launch_bounds__(S::threads) normalize(const F* x, F* y, int64_t rows, int n) {
  for (int64_t r = S::team(); r < rows; r += S::allTeams()) {
    const Row<F, S> row(x + r * n, n);
    const Normalizer all = normalizerOf(row, n, n);
    const float scale = 1 / all.sum, logSum = logf(all.sum);
    S::each(n, [&](int i, int p) {
      Vector<F, S::W> v = row.at(i, p);
      for (int k = 0; k < S::W; k++) {
        const float shifted = toFloat(v.at[k]) - all.shift;
        v.at[k] = roundTo<F>(isLog ? shifted - logSum : power(shifted) * scale);
      }
      store(y + r * n + i, v);
    });
  }
}

/** dx = y (dy - sum(dy y)) of each row, or for the logarithm dx = dy - e^y sum(dy). */
template <bool isLog, class F, class S>
__global__ void __launch_bounds__(S::threads)
    normalizeBackward(const F* y, const F* dy, F* dx, int64_t rows, int n) {
  for (int64_t r = S::team(); r < rows; r += S::allTeams()) {
    const Row<F, S> row(y + r * n, n), slope(dy + r * n, n);
    float sum = 0;
    S::each(n, [&](int i, int p) {
      const auto a = row.at(i, p), b = slope.at(i, p);
      for (int k = 0; k < S::W; k++) sum += toFloat(b.at[k]) * (isLog ? 1 : toFloat(a.at[k]));
    });
    sum = S::sum(sum);
    S::each(n, [&](int i, int p) {
      const auto a = row.at(i, p), b = slope.at(i, p);
      Vector<F, S::W> d;
      for (int k = 0; k < S::W; k++) {
        const float ak = toFloat(a.at[k]), bk = toFloat(b.at[k]);
        d.at[k] = roundTo<F>(isLog ? bk - power(ak) * sum : ak * (bk - sum));
      }
      store(dx + r * n + i, d);
    });
  }
}

template <bool isLog, class F>
void forward(const F* x, F* y, int64_t rows, int64_t n) {
  withShape<F>(canVectorize<F>(n, x, y), n, [&](auto shape) {
    using S = decltype(shape);
    launch(normalize<isLog, F, S>, rowGrid<S>(rows), S::threads, 0, x, y, rows, (int)n);
  });
}

template <bool isLog, class F>
void backward(const F* y, const F* dy, F* dx, int64_t rows, int64_t n) {
  withShape<F>(canVectorize<F>(n, y, dy, dx), n, [&](auto shape) {
    using S = decltype(shape);
    launch(normalizeBackward<isLog, F, S>, rowGrid<S>(rows), S::threads, 0, y, dy, dx, rows,
           (int)n);
  });
}

} // namespace

template <class F>
void softmax(const F* x, F* y, int64_t rows, int64_t n) {
  forward<false>(x, y, rows, n);
}
FOR_FLOATS(softmax)

template <class F>
void softmaxBackward(const F* y, const F* dy, F* dx, int64_t rows, int64_t n) {
  backward<false>(y, dy, dx, rows, n);
}
FOR_FLOATS(softmaxBackward)

template <class F>
void logSoftmax(const F* x, F* y, int64_t rows, int64_t n) {
  forward<true>(x, y, rows, n);
}
FOR_FLOATS(logSoftmax)

template <class F>
void logSoftmaxBackward(const F* y, const F* dy, F* dx, int64_t rows, int64_t n) {
  backward<true>(y, dy, dx, rows, n);
}
FOR_FLOATS(logSoftmaxBackward)

} // namespace tinybard::cuda
