// Sum and maximum along an axis: x is [outer, n, inner], and the axis of length n is reduced.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

/**
 * y[i] = sum of x[j, i] over j in [begin, end), for V vectors of columns, the last of which has
 * `lanes` elements. x [., n]
 */
template <int V>
static void sumColumns(const float* x, float* y, int64_t begin, int64_t end, int64_t n,
                       int64_t lanes) {
  constexpr int64_t W = Vec::width;
  double totals[V * W] = {};
  float block[V * W];
  forEachBlock(begin, end, SUM_LENGTH, [&](int64_t first, int64_t last) {
    Vec sums[V];
    for (int v = 0; v < V; v++) sums[v] = 0.0f;
    for (int64_t j = first; j < last; j++) {
      for (int v = 0; v < V; v++) {
        const float* from = x + j * n + v * W;
        sums[v] = sums[v] + (lanes == W ? Vec::load(from) : Vec::load(from, lanes));
      }
    }
    for (int v = 0; v < V; v++) sums[v].store(block + v * W);
    for (int64_t i = 0; i < V * W; i++) totals[i] += block[i];
  });
  for (int64_t i = 0; i < (V - 1) * W + lanes; i++) y[i] = (float)totals[i];
}

/** y[i] = sum of x[j, i] over j in [begin, end). Four vectors of columns at a time. x [., n] */
static void sumColumns(const float* x, float* y, int64_t begin, int64_t end, int64_t n) {
  constexpr int64_t W = Vec::width;
  int64_t i = 0;
  for (; i + 4 * W <= n; i += 4 * W) sumColumns<4>(x + i, y + i, begin, end, n, W);
  for (; i < n; i += W) sumColumns<1>(x + i, y + i, begin, end, n, lanesLeft(i, n));
}

/** Returns the sum of one long row. Threads divide its blocks. */
static double sumLongRow(const float* x, int64_t n) {
  const int64_t blocks = (n + SUM_BLOCK - 1) / SUM_BLOCK;
  double* partialSums = reinterpret_cast<double*>(scratch(0, 2 * blocks));
  parallelFor(blocks, 1 + ROW_GRAIN / SUM_BLOCK, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      const int64_t left = n - b * SUM_BLOCK;
      partialSums[b] = sumElements(x + b * SUM_BLOCK, left < SUM_BLOCK ? left : SUM_BLOCK);
    }
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; b++) total += partialSums[b];
  return total;
}

/** The column sums of x [n, inner]. Threads divide the rows into parts. */
static void sumManyRows(const float* x, float* y, int64_t n, int64_t inner, int64_t parts) {
  float* partialSums = scratch(0, parts * inner); // [parts, inner]
  const int64_t grain = 1 + ROW_GRAIN * parts / (n * inner + 1);
  parallelFor(parts, grain, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; p++)
      sumColumns(x, partialSums + p * inner, n * p / parts, n * (p + 1) / parts, inner);
  });
  reducePartials(partialSums, parts, inner, y, inner);
}

/**
 * y[o, i] = sum over j of x[o, j, i]. x [outer, n, inner], y [outer, inner]. Threads divide
 * `outer`; if it is 1, they divide n, into parts that depend on n alone.
 */
void sum(const f32* x, f32* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1 && outer == 1) {
    *y = (float)sumLongRow(x, n);
    return;
  }
  if (inner == 1)
    return forEachRow(outer, n, [&](int64_t o) { y[o] = (float)sumElements(x + o * n, n); });
  const int64_t parts = outer == 1 ? partCount(n) : 1;
  if (parts > 1) return sumManyRows(x, y, n, inner, parts);
  forEachRow(outer, n * inner, [&](int64_t o) {
    sumColumns(x + o * n * inner, y + o * inner, 0, n, inner);
  });
}

/**
 * y[o, i] = max over j of x[o, j, i]; index[o, i] = the first j with that value, where NaN counts
 * as the maximum. x [outer, n, inner]; y, index [outer, inner]. Threads divide `outer`.
 */
void max(const f32* x, f32* y, i32* index, int64_t outer, int64_t n, int64_t inner) {
  if (n == 0 && outer * inner > 0) return kernelError("max: n is 0, expected at least one element");
  forEachRow(outer, n * inner, [&](int64_t o) {
    for (int64_t i = 0; i < inner; i++) {
      const float* row = x + o * n * inner + i;
      int64_t best = 0;
      for (int64_t j = 1; j < n; j++) {
        if (row[best * inner] != row[best * inner]) break; // NaN
        if (!(row[j * inner] <= row[best * inner])) best = j;
      }
      y[o * inner + i] = row[best * inner];
      index[o * inner + i] = (i32)best;
    }
  });
}

/**
 * dx[o, index[o, i], i] = dy[o, i], and 0 elsewhere. dy, index [outer, inner], dx [outer, n,
 * inner]. Threads divide `outer`.
 */
void maxBackward(const f32* dy, const i32* index, f32* dx, int64_t outer, int64_t n,
                 int64_t inner) {
  if (!checkIndices("maxBackward", "index", index, outer * inner, n)) return;
  forEachRow(outer, n * inner, [&](int64_t o) {
    float* slice = dx + o * n * inner;
    std::memset(slice, 0, (size_t)(n * inner) * sizeof(float));
    for (int64_t i = 0; i < inner; i++) {
      const int64_t j = index[o * inner + i];
      slice[j * inner + i] = dy[o * inner + i];
    }
  });
}

} // namespace tinybard::SIMD
