// Rotary position embeddings (RoPE, Su et al., 2021, https://arxiv.org/abs/2104.09864): pairs of
// elements of queries and keys are rotated by angles proportional to the token's position.

#include "kernels.h"
#include "simd.h"

namespace tinybard::SIMD {

static constexpr int64_t GRAIN = 16384; // elements that are not worth a second thread

/**
 * (a, b) = (a cos - b sin, a sin + b cos) for the elements a = x[.., i] and b = x[.., half + i] of
 * each head; `inverse` rotates back. x, y [B, T, parts, H, 2 half]; table [capacity, 2, half] has
 * the cosines, then the sines, of each position; token t has position length + t. Parts from
 * `turned` on are copied. Threads divide B T parts.
 */
void rotary(const f32* x, const f32* table, const i32* length, f32* y, int64_t B, int64_t T,
            int64_t parts, int64_t H, int64_t half, int64_t capacity, int64_t turned,
            bool inverse) {
  const int64_t past = length ? *length : 0;
  if (past < 0 || past + T > capacity)
    return kernelError("rotary: %lld + %lld tokens, expected at most %lld",
                       (long long)past, (long long)T, (long long)capacity);
  const int64_t D = 2 * half;
  const Vec sign = inverse ? -1.0f : 1.0f;
  parallelFor(B * T * parts, 1 + GRAIN / (H * D + 1), [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) {
      const float* from = x + part * H * D;
      float* to = y + part * H * D;
      if (part % parts >= turned) {
        std::memcpy(to, from, (size_t)(H * D) * sizeof(float));
        continue;
      }
      const float* cosines = table + (past + part / parts % T) * D;
      const float* sines = cosines + half;
      for (int64_t h = 0; h < H; h++) {
        forEachVector(half, [&](int64_t i, int64_t lanes) {
          const Vec a = Vec::load(from + i, lanes);
          const Vec b = Vec::load(from + half + i, lanes);
          const Vec cos = Vec::load(cosines + i, lanes);
          const Vec sin = sign * Vec::load(sines + i, lanes);
          (a * cos - b * sin).store(to + i, lanes);
          (a * sin + b * cos).store(to + half + i, lanes);
        });
        from += D;
        to += D;
      }
    }
  });
}

} // namespace tinybard::SIMD
