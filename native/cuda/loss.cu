// Cross-entropy of rows of logits; alone, or fused with the matmul that computes the logits: there
// the gradient replaces the logits, which are therefore read once and written once.

#include "kernels.h"
#include "matmul.h"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** Returns the number of targets that are not `ignored`; a block of THREADS threads counts them. */
template <int THREADS>
__device__ inline float countTargets(const i32* target, int64_t rows, int64_t ignored) {
  float count = 0;
  const int vectors = (size_t)target % 16 == 0 ? (int)(rows / 4) : 0;
#pragma unroll 8
  for (int i = threadIdx.x; i < vectors; i += THREADS) {
    const Vector<i32, 4> t = load<4>(target + 4 * (int64_t)i);
    for (int k = 0; k < 4; k++) count += t.at[k] != ignored;
  }
  for (int64_t i = 4 * (int64_t)vectors + threadIdx.x; i < rows; i += THREADS)
    count += target[i] != ignored;
  return blockSum(count);
}

/**
 * loss = mean of max_r + lse_r - x[r, target_r] over the rows that are not ignored, with max_r the
 * row's maximum and lse_r = log(sum(e^(x_r - max_r))). x [rows, n]; target, lse [rows]; loss,
 * count [1]; partials [gridDim.x]. A thread group has a row; the last block adds the partials.
 */
template <class F, class Layout>
__global__ void __launch_bounds__(Layout::blockSize, 2)
    crossEntropyRows(const F* x, const i32* target, f32* loss, f32* lse, f32* count,
                     float* partials, unsigned* counter, int64_t rows, int n, int64_t ignored,
                     IndexError* indexError) {
  double threadTotal = 0;
  for (int64_t r = Layout::threadGroup(); r < rows; r += Layout::groupCount()) {
    const Row<F, Layout> row(x + r * n, n);
    const SoftmaxStats stats = softmaxStats(row, n, n);
    if (Layout::rank() != 0) continue;
    lse[r] = logf(stats.sum);
    if (target[r] == ignored) continue;
    const int j = checkIndex(target[r], n, IndexSource::crossEntropy, r, indexError);
    threadTotal += lse[r] + (stats.max - toFloat(row.x[j]));
  }
  float total = (float)threadTotal;
  if (!gridSum(&total, partials, counter)) return;
  const float targets = countTargets<Layout::blockSize>(target, rows, ignored);
  if (threadIdx.x != 0) return;
  *loss = total / targets;
  *count = targets;
}

/**
 * dx[r, j] = (e^(x[r, j] - max_r - lse_r) - [j = target_r]) dy / count; 0 in ignored rows.
 * x, dx [rows, n]; target, lse [rows]; count, dy [1]. A thread group has a row.
 */
template <class F, class Layout>
__global__ void __launch_bounds__(Layout::blockSize, 2)
    crossEntropyRowsBackward(const F* x, const i32* target, const f32* lse, const f32* count,
                             const f32* dy, F* dx, int64_t rows, int n, int64_t ignored) {
  const float scale = *dy / *count;
  for (int64_t r = Layout::threadGroup(); r < rows; r += Layout::groupCount()) {
    const Row<F, Layout> row(x + r * n, n);
    const float max = rowMax(row, n);
    const float logSum = lse[r];
    const int label = target[r];
    Layout::forEachVector(n, [&](int i, int v) {
      Vector<F, Layout::W> dxi = row.at(i, v);
      for (int k = 0; k < Layout::W; k++) {
        const float probability = fastExp(toFloat(dxi.at[k]) - max - logSum);
        const float gradient = label == ignored ? 0 : (probability - (i + k == label)) * scale;
        dxi.at[k] = roundTo<F>(gradient);
      }
      store(dx + r * n + i, dxi);
    });
  }
}

/**
 * The mean loss of rows of n logits that are `width` elements apart; the logits are replaced by its
 * gradient (softmax_j - [j = target]) / count, which is 0 in ignored rows and for j >= n.
 * logits [rows, width]; target [rows]; loss, count [1]; partials [gridDim.x]. A thread group has a
 * row; the last block adds the partials.
 */
template <class F, class Layout>
__global__ void __launch_bounds__(Layout::blockSize, 2)
    crossEntropyInPlace(F* logits, const i32* target, f32* loss, f32* count, float* partials,
                        unsigned* counter, int64_t rows, int n, int width, int64_t ignored,
                        IndexError* indexError) {
  // Every block needs the count for its gradients, so every block counts.
  const float targets = countTargets<Layout::blockSize>(target, rows, ignored);
  double threadTotal = 0;
  for (int64_t r = Layout::threadGroup(); r < rows; r += Layout::groupCount()) {
    const Row<F, Layout> row(logits + r * width, width);
    const SoftmaxStats stats = softmaxStats(row, n, width);
    const float scale = 1 / (stats.sum * targets);
    const float labelGradient = 1 / targets;
    const bool counts = target[r] != ignored;
    const int label =
        counts ? checkIndex(target[r], n, IndexSource::linearCrossEntropy, r, indexError) : -1;
    if (counts && Layout::rank() == 0) threadTotal += logf(stats.sum);
    Layout::forEachVector(width, [&](int i, int v) {
      Vector<F, Layout::W> xi = row.at(i, v);
      for (int k = 0; k < Layout::W; k++) {
        const float x = toFloat(xi.at[k]) - stats.max;
        const bool isLabel = i + k == label;
        if (isLabel) threadTotal -= x;
        const float gradient = fmaf(fastExp(x), scale, isLabel ? -labelGradient : 0);
        xi.at[k] = roundTo<F>(counts && i + k < n ? gradient : 0);
      }
      store(logits + r * width + i, xi);
    });
  }
  float total = (float)threadTotal;
  if (!gridSum(&total, partials, counter) || threadIdx.x != 0) return;
  *loss = total / targets;
  *count = targets;
}

/** x_i *= dy[0], W elements per thread at a time; n is a multiple of W. Skipped if dy[0] is 1. */
template <int W, class F>
__global__ void scaleBy(const f32* dy, F* x, int64_t n) {
  const float scale = *dy;
  if (scale == 1) return;
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    Vector<F, W> xi = load<W>(x + i * W);
    for (int k = 0; k < W; k++) xi.at[k] = roundTo<F>(toFloat(xi.at[k]) * scale);
    store(x + i * W, xi);
  }
}

/** Returns a grid of at least one block, and few enough that one block adds all their losses. */
template <class Layout>
Dim lossGrid(int64_t rows) {
  return rowGrid<Layout>(rows > 0 ? rows : 1, Layout::blockSize > BLOCK_SIZE ? 264 : 528);
}

/** Returns memory for one partial sum per block. */
float* blockPartials(Dim grid) { return static_cast<float*>(workspace(grid.x * sizeof(float))); }

/** Reports rows without classes as an error and returns true. */
bool hasNoClasses(const char* kernel, int64_t rows, int64_t n) {
  if (rows > 0 && n == 0) kernelError("%s: n is 0, expected at least 1", kernel);
  return rows > 0 && n == 0;
}

/** Returns the row stride of linearCrossEntropy's logits: a multiple of 8 for the tensor cores. */
int64_t paddedWidth(int64_t n) { return ceilDiv(n, 8) * 8; }

} // namespace

template <class F>
void crossEntropy(const F* x, const i32* target, f32* loss, f32* lse, f32* count, int64_t rows,
                  int64_t n, int64_t ignoreIndex) {
  if (hasNoClasses("crossEntropy", rows, n)) return;
  dispatchRowLayout<F>(canVectorize<F>(n, x), n, [&](auto layout) {
    using Layout = decltype(layout);
    const Dim grid = lossGrid<Layout>(rows);
    launch(crossEntropyRows<F, Layout>, grid, Layout::blockSize, 0, x, target, loss, lse, count,
           blockPartials(grid), counters(1), rows, (int)n, ignoreIndex, deviceIndexError());
  });
}
FOR_FLOATS(crossEntropy)

template <class F>
void crossEntropyBackward(const F* x, const i32* target, const f32* lse, const f32* count,
                          const f32* dy, F* dx, int64_t rows, int64_t n, int64_t ignoreIndex) {
  dispatchRowLayout<F>(canVectorize<F>(n, x, dx), n, [&](auto layout) {
    using Layout = decltype(layout);
    launch(crossEntropyRowsBackward<F, Layout>, rowGrid<Layout>(rows), Layout::blockSize, 0, x,
           target, lse, count, dy, dx, rows, (int)n, ignoreIndex);
  });
}
FOR_FLOATS(crossEntropyBackward)

template <class F>
void linearCrossEntropy(const F* x, const F* w, const F* b, const i32* target, f32* loss,
                        f32* count, F* logits, int64_t rows, int64_t n, int64_t K,
                        int64_t ignoreIndex) {
  if (hasNoClasses("linearCrossEntropy", rows, n)) return;
  const int64_t width = paddedWidth(n);
  Gemm<F> problem = {}; // logits = x w^T + b
  problem.a = x;
  problem.b = w;
  problem.c = logits;
  problem.M = rows;
  problem.N = n;
  problem.K = K;
  problem.lda = K;
  problem.ldb = K;
  problem.ldc = width;
  problem.transB = true;
  problem.bias = b;
  gemm(problem);
  dispatchRowLayout<F>(canVectorize<F>(width, logits), width, [&](auto layout) {
    using Layout = decltype(layout);
    const Dim grid = lossGrid<Layout>(rows);
    launch(crossEntropyInPlace<F, Layout>, grid, Layout::blockSize, 0, logits, target, loss, count,
           blockPartials(grid), counters(1), rows, (int)n, (int)width, ignoreIndex,
           deviceIndexError());
  });
}
FOR_FLOATS(linearCrossEntropy)

template <class F>
void linearCrossEntropyBackward(const F* x, const F* w, F* logits, const f32* dy, F* dx, f32* dw,
                                f32* db, int64_t rows, int64_t n, int64_t K) {
  constexpr int W = Pack<F>::size;
  const int64_t width = paddedWidth(n);
  const int64_t size = rows * width;
  if (canVectorize<F>(0, logits))
    launch(scaleBy<W, F>, gridStrideBlocks(size / W), BLOCK_SIZE, 0, dy, logits, size);
  else launch(scaleBy<1, F>, gridStrideBlocks(size), BLOCK_SIZE, 0, dy, logits, size);
  if (dx) {
    Gemm<F> problem = {}; // dx = dlogits w
    problem.a = logits;
    problem.b = w;
    problem.c = dx;
    problem.M = rows;
    problem.N = K;
    problem.K = n;
    problem.lda = width;
    problem.ldb = K;
    problem.ldc = K;
    gemm(problem);
  }
  if (!dw && !db) return;
  Gemm<F, f32> problem = {}; // dw = dlogits^T x, db = the row sums of dlogits^T
  problem.a = logits;
  problem.b = x;
  problem.c = dw;
  problem.M = n;
  problem.N = dw ? K : 0;
  problem.K = rows;
  problem.lda = width;
  problem.ldb = K;
  problem.ldc = K;
  problem.transA = true;
  problem.rowSums = db;
  gemm(problem);
}
FOR_FLOATS(linearCrossEntropyBackward)

} // namespace tinybard::cuda
