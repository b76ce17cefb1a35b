// Sums and largest elements along an axis of [outer, n, inner]: along rows where inner is 1, else
// along columns. Where that is little work for many blocks, n is cut into parts, as the sizes say.

#include "kernels.h"
#include "rows.cuh"

namespace tinybard::cuda {
namespace {

/** y[r] = the sum of row r; found [rows, parts]: the sums of its parts, if there are several. */
template <class F, class S>
__global__ void __launch_bounds__(S::threads)
    sumRows(const F* x, F* y, float* found, unsigned* counters, int64_t rows, int64_t n, int parts,
            int64_t length) {
  for (int64_t job = S::team(); job < rows * parts; job += S::allTeams()) {
    const int64_t r = job / parts, begin = job % parts * length;
    const F* part = x + r * n + begin;
    float sum = 0;
    S::each((int)(n - begin < length ? n - begin : length), [&](int i, int) {
      const Vector<F, S::W> v = load<S::W>(part + i);
      for (int k = 0; k < S::W; k++) sum += toFloat(v.at[k]);
    });
    sum = S::sum(sum);
    if (S::T > WARP && parts > 1) {
      if (S::rank() == 0) found[job] = sum;
      if (!isLastBlock(counters + r, parts)) continue;
      sum = 0;
      for (int i = S::rank(); i < parts; i += S::T) sum += found[r * parts + i];
      sum = S::sum(sum);
    }
    if (S::rank() == 0) y[r] = roundTo<F>(sum);
  }
}

/**
 * y[o, i] = the sum of x[o, j, i] over j. A block has some columns, as many as a warp takes side by
 * side, and one of `parts` of their rows; slabs [parts, outer, inner] are the sums of the parts.
 */
template <int W, class F>
__global__ void __launch_bounds__(BLOCK_SIZE, 4)
    sumColumns(const F* x, F* y, float* slabs, unsigned* counters, int64_t outer, int64_t n,
               int64_t inner, int64_t tiles, int parts) {
  constexpr int columns = WARP * W, warps = BLOCK_SIZE / WARP;
  SHARED(float, sums, [warps][columns]);
  const int64_t set = blockIdx.x / parts, o = set / tiles, first = set % tiles * columns;
  const int part = blockIdx.x % parts;
  const int64_t i = first + lane() * W, end = n * (part + 1) / parts;
  Vector<float, W> sum = {};
  if (i < inner) {
#pragma unroll 4
    for (int64_t j = n * part / parts + warp(); j < end; j += warps) {
      const Vector<F, W> v = load<W>(x + (o * n + j) * inner + i);
      for (int k = 0; k < W; k++) sum.at[k] += toFloat(v.at[k]);
    }
  }
  store(sums[warp()] + lane() * W, sum);
  __syncthreads();
  const int own = threadIdx.x, width = (int)(inner - first < columns ? inner - first : columns);
  const int64_t at = o * inner + first;
  float total = 0;
  if (own < width)
    for (int w = 0; w < warps; w++) total += sums[w][own];
  if (parts > 1) {
    if (own < width) slabs[part * outer * inner + at + own] = total;
    if (!reducePartials(slabs + at, outer * inner, width, part, parts,
                  counters + set * partialCounters(parts)))
      return;
    if (own < width) total = slabs[at + own];
  }
  if (own < width) y[at + own] = roundTo<F>(total);
}

/** An element and where it stands. */
struct Element {
  float x;
  int at;
};

/** The larger of two: NaN counts as largest, and of equals the first. */
__device__ inline Element larger(Element a, Element b) {
  const bool isNaN = b.x != b.x, wasNaN = a.x != a.x;
  const bool isEqual = isNaN ? wasNaN : a.x == b.x;
  const bool isLarger = isNaN ? !wasNaN : b.x > a.x; // never larger than a NaN
  return isLarger || (isEqual && b.at < a.at) ? b : a;
}

__device__ inline Element warpLargest(Element a) {
  for (int step = WARP / 2; step > 0; step /= 2)
    a = larger(a, {__shfl_xor_sync(FULL_MASK, a.x, step), __shfl_xor_sync(FULL_MASK, a.at, step)});
  return a;
}

/** y[o, i] = max over j of x[o, j, i], with the first j that has it; T threads for each of them. */
template <int T, class F>
__global__ void __launch_bounds__(BLOCK_SIZE)
    largest(const F* x, F* y, i32* index, int64_t outputs, int n, int64_t inner) {
  for (int64_t at = globalThreadIndex() / T; at < outputs; at += globalThreadCount() / T) {
    const F* column = x + at / inner * n * inner + at % inner;
    const int rank = threadIdx.x % T;
    Element top = {-INFINITY, INT32_MAX};
#pragma unroll 4
    for (int j = rank; j < n; j += T) top = larger(top, {toFloat(column[j * inner]), j});
    if constexpr (T > 1) top = warpLargest(top);
    if constexpr (T > WARP) {
      SHARED(Element, tops, [WARP]);
      __syncthreads(); // all have read those of the row before
      if (lane() == 0) tops[warp()] = top;
      __syncthreads();
      top = warpLargest(tops[lane() % (T / WARP)]);
    }
    if (rank != 0) continue;
    y[at] = roundTo<F>(top.x);
    index[at] = top.at;
  }
}

template <class F>
__global__ void largestBackward(const F* dy, const i32* index, F* dx, int64_t size, int64_t n,
                                int64_t inner) {
  for (int64_t i = globalThreadIndex(); i < size; i += globalThreadCount()) {
    const int64_t row = i / inner, at = row / n * inner + i % inner;
    dx[i] = row % n == index[at] ? dy[at] : roundTo<F>(0);
  }
}

/** How many parts of at least `least` elements n is cut into, so that there are some 512 jobs. */
int64_t partsOf(int64_t jobs, int64_t n, int64_t least) {
  const int64_t wanted = jobs == 0 || jobs > 256 ? 1 : 512 / jobs, most = n / least;
  return most < 1 ? 1 : wanted < most ? wanted : most;
}

float* slabsOf(int64_t count) {
  return static_cast<float*>(workspace((size_t)count * sizeof(float)));
}

} // namespace

template <class F>
void sum(const F* x, F* y, int64_t outer, int64_t n, int64_t inner) {
  constexpr int W = Pack<F>::size;
  if (inner == 1) {
    const int64_t wanted = partsOf(outer, n, 16384);
    const int64_t length = n == 0 ? W : ceilDiv(ceilDiv(n, wanted), W) * W;
    const int cuts = n == 0 ? 1 : (int)ceilDiv(n, length);
    const auto run = [&](auto shape) {
      using S = decltype(shape);
      launch(sumRows<F, S>, rowGrid<S>(outer * cuts), S::threads, 0, x, y,
             cuts > 1 ? slabsOf(outer * cuts) : nullptr, cuts > 1 ? counters(outer) : nullptr,
             outer, n, cuts, length);
    };
    if (canVectorize<F>(n, x)) n <= 1024 ? run(Shape<W, 0, WARP>()) : run(Shape<W, 0, 256>());
    else n <= 1024 ? run(Shape<1, 0, WARP>()) : run(Shape<1, 0, 256>());
    return;
  }
  const bool packed = canVectorize<F>(inner, x);
  const int64_t tiles = ceilDiv(inner, packed ? WARP * W : WARP), sets = outer * tiles;
  const int cuts = (int)partsOf(sets, n, 64);
  launch(packed ? sumColumns<W, F> : sumColumns<1, F>, gridFor(sets * cuts, 1), BLOCK_SIZE, 0, x, y,
         cuts > 1 ? slabsOf(cuts * outer * inner) : nullptr,
         cuts > 1 ? counters(sets * partialCounters(cuts)) : nullptr, outer, n, inner, tiles, cuts);
}
FOR_FLOATS(sum)

template <class F>
void max(const F* x, F* y, i32* index, int64_t outer, int64_t n, int64_t inner) {
  const int64_t outputs = outer * inner;
  if (n == 0 && outputs > 0) return kernelError("max: n is 0, expected at least one element");
  const int T = inner > 1 ? 1 : n <= 1024 ? WARP : BLOCK_SIZE;
  launch(T == 1 ? largest<1, F> : T == WARP ? largest<WARP, F> : largest<BLOCK_SIZE, F>,
         gridFor(outputs * T, BLOCK_SIZE), BLOCK_SIZE, 0, x, y, index, outputs, (int)n, inner);
}
FOR_FLOATS(max)

template <class F>
void maxBackward(const F* dy, const i32* index, F* dx, int64_t outer, int64_t n, int64_t inner) {
  const int64_t size = outer * n * inner;
  launch(largestBackward<F>, gridStrideBlocks(size), BLOCK_SIZE, 0, dy, index, dx, size, n, inner);
}
FOR_FLOATS(maxBackward)

} // namespace tinybard::cuda
