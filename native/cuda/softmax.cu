// Softmax and log-softmax of each row, and their derivatives. Each row has a thread group, as
// rowGrid() launches them; a group loops over rows if the grid is smaller.

#include "kernels.h"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** y = e^x / sum(e^x) of each row, or log(e^x / sum(e^x)). x, y [rows, n] */
template <bool isLog, class F, class Layout>
__global__ void __launch_bounds__(Layout::blockSize)
    softmaxRows(const F* x, F* y, int64_t rows, int n) {
  for (int64_t r = Layout::threadGroup(); r < rows; r += Layout::groupCount()) {
    const Row<F, Layout> row(x + r * n, n);
    const SoftmaxStats stats = softmaxStats(row, n, n);
    const float scale = 1 / stats.sum;
    const float logSum = logf(stats.sum);
    Layout::forEachVector(n, [&](int i, int v) {
      Vector<F, Layout::W> yi = row.at(i, v);
      for (int k = 0; k < Layout::W; k++) {
        const float shifted = toFloat(yi.at[k]) - stats.max;
        yi.at[k] = roundTo<F>(isLog ? shifted - logSum : fastExp(shifted) * scale);
      }
      store(y + r * n + i, yi);
    });
  }
}

/** dx = y (dy - sum(dy y)) of each row; log-softmax: dx = dy - e^y sum(dy). y, dy, dx [rows, n] */
template <bool isLog, class F, class Layout>
__global__ void __launch_bounds__(Layout::blockSize)
    softmaxRowsBackward(const F* y, const F* dy, F* dx, int64_t rows, int n) {
  for (int64_t r = Layout::threadGroup(); r < rows; r += Layout::groupCount()) {
    const Row<F, Layout> yRow(y + r * n, n);
    const Row<F, Layout> dyRow(dy + r * n, n);
    RowSum<Layout> rowSum;
    Layout::forEachVector(n, [&](int i, int v) {
      const auto yi = yRow.at(i, v);
      const auto dyi = dyRow.at(i, v);
      for (int k = 0; k < Layout::W; k++)
        rowSum.block += toFloat(dyi.at[k]) * (isLog ? 1 : toFloat(yi.at[k]));
      rowSum.endVector(i);
    });
    const float sum = rowSum.ofRow();
    Layout::forEachVector(n, [&](int i, int v) {
      const auto yi = yRow.at(i, v);
      const auto dyi = dyRow.at(i, v);
      Vector<F, Layout::W> dxi;
      for (int k = 0; k < Layout::W; k++) {
        const float yk = toFloat(yi.at[k]);
        const float dyk = toFloat(dyi.at[k]);
        dxi.at[k] = roundTo<F>(isLog ? dyk - fastExp(yk) * sum : yk * (dyk - sum));
      }
      store(dx + r * n + i, dxi);
    });
  }
}

template <bool isLog, class F>
void forward(const F* x, F* y, int64_t rows, int64_t n) {
  dispatchRowLayout<F>(canVectorize<F>(n, x, y), n, [&](auto layout) {
    using Layout = decltype(layout);
    launch(softmaxRows<isLog, F, Layout>, rowGrid<Layout>(rows), Layout::blockSize, 0, x, y, rows,
           (int)n);
  });
}

template <bool isLog, class F>
void backward(const F* y, const F* dy, F* dx, int64_t rows, int64_t n) {
  dispatchRowLayout<F>(canVectorize<F>(n, y, dy, dx), n, [&](auto layout) {
    using Layout = decltype(layout);
    launch(softmaxRowsBackward<isLog, F, Layout>, rowGrid<Layout>(rows), Layout::blockSize, 0, y,
           dy, dx, rows, (int)n);
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
