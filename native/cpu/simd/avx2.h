// Vec on AVX2 with FMA: 8 floats. The operations are described in avx512.h.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tinybard::SIMD {

struct Mask {
  __m256 v;
};

struct Vec {
  static constexpr int width = 8;
  __m256 v;

  Vec() = default;
  Vec(__m256 x) : v(x) {}
  Vec(float x) : v(_mm256_set1_ps(x)) {}
  static __m256i laneMask(int64_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : (int)n), index);
  }
  static Mask firstLanes(int64_t n) { return {_mm256_castsi256_ps(laneMask(n))}; }
  static Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static Vec load(const float* p, int64_t n) {
    return isWhole(n) ? load(p) : Vec(_mm256_maskload_ps(p, laneMask(n)));
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store(float* p, int64_t n) const {
    if (isWhole(n)) store(p);
    else _mm256_maskstore_ps(p, laneMask(n), v);
  }

 private:
  /**
   * Returns true if n is known to be a whole vector when the call is compiled. The compiler would
   * keep the mask, with which AMD's processors before Zen 3 take ten times as long for a store.
   */
  static bool isWhole(int64_t n) {
#if defined(_MSC_VER) && !defined(__clang__)
    return n >= width;
#else
    return __builtin_constant_p(n) && n >= width;
#endif
  }
};

inline Vec operator+(Vec a, Vec b) { return _mm256_add_ps(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return _mm256_sub_ps(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return _mm256_mul_ps(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return _mm256_div_ps(a.v, b.v); }
inline Mask operator<(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
inline Mask operator<=(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)}; }
inline Mask operator==(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_EQ_OQ)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a.v, b.v, c.v); }
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a.v, b.v); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a.v, b.v); }
inline Vec sqrt(Vec a) { return _mm256_sqrt_ps(a.v); }
inline Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v); }
inline Vec round(Vec a) {
  return _mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline Vec select(Mask mask, Vec a, Vec b) { return _mm256_blendv_ps(b.v, a.v, mask.v); }
inline Vec copysign(Vec a, Vec sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return _mm256_or_ps(_mm256_andnot_ps(bit, a.v), _mm256_and_ps(bit, sign.v));
}
inline Vec powerOf2(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
inline Vec ldexp(Vec a, Vec n) { // in two steps, because 2^n alone may overflow or underflow
  const __m256i e = _mm256_cvtps_epi32(n.v);
  const __m256i e1 = _mm256_srai_epi32(e, 1);
  return a * powerOf2(e1) * powerOf2(_mm256_sub_epi32(e, e1));
}
/** Combines all lanes by f, in lane 0. */
inline __m128 reduce(Vec a, __m128 (*f)(__m128, __m128)) {
  __m128 x = f(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = f(x, _mm_movehl_ps(x, x));
  return f(x, _mm_shuffle_ps(x, x, 1));
}
inline float reduceAdd(Vec a) {
  return _mm_cvtss_f32(reduce(a, [](__m128 x, __m128 y) { return _mm_add_ps(x, y); }));
}
inline float reduceMax(Vec a) {
  return _mm_cvtss_f32(reduce(a, [](__m128 x, __m128 y) { return _mm_max_ps(x, y); }));
}
inline Vec splitExponent(Vec a, Vec* e) {
  const __m256i bits = _mm256_castps_si256(a.v);
  const __m256i root = _mm256_set1_epi32(0x3f3504f3);
  const __m256i n = _mm256_srai_epi32(_mm256_sub_epi32(bits, root), 23);
  *e = _mm256_cvtepi32_ps(n);
  return _mm256_castsi256_ps(_mm256_sub_epi32(bits, _mm256_slli_epi32(n, 23)));
}

inline void transposeBlock(const float* x, int64_t ldx, float* y, int64_t ldy) {
  __m256 a[8];
  __m256 b[8];
  for (int i = 0; i < 8; i++) a[i] = _mm256_loadu_ps(x + i * ldx);
  for (int i = 0; i < 8; i += 2) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    for (int j = 0; j < 2; j++) {
      a[i + 2 * j] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0x44);
      a[i + 2 * j + 1] = _mm256_shuffle_ps(b[i + j], b[i + j + 2], 0xee);
    }
  }
  for (int c = 0; c < 4; c++) {
    _mm256_storeu_ps(y + c * ldy, _mm256_permute2f128_ps(a[c], a[4 + c], 0x20));
    _mm256_storeu_ps(y + (c + 4) * ldy, _mm256_permute2f128_ps(a[c], a[4 + c], 0x31));
  }
}

} // namespace tinybard::SIMD
