// Cross-entropy of rows of logits; alone, or fused with the linear layer that computes the logits:
// there the gradient replaces the logits, so they are not stored twice. Threads divide the rows.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

/**
 * loss = mean of max_r + lse_r - x[r, target_r] over the rows whose target is not ignoreIndex,
 * count = their number; max_r is the row's maximum, lse_r = log(sum(e^(x_r - max_r))).
 * x [rows, n]; target, lse [rows]; loss, count [1]. The rows' losses are added in order, in f64.
 */
void crossEntropy(const f32* x, const i32* target, f32* loss, f32* lse, f32* count, int64_t rows,
                  int64_t n, int64_t ignoreIndex) {
  if (!checkIndices("crossEntropy", "target", target, rows, n, ignoreIndex)) return;
  float* losses = scratch(0, rows);
  forEachRow(rows, n, [&](int64_t r) {
    const float* row = x + r * n;
    const float shift = softmaxShift(row, n);
    lse[r] = std::log(sumExp(row, n, shift));
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

/**
 * dx[r, j] = (e^(x[r, j] - max_r - lse_r) - [j = target_r]) dy / count; 0 in ignored rows.
 * x, dx [rows, n]; target, lse [rows]; count, dy [1]
 */
void crossEntropyBackward(const f32* x, const i32* target, const f32* lse, const f32* count,
                          const f32* dy, f32* dx, int64_t rows, int64_t n, int64_t ignoreIndex) {
  if (!checkIndices("crossEntropyBackward", "target", target, rows, n, ignoreIndex)) return;
  const float scale = *dy / *count;
  forEachRow(rows, n, [&](int64_t r) {
    const float* xr = x + r * n;
    float* dxr = dx + r * n;
    if (target[r] == ignoreIndex) {
      std::memset(dxr, 0, (size_t)n * sizeof(float));
      return;
    }
    const Vec shift = softmaxShift(xr, n);
    const Vec logSum = lse[r];
    forEachVector(n, [&](int64_t i, int64_t lanes) {
      const Vec p = exp(Vec::load(xr + i, lanes) - shift - logSum);
      (p * Vec(scale)).store(dxr + i, lanes);
    });
    dxr[target[r]] -= scale;
  });
}

/**
 * crossEntropy of the logits x w^T + b, which are then overwritten by their gradient. x [rows, K],
 * w [n, K], b [n] or null, target [rows], logits [rows, n]; loss, count [1]
 */
void linearCrossEntropy(const f32* x, const f32* w, const f32* b, const i32* target, f32* loss,
                        f32* count, f32* logits, int64_t rows, int64_t n, int64_t K,
                        int64_t ignoreIndex) {
  if (!checkIndices("linearCrossEntropy", "target", target, rows, n, ignoreIndex)) return;
  linear(x, w, b, nullptr, logits, rows, n, K, 0);
  const f32 dy = 1;
  f32* lse = scratch(1, rows); // after linear(), which uses this slot too
  crossEntropy(logits, target, loss, lse, count, rows, n, ignoreIndex);
  crossEntropyBackward(logits, target, lse, count, &dy, logits, rows, n, ignoreIndex);
}

/**
 * logits *= dy, which are the gradient of the logits for dy = 1; then dx = logits w, dw =
 * logits^T x, db = their column sums. dx [rows, K], dw [n, K], db [n]; null ones are skipped.
 */
void linearCrossEntropyBackward(const f32* x, const f32* w, f32* logits, const f32* dy, f32* dx,
                                f32* dw, f32* db, int64_t rows, int64_t n, int64_t K) {
  if (*dy != 1) {
    const Vec scale = *dy;
    forEachRow(rows, n, [&](int64_t r) {
      float* row = logits + r * n;
      forEachVector(n, [&](int64_t i, int64_t lanes) {
        (Vec::load(row + i, lanes) * scale).store(row + i, lanes);
      });
    });
  }
  linearBackward(x, w, nullptr, logits, dx, dw, db, rows, n, K, 0);
}

} // namespace tinybard::SIMD
