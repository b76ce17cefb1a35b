// Cross-entropy of rows of logits, alone or fused with the product that makes them: there the
// gradient takes the place of the logits, so that they are read once and written once.

#include "kernels.h"
#include "matmul.h"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** How many targets are not ignored, counted by a block. */
template <int threads>
__device__ inline float countOf(const i32* target, int64_t rows, int64_t ignored) {
  float count = 0;
  const int packs = (size_t)target % 16 == 0 ? (int)(rows / 4) : 0;
#pragma unroll 8
  for (int i = threadIdx.x; i < packs; i += threads) {
    const Vector<i32, 4> t = load<4>(target + 4 * (int64_t)i);
    for (int k = 0; k < 4; k++) count += t.at[k] != ignored;
  }
  for (int64_t i = 4 * (int64_t)packs + threadIdx.x; i < rows; i += threads)
    count += target[i] != ignored;
  return blockSum(count);
}

/** loss = mean of shift + log(sum) - x[r, target_r], lse_r = log(sum), over the rows that count. */
template <class F, class S>
__global__ void __launch_bounds__(S::threads, 2)
    meanLoss(const F* x, const i32* target, f32* loss, f32* lse, f32* count, float* found,
             unsigned* counter, int64_t rows, int n, int64_t ignored, IndexError* indexError) {
  float total = 0;
  for (int64_t r = S::team(); r < rows; r += S::allTeams()) {
    const Row<F, S> row(x + r * n, n);
    const Normalizer all = normalizerOf(row, n, n);
    if (S::rank() != 0) continue;
    lse[r] = logf(all.sum);
    if (target[r] == ignored) continue;
    const int own = checkIndex(target[r], n, IndexSource::crossEntropy, r, indexError);
    total += lse[r] + (all.shift - toFloat(row.x[own]));
  }
  if (!gridSum(&total, found, counter)) return;
  const float counted = countOf<S::threads>(target, rows, ignored);
  if (threadIdx.x != 0) return;
  *loss = total / counted;
  *count = counted;
}

/** dx = (e^(x - shift - lse) - [j = target]) dy / count; 0 where the target is ignored. */
template <class F, class S>
__global__ void __launch_bounds__(S::threads, 2)
    lossBackward(const F* x, const i32* target, const f32* lse, const f32* count, const f32* dy,
                 F* dx, int64_t rows, int n, int64_t ignored) {
  const float scale = *dy / *count;
  for (int64_t r = S::team(); r < rows; r += S::allTeams()) {
    const Row<F, S> row(x + r * n, n);
    const float shift = shiftOf(row, n), logSum = lse[r];
    const int own = target[r];
    S::each(n, [&](int i, int p) {
      Vector<F, S::W> v = row.at(i, p);
      for (int k = 0; k < S::W; k++) {
        const float share = power(toFloat(v.at[k]) - shift - logSum);
        v.at[k] = roundTo<F>(own == ignored ? 0 : (share - (i + k == own)) * scale);
      }
      store(dx + r * n + i, v);
    });
  }
}

/**
 * The loss of rows of n logits that lie `width` apart, and in place of the logits its derivative:
 * (softmax - [j = target]) / count, and 0 where the target is ignored or j is not below n.
 */
template <class F, class S>
__global__ void __launch_bounds__(S::threads, 2)
    classifyInPlace(F* logits, const i32* target, f32* loss, f32* count, float* found,
                    unsigned* counter, int64_t rows, int n, int width, int64_t ignored,
                    IndexError* indexError) {
  const float counted = countOf<S::threads>(target, rows, ignored); // which each block needs
  float total = 0;
  for (int64_t r = S::team(); r < rows; r += S::allTeams()) {
    const Row<F, S> row(logits + r * width, width);
    const Normalizer all = normalizerOf(row, n, width);
    const float share = 1 / (all.sum * counted), part = 1 / counted;
    const bool counts = target[r] != ignored;
    const int own = counts ? checkIndex(target[r], n, IndexSource::linearCrossEntropy, r, indexError) : -1;
    if (counts && S::rank() == 0) total += logf(all.sum);
    S::each(width, [&](int i, int p) {
      Vector<F, S::W> v = row.at(i, p);
      for (int k = 0; k < S::W; k++) {
        const float x = toFloat(v.at[k]) - all.shift;
        const bool isOwn = i + k == own;
        if (isOwn) total -= x;
        const float slope = fmaf(power(x), share, isOwn ? -part : 0);
        v.at[k] = roundTo<F>(counts && i + k < n ? slope : 0);
      }
      store(logits + r * width + i, v);
    });
  }
  if (!gridSum(&total, found, counter) || threadIdx.x != 0) return;
  *loss = total / counted;
  *count = counted;
}

/** x *= dy, if that changes anything. */
template <int W, class F>
__global__ void scaleBy(const f32* dy, F* x, int64_t n) {
  const float scale = *dy;
  if (scale == 1) return;
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    Vector<F, W> v = load<W>(x + i * W);
    for (int k = 0; k < W; k++) v.at[k] = roundTo<F>(toFloat(v.at[k]) * scale);
    store(x + i * W, v);
  }
}

/** A grid for at least one row; one block adds what all have found, so that there are not many. */
template <class S>
Dim lossGrid(int64_t rows) {
  return rowGrid<S>(rows > 0 ? rows : 1, S::threads > BLOCK_SIZE ? 264 : 528);
}

float* foundBy(Dim grid) { return static_cast<float*>(workspace(grid.x * sizeof(float))); }

/** Refuses rows of no classes. */
bool isEmpty(const char* kernel, int64_t rows, int64_t n) {
  if (rows > 0 && n == 0) kernelError("%s: n is 0, expected at least 1", kernel);
  return rows > 0 && n == 0;
}

/** The columns of logits as `linearCrossEntropy` lays them out: a multiple of 8, as tensor cores like it. */
int64_t widthOf(int64_t n) { return ceilDiv(n, 8) * 8; }

} // namespace

template <class F>
void crossEntropy(const F* x, const i32* target, f32* loss, f32* lse, f32* count, int64_t rows,
                  int64_t n, int64_t ignoreIndex) {
  if (isEmpty("crossEntropy", rows, n)) return;
  withShape<F>(canVectorize<F>(n, x), n, [&](auto shape) {
    using S = decltype(shape);
    const Dim grid = lossGrid<S>(rows);
    launch(meanLoss<F, S>, grid, S::threads, 0, x, target, loss, lse, count, foundBy(grid),
           counters(1), rows, (int)n, ignoreIndex, deviceIndexError());
  });
}
FOR_FLOATS(crossEntropy)

template <class F>
void crossEntropyBackward(const F* x, const i32* target, const f32* lse, const f32* count,
                          const f32* dy, F* dx, int64_t rows, int64_t n, int64_t ignoreIndex) {
  withShape<F>(canVectorize<F>(n, x, dx), n, [&](auto shape) {
    using S = decltype(shape);
    launch(lossBackward<F, S>, rowGrid<S>(rows), S::threads, 0, x, target, lse, count, dy, dx, rows,
           (int)n, ignoreIndex);
  });
}
FOR_FLOATS(crossEntropyBackward)

template <class F>
void linearCrossEntropy(const F* x, const F* w, const F* b, const i32* target, f32* loss, f32* count,
              F* logits, int64_t rows, int64_t n, int64_t K, int64_t ignoreIndex) {
  if (isEmpty("linearCrossEntropy", rows, n)) return;
  const int64_t width = widthOf(n);
  Gemm<F> product = {x, w, logits, rows, n, K, K, K, width};
  product.transB = true;
  product.bias = b;
  gemm(product);
  withShape<F>(canVectorize<F>(width, logits), width, [&](auto shape) {
    using S = decltype(shape);
    const Dim grid = lossGrid<S>(rows);
    launch(classifyInPlace<F, S>, grid, S::threads, 0, logits, target, loss, count, foundBy(grid),
           counters(1), rows, (int)n, (int)width, ignoreIndex, deviceIndexError());
  });
}
FOR_FLOATS(linearCrossEntropy)

template <class F>
void linearCrossEntropyBackward(const F* x, const F* w, F* logits, const f32* dy, F* dx, f32* dw, f32* db,
                      int64_t rows, int64_t n, int64_t K) {
  constexpr int W = Pack<F>::size;
  const int64_t width = widthOf(n), size = rows * width;
  if (canVectorize<F>(0, logits))
    launch(scaleBy<W, F>, gridStrideBlocks(size / W), BLOCK_SIZE, 0, dy, logits, size);
  else launch(scaleBy<1, F>, gridStrideBlocks(size), BLOCK_SIZE, 0, dy, logits, size);
  if (dx) gemm(Gemm<F>{logits, w, dx, rows, K, n, width, K, K});
  if (!dw && !db) return;
  Gemm<F, f32> product = {logits, x, dw, n, dw ? K : 0, rows, width, K, K};
  product.transA = true;
  product.rowSums = db;
  gemm(product);
}
FOR_FLOATS(linearCrossEntropyBackward)

} // namespace tinybard::cuda
