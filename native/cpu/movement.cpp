// Kernels that only move data. Every output element has one source (embeddingBackward excepted), so
// threads can divide the outputs anywhere.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 16384; // elements that are not worth a second thread

static inline void copyWords(word* to, const word* from, int64_t n) {
  std::memcpy(to, from, (size_t)n * sizeof(word));
}

/** y[i] = x[i], converted between f32 and i32 if the types differ. x, y [n] */
void copy(const any* x, any* y, int64_t n) {
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    const f32* xf = static_cast<const f32*>(x->data);
    const i32* xi = static_cast<const i32*>(x->data);
    f32* yf = static_cast<f32*>(y->data);
    i32* yi = static_cast<i32*>(y->data);
    if (x->type == y->type) {
      std::memcpy(yf + begin, xf + begin, (size_t)(end - begin) * sizeof(word));
    } else if (y->type == Type::f32) {
      for (int64_t i = begin; i < end; i++) yf[i] = (f32)xi[i];
    } else {
      for (int64_t i = begin; i < end; i++) yi[i] = toInt32(xf[i]);
    }
  });
}

/** y[i] = value. y [n] */
void fill(any* y, double value, int64_t n) {
  parallelFor(n, GRAIN, [&](int64_t begin, int64_t end) {
    if (y->type == Type::f32) {
      f32* yf = static_cast<f32*>(y->data);
      for (int64_t i = begin; i < end; i++) yf[i] = (f32)value;
    } else {
      i32* yi = static_cast<i32*>(y->data);
      for (int64_t i = begin; i < end; i++) yi[i] = toInt32(value);
    }
  });
}

/** y = x^T in blocks of Vec::width squared, transposed in registers. x [p, q], y [q, p] */
static void transposeMatrix(const word* x, word* y, int64_t p, int64_t q) {
  constexpr int64_t W = Vec::width;
  const int64_t wholeP = p / W * W;
  const int64_t wholeQ = q / W * W;
  const float* from = reinterpret_cast<const float*>(x);
  float* to = reinterpret_cast<float*>(y);
  parallelFor(q, 1 + GRAIN / (p + 1) / W * W, [&](int64_t begin, int64_t end) {
    int64_t j = begin;
    while (j < end) {
      if (j % W == 0 && j + W <= end && j < wholeQ) {
        for (int64_t i = 0; i < wholeP; i += W)
          transposeBlock(from + i * q + j, q, to + j * p + i, p);
        for (int64_t k = j; k < j + W; k++) {
          for (int64_t i = wholeP; i < p; i++) y[k * p + i] = x[i * q + k];
        }
        j += W;
      } else {
        for (int64_t i = 0; i < p; i++) y[j * p + i] = x[i * q + j];
        j++;
      }
    }
  });
}

/** y[o, j, i, k] = x[o, i, j, k]. x [outer, p, q, inner], y [outer, q, p, inner] */
void transpose(const word* x, word* y, int64_t outer, int64_t p, int64_t q, int64_t inner) {
  if (inner == 1) {
    for (int64_t o = 0; o < outer; o++) transposeMatrix(x + o * p * q, y + o * p * q, p, q);
    return;
  }
  parallelFor(outer * q, 1 + GRAIN / (p * inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t oq = begin; oq < end; oq++) {
      const int64_t o = oq / q;
      const int64_t j = oq % q;
      for (int64_t i = 0; i < p; i++)
        copyWords(y + (oq * p + i) * inner, x + ((o * p + i) * q + j) * inner, inner);
    }
  });
}

/** y[o, j, i] = x[o, i] for every j. x [outer, inner], y [outer, n, inner] */
void expand(const word* x, word* y, int64_t outer, int64_t n, int64_t inner) {
  parallelFor(outer * n, 1 + GRAIN / (inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) {
      const word* from = x + r / n * inner;
      if (inner == 1) y[r] = *from;
      else copyWords(y + r * inner, from, inner);
    }
  });
}

/** Returns true if start + count <= n, otherwise reports an error. */
static bool checkRange(const char* kernel, int64_t start, int64_t count, int64_t n) {
  if (start + count <= n) return true;
  kernelError("%s: start %lld and count %lld, expected at most %lld together",
              kernel, (long long)start, (long long)count, (long long)n);
  return false;
}

/** y[o, j, i] = x[o, start + j, i]. x [outer, n, inner], y [outer, count, inner] */
void slice(const word* x, word* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
           int64_t count) {
  if (!checkRange("slice", start, count, n)) return;
  parallelFor(outer, 1 + GRAIN / (count * inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++)
      copyWords(y + o * count * inner, x + (o * n + start) * inner, count * inner);
  });
}

/** y[o, start + j, i] = x[o, j, i]. x [outer, count, inner], y [outer, n, inner] */
void sliceUpdate(const word* x, word* y, int64_t outer, int64_t n, int64_t inner, int64_t start,
                 int64_t count) {
  if (!checkRange("sliceUpdate", start, count, n)) return;
  parallelFor(outer, 1 + GRAIN / (count * inner + 1), [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; o++)
      copyWords(y + (o * n + start) * inner, x + o * count * inner, count * inner);
  });
}

/** y[r] = w[idx[r]]. idx [rows], w [V, C], y [rows, C] */
void embedding(const i32* idx, const f32* w, f32* y, int64_t rows, int64_t V, int64_t C) {
  if (!checkIndices("embedding", "idx", idx, rows, V)) return;
  parallelFor(rows, 1 + GRAIN / (C + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++)
      std::memcpy(y + r * C, w + idx[r] * C, (size_t)C * sizeof(f32));
  });
}

/**
 * Numbers the rows v of dw that are the sum of SUM_LENGTH rows of dy or more: heavy [rows] becomes
 * the number of idx[r] if row r is the last of a block of SUM_LENGTH rows with that index, and
 * otherwise -1. Returns the number of such v. counts, numbers [V] are scratch memory.
 */
static i32 findHeavyRows(const i32* idx, int64_t rows, int64_t V, i32* counts, i32* numbers,
                         i32* heavy) {
  std::memset(counts, 0, (size_t)V * sizeof(i32));
  i32 found = 0;
  for (int64_t r = 0; r < rows; r++) {
    const i32 v = idx[r];
    heavy[r] = -1;
    if (++counts[v] % SUM_LENGTH != 0) continue;
    if (counts[v] == SUM_LENGTH) numbers[v] = found++;
    heavy[r] = numbers[v];
  }
  return found;
}

/**
 * dw[v] = the sum of dy[r] over the rows with idx[r] = v. idx [rows], dy [rows, C], dw [V, C].
 * Threads divide the columns, so each sum is in the order of the rows and no two threads write to
 * the same element. Sums of many rows are added in f64 to `totals` after each SUM_LENGTH rows.
 */
void embeddingBackward(const i32* idx, const f32* dy, f32* dw, int64_t rows, int64_t V, int64_t C) {
  if (!checkIndices("embeddingBackward", "idx", idx, rows, V)) return;
  std::memset(dw, 0, (size_t)(V * C) * sizeof(f32));
  i32* counts = reinterpret_cast<i32*>(scratch(0, 2 * V + rows));
  i32* numbers = counts + V;
  i32* heavy = numbers + V;
  const i32 heavyCount = findHeavyRows(idx, rows, V, counts, numbers, heavy);
  double* totals = reinterpret_cast<double*>(scratch(1, 2 * heavyCount * C)); // [heavyCount, C]
  std::memset(totals, 0, (size_t)(heavyCount * C) * sizeof(double));
  const int64_t grain = rows * C < GRAIN ? C : Vec::width;
  parallelFor(C, grain, [&](int64_t begin, int64_t end) {
    for (int64_t r = 0; r < rows; r++) {
      float* row = dw + idx[r] * C;
      for (int64_t c = begin; c < end; c += Vec::width) {
        const int64_t lanes = lanesLeft(c, end);
        (Vec::load(row + c, lanes) + Vec::load(dy + r * C + c, lanes)).store(row + c, lanes);
      }
      if (heavy[r] < 0) continue;
      double* total = totals + heavy[r] * C;
      for (int64_t c = begin; c < end; c++) {
        total[c] += row[c];
        row[c] = 0;
      }
    }
    for (int64_t v = 0; v < V; v++) {
      if (counts[v] < SUM_LENGTH) continue;
      const double* total = totals + numbers[v] * C;
      for (int64_t c = begin; c < end; c++) dw[v * C + c] = (float)(total[c] + dw[v * C + c]);
    }
  });
}

} // namespace tinybard::SIMD
