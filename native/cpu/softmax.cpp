// Softmax and log-softmax of each row, and their derivatives. Threads divide the rows.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

/** y = e^(x - shift) of a row; returns the sum of y. */
static inline float expRow(const float* x, float* y, int64_t n, float shift) {
  return (float)rowSum(n, [&](int64_t i, int64_t lanes) {
    const Vec e = exp(Vec::load(x + i, lanes) - Vec(shift));
    e.store(y + i, lanes);
    return select(Vec::firstLanes(lanes), e, Vec(0.0f));
  });
}

/** y = e^x / sum(e^x) of each row, in three passes over a row in the cache. x, y [rows, n] */
void softmax(const f32* x, f32* y, int64_t rows, int64_t n) {
  forEachRow(rows, n, [&](int64_t r) {
    const float* xr = x + r * n;
    float* yr = y + r * n;
    const Vec scale = 1.0f / expRow(xr, yr, n, softmaxShift(xr, n));
    forEachVector(n, [&](int64_t i, int64_t lanes) {
      (Vec::load(yr + i, lanes) * scale).store(yr + i, lanes);
    });
  });
}

/** dx = y (dy - sum(dy y)) of each row. y, dy, dx [rows, n] */
void softmaxBackward(const f32* y, const f32* dy, f32* dx, int64_t rows, int64_t n) {
  forEachRow(rows, n, [&](int64_t r) {
    const float* yr = y + r * n;
    const float* dyr = dy + r * n;
    float* dxr = dx + r * n;
    const Vec dot = (float)rowSum(n, [&](int64_t i, int64_t lanes) {
      return Vec::load(yr + i, lanes) * Vec::load(dyr + i, lanes);
    });
    forEachVector(n, [&](int64_t i, int64_t lanes) {
      (Vec::load(yr + i, lanes) * (Vec::load(dyr + i, lanes) - dot)).store(dxr + i, lanes);
    });
  });
}

/** y = x - log(sum(e^x)) of each row. x, y [rows, n] */
void logSoftmax(const f32* x, f32* y, int64_t rows, int64_t n) {
  forEachRow(rows, n, [&](int64_t r) {
    const float* xr = x + r * n;
    float* yr = y + r * n;
    const float shift = softmaxShift(xr, n);
    const Vec lse = std::log(sumExp(xr, n, shift));
    forEachVector(n, [&](int64_t i, int64_t lanes) {
      (Vec::load(xr + i, lanes) - Vec(shift) - lse).store(yr + i, lanes);
    });
  });
}

/** dx = dy - e^y sum(dy) of each row. y, dy, dx [rows, n] */
void logSoftmaxBackward(const f32* y, const f32* dy, f32* dx, int64_t rows, int64_t n) {
  forEachRow(rows, n, [&](int64_t r) {
    const float* yr = y + r * n;
    const float* dyr = dy + r * n;
    float* dxr = dx + r * n;
    const Vec total = (float)sumElements(dyr, n);
    forEachVector(n, [&](int64_t i, int64_t lanes) {
      const Vec p = exp(Vec::load(yr + i, lanes));
      fma(-p, total, Vec::load(dyr + i, lanes)).store(dxr + i, lanes);
    });
  });
}

} // namespace tinybard::SIMD
