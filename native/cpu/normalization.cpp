// Layer normalization (Ba et al. 2016) and, without the mean, RMS normalization; plain, or fused
// with the addition of a branch to the residual stream and the branch's dropout. Both variants
// share normalizeRow() and normalizeRowsBackward().

#include "kernels.h"
#include "random.h"
#include "rows.h"

namespace tinybard::SIMD {

/**
 * z = (r - mean) rstd w + b of one row, rstd = 1 / sqrt(mean((r - mean)^2) + eps). r, w, z [n];
 * b [n] or null. The row stays in the L1 cache during the three passes.
 */
static inline void normalizeRow(const float* r, const float* w, const float* b, float* z,
                                float* mean, float* rstd, int64_t n, double eps,
                                bool subtractMean) {
  const auto loadR = [&](int64_t i, int64_t lanes) { return Vec::load(r + i, lanes); };
  *mean = subtractMean ? (float)rowSum(n, loadR) / n : 0.0f;
  const Vec m = *mean;
  const double squares = rowSum(n, [&](int64_t i, int64_t lanes) {
    const Vec d = select(Vec::firstLanes(lanes), Vec::load(r + i, lanes) - m, Vec(0.0f));
    return d * d;
  });
  *rstd = (float)(1 / std::sqrt(squares / n + eps));
  const Vec s = *rstd;
  forEachVector(n, [&](int64_t i, int64_t lanes) {
    const Vec xHat = (Vec::load(r + i, lanes) - m) * s;
    const Vec shift = b ? Vec::load(b + i, lanes) : Vec(0.0f);
    fma(xHat, Vec::load(w + i, lanes), shift).store(z + i, lanes);
  });
}

/**
 * y = (x - mean) rstd w + b of each row; mean is 0 unless subtractMean. x, y [rows, n]; w [n];
 * b [n] or null; mean, rstd [rows]. Threads divide the rows.
 */
void layerNorm(const f32* x, const f32* w, const f32* b, f32* y, f32* mean, f32* rstd, int64_t rows,
               int64_t n, double eps, bool subtractMean) {
  forEachRow(rows, n, [&](int64_t i) {
    normalizeRow(x + i * n, w, b, y + i * n, mean + i, rstd + i, n, eps, subtractMean);
  });
}

/**
 * r = x + dropout(y), z = layerNorm(r), row by row. x, y, r, z [rows, n]; w [n]; b [n] or null;
 * mean, rstd [rows]. Threads divide the rows.
 */
void residualLayerNorm(const f32* x, const f32* y, const f32* w, const f32* b, f32* r, f32* z,
                       f32* mean, f32* rstd, const i32* rngState, int64_t rows, int64_t n,
                       double eps, int64_t site, double p, bool subtractMean) {
  const DropoutRng rng(rngState, site, p);
  forEachRow(rows, n, [&](int64_t i) {
    const float* xi = x + i * n;
    float* ri = r + i * n;
    const float* branch = y + i * n;
    if (p > 0) {
      applyDropout(rng, branch, ri, i * n, n);
      branch = ri;
    }
    forEachVector(n, [&](int64_t j, int64_t lanes) {
      (Vec::load(xi + j, lanes) + Vec::load(branch + j, lanes)).store(ri + j, lanes);
    });
    normalizeRow(ri, w, b, z + i * n, mean + i, rstd + i, n, eps, subtractMean);
  });
}

/**
 * The backward pass of one row: with xHat = (r - mean) rstd and g = dz w,
 *
 *   dx = dr + rstd (g - mean(g) - xHat mean(g xHat))    without mean(g) unless subtractMean
 *
 * r, w, dz, dx [n]; dr [n] or null. Adds dz xHat to dw and dz to db, [n], unless they are null.
 */
static inline void normalizeRowBackward(const float* r, const float* w, float mean, float rstd,
                                        const float* dr, const float* dz, float* dx, float* dw,
                                        float* db, int64_t n, bool subtractMean) {
  const Vec m = mean;
  const Vec s = rstd;
  double sumG = 0;
  double sumGX = 0;
  forEachBlock(0, n, SUM_BLOCK, [&](int64_t begin, int64_t end) {
    Vec blockG = 0.0f;
    Vec blockGX = 0.0f;
    forEachVector(end - begin, [&](int64_t j, int64_t lanes) {
      const int64_t i = begin + j;
      const Vec xHat = (Vec::load(r + i, lanes) - m) * s;
      const Vec dzi = Vec::load(dz + i, lanes);
      const Vec g = dzi * Vec::load(w + i, lanes);
      blockG = blockG + g;
      blockGX = fma(g, xHat, blockGX);
      if (!dw) return;
      fma(dzi, xHat, Vec::load(dw + i, lanes)).store(dw + i, lanes);
      (Vec::load(db + i, lanes) + dzi).store(db + i, lanes);
    });
    sumG += reduceAdd(blockG);
    sumGX += reduceAdd(blockGX);
  });
  const Vec meanG = subtractMean ? (float)sumG / n : 0.0f;
  const Vec meanGX = (float)sumGX / n;
  forEachVector(n, [&](int64_t i, int64_t lanes) {
    const Vec xHat = (Vec::load(r + i, lanes) - m) * s;
    const Vec g = Vec::load(dz + i, lanes) * Vec::load(w + i, lanes);
    const Vec dri = s * (g - meanG - xHat * meanGX);
    (dr ? dri + Vec::load(dr + i, lanes) : dri).store(dx + i, lanes);
  });
}

/** The buffers of the backward pass. Those of rows are [rows, n]; null ones are skipped. */
struct NormBackward {
  const float* r; // the input of the normalization
  const float* w; // [n]
  const float* mean; // [rows]
  const float* rstd; // [rows]
  const float* dr = nullptr; // from later uses of r, or null
  const float* dz;
  float* dx;
  float* dy = nullptr; // dropout(dx), or null
  float* dw; // [n], or null
  float* db; // [n], or null
};

/** The backward pass of rows begin to end - 1. Adds to dw and db [n] unless they are null. */
static void normalizeRowsBackward(const NormBackward& grads, const DropoutRng& rng, int64_t begin,
                                  int64_t end, int64_t n, bool subtractMean, float* dw, float* db) {
  for (int64_t i = begin; i < end; i++) {
    const int64_t offset = i * n;
    normalizeRowBackward(grads.r + offset,
                         grads.w,
                         grads.mean[i],
                         grads.rstd[i],
                         grads.dr ? grads.dr + offset : nullptr,
                         grads.dz + offset,
                         grads.dx + offset,
                         dw,
                         db,
                         n,
                         subtractMean);
    if (grads.dy) applyDropout(rng, grads.dx + offset, grads.dy + offset, offset, n);
  }
}

/**
 * The backward pass of all rows. They are divided into parts whose number depends on `rows` alone.
 * Each part has its own partial sums of dw and db, so threads never write to the same memory; the
 * partial sums are added in order.
 */
static void normalizeRowsBackward(const NormBackward& grads, const DropoutRng& rng, int64_t rows,
                                  int64_t n, bool subtractMean) {
  const int64_t parts = partCount(rows);
  const int64_t size = RowsSum::size(n);
  const bool hasParamGrads = grads.dw || grads.db;
  float* dwPartials = hasParamGrads ? scratch(0, 2 * parts * size) : nullptr; // [parts, size]
  float* dbPartials = hasParamGrads ? dwPartials + parts * size : nullptr;    // [parts, size]
  const int64_t grain = 1 + ROW_GRAIN * parts / (rows * n + 1);
  parallelFor(parts, grain, [&](int64_t firstPart, int64_t lastPart) {
    for (int64_t p = firstPart; p < lastPart; p++) {
      const int64_t begin = rows * p / parts;
      const int64_t end = rows * (p + 1) / parts;
      if (!hasParamGrads) {
        normalizeRowsBackward(grads, rng, begin, end, n, subtractMean, nullptr, nullptr);
        continue;
      }
      const RowsSum dw(dwPartials + p * size, n);
      const RowsSum db(dbPartials + p * size, n);
      forEachBlock(begin, end, SUM_LENGTH, [&](int64_t first, int64_t last) {
        normalizeRowsBackward(grads, rng, first, last, n, subtractMean, dw.sum, db.sum);
        if (last == end) return;
        dw.endBlock();
        db.endBlock();
      });
      dw.finish();
      db.finish();
    }
  });
  if (grads.dw) reducePartials(dwPartials, parts, size, grads.dw, n);
  if (grads.db) reducePartials(dbPartials, parts, size, grads.db, n);
}

/**
 * With xHat = (x - mean) rstd and g = dy w: dx = rstd (g - mean(g) - xHat mean(g xHat)); dw = the
 * column sums of dy xHat, db = those of dy. x, dy, dx [rows, n]; w [n]; dw, db [n] or null;
 * mean, rstd [rows]. Threads divide parts of the rows; see normalizeRowsBackward().
 */
void layerNormBackward(const f32* x, const f32* w, const f32* mean, const f32* rstd, const f32* dy,
                       f32* dx, f32* dw, f32* db, int64_t rows, int64_t n, bool subtractMean) {
  NormBackward grads;
  grads.r = x;
  grads.w = w;
  grads.mean = mean;
  grads.rstd = rstd;
  grads.dz = dy;
  grads.dx = dx;
  grads.dw = dw;
  grads.db = db;
  normalizeRowsBackward(grads, DropoutRng(nullptr, 0, 0), rows, n, subtractMean);
}

/**
 * dx = dr + the gradient through the normalization, dy = dropout(dx), dw and db as in
 * layerNormBackward. r, dz, dx [rows, n]; dr, dy [rows, n] or null; dw, db [n] or null;
 * mean, rstd [rows]. Threads divide parts of the rows; see normalizeRowsBackward().
 */
void residualLayerNormBackward(const f32* r, const f32* w, const f32* mean, const f32* rstd,
                               const f32* dr, const f32* dz, f32* dx, f32* dy, f32* dw, f32* db,
                               const i32* rngState, int64_t rows, int64_t n, int64_t site, double p,
                               bool subtractMean) {
  NormBackward grads;
  grads.r = r;
  grads.w = w;
  grads.mean = mean;
  grads.rstd = rstd;
  grads.dr = dr;
  grads.dz = dz;
  grads.dx = dx;
  grads.dy = dy;
  grads.dw = dw;
  grads.db = db;
  normalizeRowsBackward(grads, DropoutRng(rngState, site, p), rows, n, subtractMean);
}

} // namespace tinybard::SIMD
