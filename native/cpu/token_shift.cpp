// Token shift (after Peng et al., 2023): a part of the previous token's row is added to each row.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

/** y = x + w neighbor; a neighbor of null counts as 0. x, w, neighbor, y [C] */
static inline void addNeighbor(const float* x, const float* w, const float* neighbor, float* y,
                               int64_t C) {
  forEachVector(C, [&](int64_t i, int64_t lanes) {
    const Vec xi = Vec::load(x + i, lanes);
    const Vec yi =
        neighbor ? fma(Vec::load(w + i, lanes), Vec::load(neighbor + i, lanes), xi) : xi;
    yi.store(y + i, lanes);
  });
}

/** Returns the row before token r = b T + t of x [B, T, C]; at t = 0 that of `previous` [B, C]. */
static inline const float* rowBefore(const float* x, const float* previous, int64_t r, int64_t T,
                                     int64_t C) {
  if (r % T > 0) return x + (r - 1) * C;
  return previous ? previous + r / T * C : nullptr;
}

/**
 * y[b, t] = x[b, t] + w x[b, t - 1]; x[b, -1] is previous[b], or 0. x, y [B, T, C]; w [C];
 * previous [B, C] or null. Threads divide the rows.
 */
void tokenShift(const f32* x, const f32* w, const f32* previous, f32* y, int64_t B, int64_t T,
                int64_t C) {
  forEachRow(B * T, C, [&](int64_t r) {
    addNeighbor(x + r * C, w, rowBefore(x, previous, r, T, C), y + r * C, C);
  });
}

/**
 * dx[b, t] = dy[b, t] + w dy[b, t + 1]; dw = the column sums of dy[b, t] x[b, t - 1]. dy, dx
 * [B, T, C]; dw [C] or null. Threads divide the rows into parts, whose partial sums of dw are added
 * in order.
 */
void tokenShiftBackward(const f32* x, const f32* w, const f32* previous, const f32* dy, f32* dx,
                        f32* dw, int64_t B, int64_t T, int64_t C) {
  const int64_t rows = B * T;
  const int64_t parts = partCount(rows);
  const int64_t size = RowsSum::size(C);
  float* partials = scratch(0, parts * size);
  parallelFor(parts, 1 + ROW_GRAIN * parts / (rows * C + 1), [&](int64_t first, int64_t last) {
    for (int64_t p = first; p < last; p++) {
      const RowsSum sum(partials + p * size, C);
      forEachBlock(rows * p / parts, rows * (p + 1) / parts, SUM_LENGTH,
                   [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; r++) {
          const float* dyr = dy + r * C;
          addNeighbor(dyr, w, r % T < T - 1 ? dyr + C : nullptr, dx + r * C, C);
          const float* before = rowBefore(x, previous, r, T, C);
          if (!before || !dw) continue;
          forEachVector(C, [&](int64_t i, int64_t lanes) {
            const Vec total = Vec::load(sum.sum + i, lanes);
            fma(Vec::load(dyr + i, lanes), Vec::load(before + i, lanes), total)
                .store(sum.sum + i, lanes);
          });
        }
        sum.endBlock();
      });
      sum.finish();
    }
  });
  if (dw) reducePartials(partials, parts, size, dw, C);
}

} // namespace tinybard::SIMD
