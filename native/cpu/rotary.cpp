// Rotary position embeddings (RoPE, Su et al., 2021, https://arxiv.org/abs/2104.09864): pairs of
// elements of queries and keys are rotated by angles proportional to the token's position. And the
// normalization of queries and keys (Dehghani et al., 2023), which rotates them in the same pass.

#include "kernels.h"
#include "rows.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 16384; // elements that are not worth a second thread

/**
 * Rotates a head: to = R(scale from), with (a, b) = (a cos - b sin, a sin + b cos) for the elements
 * a = from[i] and b = from[D / 2 + i]; `sign` is -1 to rotate back. `angles` has the cosines, then
 * the sines, of D / 2 pairs; R is the identity if it is null. from, to [D]
 */
static inline void rotateHead(const float* from, const float* angles, float* to, int64_t D,
                              float sign, float scale) {
  const Vec s = scale;
  if (!angles) {
    forEachVector(D, [&](int64_t i, int64_t lanes) {
      (s * Vec::load(from + i, lanes)).store(to + i, lanes);
    });
    return;
  }
  const int64_t pairs = D / 2;
  forEachVector(pairs, [&](int64_t i, int64_t lanes) {
    const Vec a = s * Vec::load(from + i, lanes);
    const Vec b = s * Vec::load(from + pairs + i, lanes);
    const Vec cos = Vec::load(angles + i, lanes);
    const Vec sin = Vec(sign) * Vec::load(angles + pairs + i, lanes);
    (a * cos - b * sin).store(to + i, lanes);
    (a * sin + b * cos).store(to + pairs + i, lanes);
  });
  if (D % 2 == 1) to[D - 1] = scale * from[D - 1];
}

/** The sizes of a tensor of heads [B, T, parts, H, D], and where the rows of the table begin. */
struct Heads {
  int64_t B;
  int64_t T;
  int64_t parts;
  int64_t H;
  int64_t D;
  const float* table; // [capacity, D], or null
  int64_t past;       // the position of the first token
};

/**
 * Calls f(offset, angles) for each head of the first `changed` parts: it starts at `offset`, and
 * `angles` is the table's row of its position, or null. Copies the other parts from x to y. Threads
 * divide B T parts.
 */
template <class F>
static void forEachHead(const Heads& heads, int64_t changed, const float* x, float* y, const F& f) {
  const int64_t parts = heads.parts;
  const int64_t size = heads.H * heads.D; // of a part
  parallelFor(heads.B * heads.T * parts, 1 + GRAIN / (size + 1), [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      if (part % parts >= changed) {
        std::memcpy(y + part * size, x + part * size, (size_t)size * sizeof(float));
        continue;
      }
      const int64_t position = heads.past + part / parts % heads.T;
      const float* angles = heads.table ? heads.table + position * heads.D : nullptr;
      for (int64_t h = 0; h < heads.H; h++) f(part * size + h * heads.D, angles);
    }
  });
}

/** Returns true if the table, of `capacity` rows, has all tokens, otherwise reports an error. */
static bool checkPositions(const char* kernel, const Heads& heads, int64_t capacity) {
  if (!heads.table || (heads.past >= 0 && heads.past + heads.T <= capacity)) return true;
  kernelError("%s: %lld + %lld tokens, expected at most %lld", kernel, (long long)heads.past,
              (long long)heads.T, (long long)capacity);
  return false;
}

/**
 * Rotates the heads of the first `rotatedParts` parts, or back if `inverse`; the others are copied.
 * x, y [B, T, parts, H, 2 half]; table [capacity, 2, half] has the cosines, then the sines, of each
 * position; token t has position length + t.
 */
void rotary(const f32* x, const f32* table, const i32* length, f32* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t half, int64_t capacity, int64_t rotatedParts,
            bool inverse) {
  const Heads heads = {B, T, parts, H, 2 * half, table, length ? *length : 0};
  if (!checkPositions("rotary", heads, capacity)) return;
  const float sign = inverse ? -1.0f : 1.0f;
  forEachHead(heads, rotatedParts, x, y, [&](int64_t head, const float* angles) {
    rotateHead(x + head, angles, y + head, 2 * half, sign, 1.0f);
  });
}

/** Returns the dot product of x and y [D]. */
static inline double dotProduct(const float* x, const float* y, int64_t D) {
  return rowSum(D, [&](int64_t i, int64_t lanes) {
    return Vec::load(x + i, lanes) * Vec::load(y + i, lanes);
  });
}

/** Returns 1 / sqrt(mean(x^2) + eps) for a head x [D]. */
static inline float reciprocalRms(const float* x, int64_t D, double eps) {
  return 1.0f / std::sqrt((float)(dotProduct(x, x, D) / D + eps));
}

/**
 * y = R(x rstd), rstd = 1 / sqrt(mean(x^2) + eps), of each head of the first `normalizedParts`
 * parts; the others are copied. R rotates as in rotary(), or not at all if table is null.
 * x, y [B, T, parts, H, D]; table [capacity, D]
 */
void qkNorm(const f32* x, const f32* table, const i32* length, f32* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t D, int64_t capacity, int64_t normalizedParts,
            double eps) {
  const Heads heads = {B, T, parts, H, D, table, length ? *length : 0};
  if (!checkPositions("qkNorm", heads, capacity)) return;
  forEachHead(heads, normalizedParts, x, y, [&](int64_t head, const float* angles) {
    rotateHead(x + head, angles, y + head, D, 1.0f, reciprocalRms(x + head, D, eps));
  });
}

/** With g = R^-1 dy: dx = rstd (g - x rstd^2 mean(g x)). dy, dx [B, T, parts, H, D] */
void qkNormBackward(const f32* x, const f32* table, const i32* length, const f32* dy, f32* dx,
                    int64_t B, int64_t T, int64_t parts, int64_t H, int64_t D, int64_t capacity,
                    int64_t normalizedParts, double eps) {
  const Heads heads = {B, T, parts, H, D, table, length ? *length : 0};
  if (!checkPositions("qkNormBackward", heads, capacity)) return;
  forEachHead(heads, normalizedParts, dy, dx, [&](int64_t head, const float* angles) {
    const float* xh = x + head;
    float* g = dx + head;
    rotateHead(dy + head, angles, g, D, -1.0f, 1.0f);
    const float rstd = reciprocalRms(xh, D, eps);
    const Vec factor = rstd * rstd * (float)(dotProduct(xh, g, D) / D);
    forEachVector(D, [&](int64_t i, int64_t lanes) {
      const Vec gi = Vec::load(g + i, lanes);
      (Vec(rstd) * (gi - Vec::load(xh + i, lanes) * factor)).store(g + i, lanes);
    });
  });
}

} // namespace tinybard::SIMD
