// Row kernels: every output needs a whole row. A thread has whole rows. Sums over rows are cut into
// blocks that hang on the sizes alone, so that any number of threads gives the same bits.

#include "kernels.h"
#include "random.h"
#include "vecmath.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 8192; // elements: fewer are not worth a second thread

/** f(row, r) for each row of n elements. */
template <class F>
static void eachRow(int64_t rows, int64_t n, const F& f) {
  parallelFor(rows, 1 + GRAIN / (n + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) f(r);
  });
}

/** The sum over a row of f(i, lanes), whose lanes behind the row must be 0. */
template <class F>
static inline float rowSum(int64_t n, const F& f) {
  Vec total = 0.0f;
  across(n, [&](int64_t i, int64_t lanes) { total = total + f(i, lanes); });
  return sum(total);
}

/** The largest element, 0 where all are -Infinity or NaN: subtracted before e^x. */
static inline float shiftOf(const float* x, int64_t n) {
  Vec top = -INFINITY;
  across(n, [&](int64_t i, int64_t lanes) {
    top = max(select(Vec::first(lanes), Vec::load(x + i, lanes), Vec(-INFINITY)), top);
  });
  const float largest = SIMD::largest(top);
  return largest == -INFINITY ? 0 : largest;
}

/** y = e^(x - shift); gives the sum of y. */
static inline float expRow(const float* x, float* y, int64_t n, float shift) {
  return rowSum(n, [&](int64_t i, int64_t lanes) {
    const Vec e = exp(Vec::load(x + i, lanes) - Vec(shift));
    e.store(y + i, lanes);
    return select(Vec::first(lanes), e, Vec(0.0f));
  });
}

/** The sum of e^(x - shift). */
static inline float expSum(const float* x, int64_t n, float shift) {
  return rowSum(n, [&](int64_t i, int64_t lanes) {
    return select(Vec::first(lanes), exp(Vec::load(x + i, lanes) - Vec(shift)), Vec(0.0f));
  });
}

/** The sum of a stretch: in floats over 4096 elements, in double over these. */
static double sumOf(const float* x, int64_t n) {
  double total = 0;
  for (int64_t at = 0; at < n; at += 4096) {
    const int64_t length = n - at < 4096 ? n - at : 4096;
    total += rowSum(length, [&](int64_t i, int64_t lanes) { return Vec::load(x + at + i, lanes); });
  }
  return total;
}

/** The row sums of many rows as columns: y[i] = sum of x[j, i] over j in [begin, end). */
static void sumColumns(const float* x, float* y, int64_t begin, int64_t end, int64_t n) {
  for (int64_t i = 0; i < n; i += 4 * Vec::width) {
    Vec total[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    if (i + 4 * Vec::width <= n) {
      for (int64_t j = begin; j < end; j++)
        for (int v = 0; v < 4; v++) total[v] = total[v] + Vec::load(x + j * n + i + v * Vec::width);
      for (int v = 0; v < 4; v++) total[v].store(y + i + v * Vec::width);
      continue;
    }
    for (int64_t k = i; k < n; k += Vec::width) {
      Vec one = 0.0f;
      for (int64_t j = begin; j < end; j++) one = one + Vec::load(x + j * n + k, lanesLeft(k, n));
      one.store(y + k, lanesLeft(k, n));
    }
  }
}

/** How many blocks a sum over rows is cut into. */
static inline int64_t blocksOf(int64_t rows) {
  return rows < 64 ? 1 : rows < 2048 ? rows / 64 : 32;
}

/** y[0..n) = the sum of the blocks' partial sums [blocks, n], in order. */
static void addBlocks(const float* parts, float* y, int64_t blocks, int64_t step, int64_t n) {
  across(n, [&](int64_t i, int64_t lanes) {
    Vec total = Vec::load(parts + i, lanes);
    for (int64_t b = 1; b < blocks; b++) total = total + Vec::load(parts + b * step + i, lanes);
    total.store(y + i, lanes);
  });
}

void sum(const f32* x, f32* y, int64_t outer, int64_t n, int64_t inner) {
  if (inner == 1 && outer == 1 && n > 4096) {
    const int64_t blocks = (n + 4095) / 4096;
    double* parts = reinterpret_cast<double*>(scratch(0, 2 * blocks));
    parallelFor(blocks, 4, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b++)
        parts[b] = sumOf(x + b * 4096, n - b * 4096 < 4096 ? n - b * 4096 : 4096);
    });
    double total = 0;
    for (int64_t b = 0; b < blocks; b++) total += parts[b];
    *y = (float)total;
    return;
  }
  if (inner == 1) return eachRow(outer, n, [&](int64_t o) { y[o] = (float)sumOf(x + o * n, n); });
  const int64_t blocks = outer == 1 ? blocksOf(n) : 1;
  if (blocks > 1) {
    float* parts = scratch(0, blocks * inner);
    parallelFor(blocks, 1 + GRAIN * blocks / (n * inner + 1), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b++)
        sumColumns(x, parts + b * inner, n * b / blocks, n * (b + 1) / blocks, inner);
    });
    return addBlocks(parts, y, blocks, inner, inner);
  }
  eachRow(outer, n * inner,
          [&](int64_t o) { sumColumns(x + o * n * inner, y + o * inner, 0, n, inner); });
}

void max(const f32* x, f32* y, i32* index, int64_t outer, int64_t n, int64_t inner) {
  if (n == 0 && outer * inner > 0) return kernelError("max: n is 0, expected at least one element");
  eachRow(outer, n * inner, [&](int64_t o) {
    for (int64_t i = 0; i < inner; i++) {
      const float* row = x + o * n * inner + i;
      int64_t best = 0;
      for (int64_t j = 1; j < n && row[best * inner] == row[best * inner]; j++)
        if (!(row[j * inner] <= row[best * inner])) best = j;
      y[o * inner + i] = row[best * inner];
      index[o * inner + i] = (i32)best;
    }
  });
}

void maxBackward(const f32* dy, const i32* index, f32* dx, int64_t outer, int64_t n, int64_t inner) {
  if (!checkIndices("maxBackward", "index", index, outer * inner, n)) return;
  eachRow(outer, n * inner, [&](int64_t o) {
    float* row = dx + o * n * inner;
    std::memset(row, 0, (size_t)(n * inner) * sizeof(float));
    for (int64_t i = 0; i < inner; i++) row[index[o * inner + i] * inner + i] = dy[o * inner + i];
  });
}

void softmax(const f32* x, f32* y, int64_t rows, int64_t n) {
  eachRow(rows, n, [&](int64_t r) {
    float* row = y + r * n;
    const Vec scale = 1.0f / expRow(x + r * n, row, n, shiftOf(x + r * n, n));
    across(n, [&](int64_t i, int64_t lanes) {
      (Vec::load(row + i, lanes) * scale).store(row + i, lanes);
    });
  });
}

void softmaxBackward(const f32* y, const f32* dy, f32* dx, int64_t rows, int64_t n) {
  eachRow(rows, n, [&](int64_t r) {
    const float *a = y + r * n, *b = dy + r * n;
    const Vec dot = rowSum(n, [&](int64_t i, int64_t lanes) {
      return Vec::load(a + i, lanes) * Vec::load(b + i, lanes);
    });
    across(n, [&](int64_t i, int64_t lanes) {
      (Vec::load(a + i, lanes) * (Vec::load(b + i, lanes) - dot)).store(dx + r * n + i, lanes);
    });
  });
}

void logSoftmax(const f32* x, f32* y, int64_t rows, int64_t n) {
  eachRow(rows, n, [&](int64_t r) {
    const float shift = shiftOf(x + r * n, n);
    const Vec lse = std::log(expSum(x + r * n, n, shift));
    across(n, [&](int64_t i, int64_t lanes) {
      (Vec::load(x + r * n + i, lanes) - Vec(shift) - lse).store(y + r * n + i, lanes);
    });
  });
}

void logSoftmaxBackward(const f32* y, const f32* dy, f32* dx, int64_t rows, int64_t n) {
  eachRow(rows, n, [&](int64_t r) {
    const float *a = y + r * n, *b = dy + r * n;
    const Vec total = (float)sumOf(b, n);
    across(n, [&](int64_t i, int64_t lanes) {
      fma(-exp(Vec::load(a + i, lanes)), total, Vec::load(b + i, lanes))
          .store(dx + r * n + i, lanes);
    });
  });
}

/** y = (x - mean) rstd w + b of one row that lies in the cache. */
static inline void normalizeRow(const float* x, const float* w, const float* b, float* y,
                                float* mean, float* rstd, int64_t n, double eps, bool subtractMean) {
  const auto loadX = [&](int64_t i, int64_t lanes) { return Vec::load(x + i, lanes); };
  const Vec m = subtractMean ? rowSum(n, loadX) / n : 0.0f;
  const float squares = rowSum(n, [&](int64_t i, int64_t lanes) {
    const Vec d = select(Vec::first(lanes), Vec::load(x + i, lanes) - m, Vec(0.0f));
    return d * d;
  });
  const Vec s = *rstd = (float)(1 / std::sqrt((double)squares / n + eps));
  m.store(mean, 1);
  across(n, [&](int64_t i, int64_t lanes) {
    const Vec xHat = (Vec::load(x + i, lanes) - m) * s;
    const Vec shift = b ? Vec::load(b + i, lanes) : Vec(0.0f);
    fma(xHat, Vec::load(w + i, lanes), shift).store(y + i, lanes);
  });
}

void layerNorm(const f32* x, const f32* w, const f32* b, f32* y, f32* mean, f32* rstd, int64_t rows,
               int64_t n, double eps, bool subtractMean) {
  eachRow(rows, n, [&](int64_t r) {
    normalizeRow(x + r * n, w, b, y + r * n, mean + r, rstd + r, n, eps, subtractMean);
  });
}

void residualLayerNorm(const f32* x, const f32* y, const f32* w, const f32* b, f32* r, f32* z,
                       f32* mean, f32* rstd, const i32* rngState, int64_t rows, int64_t n, double eps,
                       int64_t site, double p, bool subtractMean) {
  const Drop drop(rngState, site, p);
  eachRow(rows, n, [&](int64_t i) {
    const int64_t at = i * n;
    if (p > 0) dropRow(drop, y + at, r + at, at, n);
    const float* kept = p > 0 ? r + at : y + at;
    across(n, [&](int64_t j, int64_t lanes) {
      (Vec::load(x + at + j, lanes) + Vec::load(kept + j, lanes)).store(r + at + j, lanes);
    });
    normalizeRow(r + at, w, b, z + at, mean + i, rstd + i, n, eps, subtractMean);
  });
}

/**
 * dx = rstd (g - mean(g) - xHat mean(g xHat)) + more, with g = dy w and xHat = (x - mean) rstd, for
 * a row; without mean(g) if it is not subtractMean. Adds dy xHat to dw and dy to db, unless they are
 * null.
 */
static inline void normalizeRowBackward(const float* x, const float* w, float mean, float rstd,
                                        const float* dy, const float* more, float* dx, float* dw,
                                        float* db, int64_t n, bool subtractMean) {
  const Vec m = mean, s = rstd;
  Vec sumG = 0.0f, sumGX = 0.0f;
  across(n, [&](int64_t i, int64_t lanes) {
    const Vec xHat = (Vec::load(x + i, lanes) - m) * s;
    const Vec dyi = Vec::load(dy + i, lanes), g = dyi * Vec::load(w + i, lanes);
    sumG = sumG + g;
    sumGX = fma(g, xHat, sumGX);
    if (!dw) return;
    fma(dyi, xHat, Vec::load(dw + i, lanes)).store(dw + i, lanes);
    (Vec::load(db + i, lanes) + dyi).store(db + i, lanes);
  });
  const Vec meanG = subtractMean ? sum(sumG) / n : 0.0f, meanGX = sum(sumGX) / n;
  across(n, [&](int64_t i, int64_t lanes) {
    const Vec xHat = (Vec::load(x + i, lanes) - m) * s;
    const Vec g = Vec::load(dy + i, lanes) * Vec::load(w + i, lanes);
    const Vec slope = s * (g - meanG - xHat * meanGX);
    (more ? slope + Vec::load(more + i, lanes) : slope).store(dx + i, lanes);
  });
}

void residualLayerNormBackward(const f32* r, const f32* w, const f32* mean, const f32* rstd,
                               const f32* dr, const f32* dz, f32* dx, f32* dy, f32* dw, f32* db,
                               const i32* rngState, int64_t rows, int64_t n, int64_t site, double p,
                               bool subtractMean) {
  const Drop drop(rngState, site, dy ? p : 0);
  const int64_t blocks = blocksOf(rows), step = (n + 15) / 16 * 16;
  float* parts = nullptr; // of dw, then of db, for each block
  if (dw || db) {
    parts = scratch(0, 2 * blocks * step);
    std::memset(parts, 0, (size_t)(2 * blocks * step) * sizeof(float));
  }
  parallelFor(blocks, 1 + GRAIN * blocks / (rows * n + 1), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; b++) {
      for (int64_t i = rows * b / blocks; i < rows * (b + 1) / blocks; i++) {
        const int64_t at = i * n;
        normalizeRowBackward(r + at, w, mean[i], rstd[i], dz + at, dr ? dr + at : nullptr, dx + at,
                             parts ? parts + b * step : nullptr,
                             parts ? parts + (blocks + b) * step : nullptr, n, subtractMean);
        if (dy) dropRow(drop, dx + at, dy + at, at, n);
      }
    }
  });
  if (dw) addBlocks(parts, dw, blocks, step, n);
  if (db) addBlocks(parts + blocks * step, db, blocks, step, n);
}

void layerNormBackward(const f32* x, const f32* w, const f32* mean, const f32* rstd, const f32* dy,
                       f32* dx, f32* dw, f32* db, int64_t rows, int64_t n, bool subtractMean) {
  residualLayerNormBackward(x, w, mean, rstd, nullptr, dy, dx, nullptr, dw, db, nullptr, rows, n, 0,
                            0, subtractMean);
}

void crossEntropy(const f32* x, const i32* target, f32* loss, f32* lse, f32* count, int64_t rows,
                  int64_t n, int64_t ignoreIndex) {
  if (!checkIndices("crossEntropy", "target", target, rows, n, ignoreIndex)) return;
  float* losses = scratch(0, rows);
  eachRow(rows, n, [&](int64_t r) {
    const float* row = x + r * n;
    const float shift = shiftOf(row, n);
    lse[r] = std::log(expSum(row, n, shift));
    losses[r] = target[r] == ignoreIndex ? 0 : lse[r] + (shift - row[target[r]]);
  });
  double total = 0;
  int64_t counted = 0;
  for (int64_t r = 0; r < rows; r++) {
    if (target[r] == ignoreIndex) continue;
    total += losses[r];
    counted++;
  }
  *loss = (float)(total / counted);
  *count = (float)counted;
}

void crossEntropyBackward(const f32* x, const i32* target, const f32* lse, const f32* count,
                          const f32* dy, f32* dx, int64_t rows, int64_t n, int64_t ignoreIndex) {
  if (!checkIndices("crossEntropyBackward", "target", target, rows, n, ignoreIndex)) return;
  const float scale = *dy / *count;
  eachRow(rows, n, [&](int64_t r) {
    const float* row = x + r * n;
    if (target[r] == ignoreIndex) {
      std::memset(dx + r * n, 0, (size_t)n * sizeof(float));
      return;
    }
    const Vec shift = shiftOf(row, n), logTotal = lse[r];
    across(n, [&](int64_t i, int64_t lanes) {
      (exp(Vec::load(row + i, lanes) - shift - logTotal) * Vec(scale)).store(dx + r * n + i, lanes);
    });
    dx[r * n + target[r]] -= scale;
  });
}

void linearCrossEntropy(const f32* x, const f32* w, const f32* b, const i32* target, f32* loss, f32* count,
              f32* logits, int64_t rows, int64_t n, int64_t K, int64_t ignoreIndex) {
  if (!checkIndices("linearCrossEntropy", "target", target, rows, n, ignoreIndex)) return;
  linear(x, w, b, nullptr, logits, rows, n, K, 0);
  const f32 dy = 1;
  f32* lse = scratch(1, rows);
  crossEntropy(logits, target, loss, lse, count, rows, n, ignoreIndex);
  crossEntropyBackward(logits, target, lse, count, &dy, logits, rows, n, ignoreIndex);
}

void linearCrossEntropyBackward(const f32* x, const f32* w, f32* logits, const f32* dy, f32* dx, f32* dw,
                      f32* db, int64_t rows, int64_t n, int64_t K) {
  const Vec scale = *dy;
  if (*dy != 1)
    eachRow(rows, n, [&](int64_t r) {
      across(n, [&](int64_t i, int64_t lanes) {
        (Vec::load(logits + r * n + i, lanes) * scale).store(logits + r * n + i, lanes);
      });
    });
  linearBackward(x, w, nullptr, logits, dx, dw, db, rows, n, K, 0);
}

} // namespace tinybard::SIMD
