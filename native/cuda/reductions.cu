// Sums and maxima over the axis n of [outer, n, inner]: along rows if inner is 1, otherwise along
// columns. Where outputs alone would occupy few blocks, n is split into parts whose partial sums
// are added in a fixed order. The split depends only on the sizes.

#include "kernels.h"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/**
 * y[r] = sum of row r. x [rows, n], y [rows]. A thread group sums `length` elements of a row; the
 * last of the `parts` groups of a row adds its partials [rows, parts]. counters [rows].
 */
template <class F, class Layout>
__global__ void __launch_bounds__(Layout::blockSize)
    sumRows(const F* x, F* y, float* partials, unsigned* counters, int64_t rows, int64_t n,
            int parts, int64_t length) {
  for (int64_t job = Layout::threadGroup(); job < rows * parts; job += Layout::groupCount()) {
    const int64_t r = job / parts;
    const int64_t begin = job % parts * length;
    const F* part = x + r * n + begin;
    RowSum<Layout> partSum;
    Layout::forEachVector((int)(n - begin < length ? n - begin : length), [&](int i, int) {
      const Vector<F, Layout::W> xi = load<Layout::W>(part + i);
      for (int k = 0; k < Layout::W; k++) partSum.block += toFloat(xi.at[k]);
      partSum.endVector(i);
    });
    float sum = partSum.ofRow();
    if (Layout::groupSize > WARP && parts > 1) { // the group is the block
      if (Layout::rank() == 0) partials[job] = sum;
      if (!isLastBlock(counters + r, parts)) continue;
      sum = 0;
      for (int i = Layout::rank(); i < parts; i += Layout::groupSize)
        sum += partials[r * parts + i];
      sum = Layout::sum(sum);
    }
    if (Layout::rank() == 0) y[r] = roundTo<F>(sum);
  }
}

/**
 * y[o, i] = sum over j of x[o, j, i]. x [outer, n, inner], y [outer, inner]. A block sums WARP * W
 * columns over one of `parts` parts of n; `tiles` such sets of columns cover inner. Blocks are
 * ordered (outer, tile, part). partials [parts, outer, inner].
 */
template <int W, class F>
__global__ void __launch_bounds__(BLOCK_SIZE, 4)
    sumColumns(const F* x, F* y, float* partials, unsigned* counters, int64_t outer, int64_t n,
               int64_t inner, int64_t tiles, int parts) {
  constexpr int COLUMNS = WARP * W;
  constexpr int WARPS = BLOCK_SIZE / WARP;
  SHARED(float, sums, [WARPS][COLUMNS]);
  const int64_t tile = blockIdx.x / parts; // among those of all outer
  const int64_t o = tile / tiles;
  const int64_t first = tile % tiles * COLUMNS;
  const int part = blockIdx.x % parts;
  const int64_t i = first + lane() * W;
  const int64_t end = n * (part + 1) / parts;
  double blocks[W] = {}; // the sums of SUM_LENGTH rows of this warp
  int64_t j = n * part / parts + warp();
  while (i < inner && j < end) {
    const int64_t blockEnd = j + SUM_LENGTH * WARPS < end ? j + SUM_LENGTH * WARPS : end;
    Vector<float, W> sum = {};
#pragma unroll 4
    for (; j < blockEnd; j += WARPS) {
      const Vector<F, W> xj = load<W>(x + (o * n + j) * inner + i);
      for (int k = 0; k < W; k++) sum.at[k] += toFloat(xj.at[k]);
    }
    for (int k = 0; k < W; k++) blocks[k] += sum.at[k];
  }
  for (int k = 0; k < W; k++) sums[warp()][lane() * W + k] = (float)blocks[k];
  __syncthreads();
  const int column = threadIdx.x; // of the tile; this thread adds its warps' sums
  const int width = (int)(inner - first < COLUMNS ? inner - first : COLUMNS);
  const int64_t output = o * inner + first;
  float total = 0;
  if (column < width)
    for (int w = 0; w < WARPS; w++) total += sums[w][column];
  if (parts > 1) {
    if (column < width) partials[part * outer * inner + output + column] = total;
    if (!reducePartials(partials + output, outer * inner, width, part, parts,
                        counters + tile * partialCounters(parts)))
      return;
    if (column < width) total = partials[output + column];
  }
  if (column < width) y[output + column] = roundTo<F>(total);
}

/** A value and its index along the reduced axis. */
struct Element {
  float value;
  int index;
};

/** Returns the larger of two elements: NaN counts as the largest; of equals, the first index. */
__device__ inline Element larger(Element a, Element b) {
  const bool aIsNaN = a.value != a.value;
  const bool bIsNaN = b.value != b.value;
  const bool isEqual = bIsNaN ? aIsNaN : a.value == b.value;
  const bool isLarger = bIsNaN ? !aIsNaN : b.value > a.value; // false if a is NaN
  return isLarger || (isEqual && b.index < a.index) ? b : a;
}

/** Returns the largest element over the lanes of a warp, in every lane. */
__device__ inline Element warpLargest(Element a) {
  for (int step = WARP / 2; step > 0; step /= 2) {
    a = larger(a, {__shfl_xor_sync(FULL_MASK, a.value, step),
                   __shfl_xor_sync(FULL_MASK, a.index, step)});
  }
  return a;
}

/**
 * y[o, i] = max over j of x[o, j, i], and index[o, i] = the first such j. x [outer, n, inner];
 * y, index [outputs] = [outer, inner]. THREADS neighboring threads share an output: 1, a warp or a
 * block.
 */
template <int THREADS, class F>
__global__ void __launch_bounds__(BLOCK_SIZE)
    maxAlongAxis(const F* x, F* y, i32* index, int64_t outputs, int n, int64_t inner) {
  for (int64_t o = globalThreadIndex() / THREADS; o < outputs; o += globalThreadCount() / THREADS) {
    const F* column = x + o / inner * n * inner + o % inner;
    const int rank = threadIdx.x % THREADS;
    Element top = {-INFINITY, INT32_MAX};
#pragma unroll 4
    for (int j = rank; j < n; j += THREADS) top = larger(top, {toFloat(column[j * inner]), j});
    if constexpr (THREADS > 1) top = warpLargest(top);
    if constexpr (THREADS > WARP) {
      SHARED(Element, tops, [WARP]);
      __syncthreads(); // tops may still be read for the previous output
      if (lane() == 0) tops[warp()] = top;
      __syncthreads();
      top = warpLargest(tops[lane() % (THREADS / WARP)]);
    }
    if (rank != 0) continue;
    y[o] = roundTo<F>(top.value);
    index[o] = top.index;
  }
}

/** dx[o, j, i] = dy[o, i] if j = index[o, i], otherwise 0. One thread per element of dx. */
template <class F>
__global__ void maxAlongAxisBackward(const F* dy, const i32* index, F* dx, int64_t size, int64_t n,
                                     int64_t inner) {
  for (int64_t i = globalThreadIndex(); i < size; i += globalThreadCount()) {
    const int64_t row = i / inner;
    const int64_t output = row / n * inner + i % inner;
    dx[i] = row % n == index[output] ? dy[output] : roundTo<F>(0);
  }
}

/**
 * Returns the number of parts to split n into, for about 512 blocks in all if each of `jobs` blocks
 * would sum n elements; a part has at least minLength elements.
 */
int64_t partCount(int64_t jobs, int64_t n, int64_t minLength) {
  const int64_t preferred = jobs == 0 || jobs > 256 ? 1 : 512 / jobs;
  const int64_t maxParts = n / minLength;
  if (maxParts < 1) return 1;
  return preferred < maxParts ? preferred : maxParts;
}

float* floatWorkspace(int64_t count) {
  return static_cast<float*>(workspace((size_t)count * sizeof(float)));
}

/** Launches sumRows. */
template <class F>
void launchSumRows(const F* x, F* y, int64_t rows, int64_t n) {
  constexpr int W = Pack<F>::size;
  const int64_t preferredParts = partCount(rows, n, 16384);
  const int64_t length = n == 0 ? W : ceilDiv(ceilDiv(n, preferredParts), W) * W;
  const int parts = n == 0 ? 1 : (int)ceilDiv(n, length);
  const auto run = [&](auto layout) {
    using Layout = decltype(layout);
    float* partials = parts > 1 ? floatWorkspace(rows * parts) : nullptr;
    unsigned* arrivals = parts > 1 ? counters(rows) : nullptr;
    launch(sumRows<F, Layout>, rowGrid<Layout>(rows * parts), Layout::blockSize, 0, x, y, partials,
           arrivals, rows, n, parts, length);
  };
  const bool vectorize = canVectorize<F>(n, x);
  if (vectorize && n <= 1024) run(RowLayout<W, 0, WARP>());
  else if (vectorize) run(RowLayout<W, 0, 256>());
  else if (n <= 1024) run(RowLayout<1, 0, WARP>());
  else run(RowLayout<1, 0, 256>());
}

/** Launches sumColumns. */
template <class F>
void launchSumColumns(const F* x, F* y, int64_t outer, int64_t n, int64_t inner) {
  constexpr int W = Pack<F>::size;
  const bool vectorize = canVectorize<F>(inner, x);
  const int64_t tiles = ceilDiv(inner, vectorize ? WARP * W : WARP);
  const int64_t allTiles = outer * tiles;
  const int parts = (int)partCount(allTiles, n, 64);
  const auto kernel = vectorize ? sumColumns<W, F> : sumColumns<1, F>;
  float* partials = parts > 1 ? floatWorkspace(parts * outer * inner) : nullptr;
  unsigned* arrivals = parts > 1 ? counters(allTiles * partialCounters(parts)) : nullptr;
  launch(kernel, gridFor(allTiles * parts, 1), BLOCK_SIZE, 0, x, y, partials, arrivals, outer, n,
         inner, tiles, parts);
}

} // namespace

template <class F>
void sum(const F* x, F* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1) launchSumRows(x, y, outer, n);
  else launchSumColumns(x, y, outer, n, inner);
}
FOR_FLOATS(sum)

template <class F>
void max(const F* x, F* y, i32* index, int64_t outer, int64_t n, int64_t inner) {
  const int64_t outputs = outer * inner;
  if (n == 0 && outputs > 0) return kernelError("max: n is 0, expected at least one element");
  const int threads = inner > 1 ? 1 : n <= 1024 ? WARP : BLOCK_SIZE; // per output
  const auto kernel = threads == 1      ? maxAlongAxis<1, F>
                      : threads == WARP ? maxAlongAxis<WARP, F>
                                        : maxAlongAxis<BLOCK_SIZE, F>;
  launch(kernel, gridFor(outputs * threads, BLOCK_SIZE), BLOCK_SIZE, 0, x, y, index, outputs,
         (int)n, inner);
}
FOR_FLOATS(max)

template <class F>
void maxBackward(const F* dy, const i32* index, F* dx, int64_t outer, int64_t n, int64_t inner) {
  const int64_t size = outer * n * inner;
  launch(maxAlongAxisBackward<F>, gridStrideBlocks(size), BLOCK_SIZE, 0, dy, index, dx, size, n,
         inner);
}
FOR_FLOATS(maxBackward)

} // namespace tinybard::cuda
