// Building blocks of row kernels, whose outputs depend on whole rows. A thread processes whole
// rows. Sums over many rows are divided into parts whose boundaries depend on the sizes alone, so
// the results have the same bits with any number of threads.
#pragma once

#include "parallel.h"
#include "vecmath.h"

namespace tinybard::SIMD {

constexpr int64_t ROW_GRAIN = 8192; // elements that are not worth a second thread
constexpr int64_t SUM_BLOCK = 4096; // elements that are added in f32

/** Calls f(r) for each row r of n elements, on all threads. */
template <class F>
inline void forEachRow(int64_t rows, int64_t n, const F& f) {
  parallelFor(rows, 1 + ROW_GRAIN / (n + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) f(r);
  });
}

/** Returns the sum of the vectors f(i, lanes) of a row. Lanes past the row must be 0. */
template <class F>
inline float rowSum(int64_t n, const F& f) {
  Vec total = 0.0f;
  forEachVector(n, [&](int64_t i, int64_t lanes) { total = total + f(i, lanes); });
  return reduceAdd(total);
}

/** Returns the sum of x [n]: in f32 within blocks of SUM_BLOCK elements, in f64 over the blocks. */
inline double sumBlocks(const float* x, int64_t n) {
  double total = 0;
  for (int64_t first = 0; first < n; first += SUM_BLOCK) {
    const int64_t length = n - first < SUM_BLOCK ? n - first : SUM_BLOCK;
    total += rowSum(length, [&](int64_t i, int64_t lanes) {
      return Vec::load(x + first + i, lanes);
    });
  }
  return total;
}

/**
 * Returns the maximum of x [n], which is subtracted before e^x so that it cannot overflow; 0 if all
 * elements are -Infinity or NaN.
 */
inline float softmaxShift(const float* x, int64_t n) {
  Vec top = -INFINITY;
  forEachVector(n, [&](int64_t i, int64_t lanes) {
    top = max(select(Vec::firstLanes(lanes), Vec::load(x + i, lanes), Vec(-INFINITY)), top);
  });
  const float largest = reduceMax(top);
  return largest == -INFINITY ? 0 : largest;
}

/** Returns the sum of e^(x - shift). x [n] */
inline float sumExp(const float* x, int64_t n, float shift) {
  return rowSum(n, [&](int64_t i, int64_t lanes) {
    const Vec e = exp(Vec::load(x + i, lanes) - Vec(shift));
    return select(Vec::firstLanes(lanes), e, Vec(0.0f));
  });
}

/** Returns the number of parts that a sum over rows is divided into. */
inline int64_t partCount(int64_t rows) {
  return rows < 64 ? 1 : rows < 2048 ? rows / 64 : 32;
}

/** y [n] = the sum of all parts' partial sums, in order. Those of part i begin at i stride. */
inline void reducePartials(const float* partialSums, int64_t parts, int64_t stride, float* y,
                           int64_t n) {
  forEachVector(n, [&](int64_t i, int64_t lanes) {
    Vec total = Vec::load(partialSums + i, lanes);
    for (int64_t p = 1; p < parts; p++)
      total = total + Vec::load(partialSums + p * stride + i, lanes);
    total.store(y + i, lanes);
  });
}

} // namespace tinybard::SIMD
