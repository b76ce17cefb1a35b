// Building blocks of row kernels, whose outputs depend on whole rows. A thread processes whole
// rows. Sums over many rows are divided into parts whose boundaries depend on the sizes alone, so
// the results have the same bits with any number of threads. Long sums are divided into blocks:
// in f32 within a block, in f64 over the blocks, so that the rounding error does not grow with the
// number of terms.
#pragma once

#include "parallel.h"
#include "vecmath.h"

namespace tinybard::SIMD {

constexpr int64_t ROW_GRAIN = 8192;  // elements that are not worth a second thread
constexpr int64_t SUM_LENGTH = 128;  // terms that are added one after the other in f32
constexpr int64_t SUM_BLOCK = SUM_LENGTH * Vec::width; // elements of a row: SUM_LENGTH per lane

/** Calls f(r) for each row r of n elements, on all threads. */
template <class F>
inline void forEachRow(int64_t rows, int64_t n, const F& f) {
  parallelFor(rows, 1 + ROW_GRAIN / (n + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) f(r);
  });
}

/** Calls f(begin, end) for the blocks of at most `size` elements that cover [begin, end). */
template <class F>
inline void forEachBlock(int64_t begin, int64_t end, int64_t size, const F& f) {
  for (int64_t i = begin; i < end; i += size) f(i, end - i < size ? end : i + size);
}

/** Returns the sum of the vectors f(i, lanes) of a row. Lanes past the row must be 0. */
template <class F>
inline double rowSum(int64_t n, const F& f) {
  double total = 0;
  forEachBlock(0, n, SUM_BLOCK, [&](int64_t begin, int64_t end) {
    Vec block = 0.0f;
    forEachVector(end - begin, [&](int64_t i, int64_t lanes) {
      block = block + f(begin + i, lanes);
    });
    total += reduceAdd(block);
  });
  return total;
}

/** Returns the sum of x [n]. */
inline double sumElements(const float* x, int64_t n) {
  return rowSum(n, [&](int64_t i, int64_t lanes) { return Vec::load(x + i, lanes); });
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
  return (float)rowSum(n, [&](int64_t i, int64_t lanes) {
    const Vec e = exp(Vec::load(x + i, lanes) - Vec(shift));
    return select(Vec::firstLanes(lanes), e, Vec(0.0f));
  });
}

/** Returns the number of parts that a sum over rows is divided into. */
inline int64_t partCount(int64_t rows) {
  return rows < 64 ? 1 : rows < 2048 ? rows / 64 : 32;
}

/**
 * The sum of many rows of n elements: the caller adds rows to `sum`, and calls endBlock() after
 * every SUM_LENGTH of them, and finish() in the end.
 */
struct RowsSum {
  float* sum;     // [n], of the current block, and in the end of all rows
  double* totals; // [n], of the blocks before
  int64_t n;

  /** Starts with 0, in `memory` of size(n) floats. The first n of them will be the sum. */
  RowsSum(float* memory, int64_t n)
      : sum(memory), totals(reinterpret_cast<double*>(memory + size(n) / 3)), n(n) {
    std::memset(memory, 0, (size_t)size(n) * sizeof(float));
  }
  /** Returns the floats of memory that a sum needs, in whole cache lines. */
  static int64_t size(int64_t n) { return 3 * ((n + 15) / 16 * 16); }
  void endBlock() const {
    for (int64_t i = 0; i < n; i++) totals[i] += sum[i];
    std::memset(sum, 0, (size_t)n * sizeof(float));
  }
  void finish() const {
    for (int64_t i = 0; i < n; i++) sum[i] = (float)(totals[i] + sum[i]);
  }
};

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
