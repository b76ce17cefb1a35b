// Vec on AVX-512: 16 floats. Each operation is described here; the other files of this
// folder define the same.
#pragma once

#include <immintrin.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tinybard::SIMD {

/** A set of lanes. */
using Mask = __mmask16;

struct Vec {
  static constexpr int width = 16;
  __m512 v;

  Vec() = default;
  Vec(__m512 x) : v(x) {}
  Vec(float x) : v(_mm512_set1_ps(x)) {}
  /** Returns the mask of the first n lanes. */
  static Mask firstLanes(int64_t n) { return n >= width ? 0xffff : (Mask)((1u << n) - 1); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  /** Loads n elements, n >= 1, and reads no others; the remaining lanes are 0. */
  static Vec load(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(firstLanes(n), p); }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  /** Stores the first n lanes. */
  void store(float* p, int64_t n) const { _mm512_mask_storeu_ps(p, firstLanes(n), v); }
};

inline Vec operator+(Vec a, Vec b) { return _mm512_add_ps(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return _mm512_sub_ps(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return _mm512_mul_ps(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return _mm512_div_ps(a.v, b.v); }
inline Mask operator<(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
inline Mask operator<=(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ); }
inline Mask operator==(Vec a, Vec b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_EQ_OQ); }
/** a b + c with a single rounding. */
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a.v, b.v, c.v); }
/** a > b ? a : b, so the result is b if either is NaN. */
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a.v, b.v); }
/** a < b ? a : b, so the result is b if either is NaN. */
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a.v, b.v); }
inline Vec sqrt(Vec a) { return _mm512_sqrt_ps(a.v); }
inline Vec abs(Vec a) { return _mm512_abs_ps(a.v); }
/** Rounds to the nearest integer, ties to even. */
inline Vec round(Vec a) { return _mm512_roundscale_ps(a.v, 0); }
/** mask ? a : b */
inline Vec select(Mask mask, Vec a, Vec b) { return _mm512_mask_blend_ps(mask, b.v, a.v); }
/** a 2^n, for integral n. */
inline Vec ldexp(Vec a, Vec n) { return _mm512_scalef_ps(a.v, n.v); }
/** The sum of all lanes. */
inline float reduceAdd(Vec a) { return _mm512_reduce_add_ps(a.v); }
/** The maximum of all lanes. */
inline float reduceMax(Vec a) { return _mm512_reduce_max_ps(a.v); }
/** |a| with the sign of `sign`. */
inline Vec copysign(Vec a, Vec sign) {
  const __m512i bit = _mm512_set1_epi32(0x80000000);
  return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
      _mm512_castps_si512(a.v), _mm512_castps_si512(sign.v), bit, 0xd8));
}

/** Splits a = m 2^e with m in [1/sqrt(2), sqrt(2)); returns m. For normal a > 0. */
inline Vec splitExponent(Vec a, Vec* e) {
  const __m512i bits = _mm512_castps_si512(a.v);
  const __m512i root = _mm512_set1_epi32(0x3f3504f3); // 1/sqrt(2)
  const __m512i n = _mm512_srai_epi32(_mm512_sub_epi32(bits, root), 23);
  *e = _mm512_cvtepi32_ps(n);
  return _mm512_castsi512_ps(_mm512_sub_epi32(bits, _mm512_slli_epi32(n, 23)));
}

/** y[j, i] = x[i, j] for a block of width x width elements with leading dimensions ldx and ldy. */
inline void transposeBlock(const float* x, int64_t ldx, float* y, int64_t ldy) {
  __m512 a[16];
  __m512 b[16];
  for (int i = 0; i < 16; i++) a[i] = _mm512_loadu_ps(x + i * ldx);
  for (int i = 0; i < 16; i += 2) {
    b[i] = _mm512_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm512_unpackhi_ps(a[i], a[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 2; j++) {
      const __m512d p = _mm512_castps_pd(b[i + j]);
      const __m512d q = _mm512_castps_pd(b[i + j + 2]);
      a[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(p, q));
      a[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(p, q));
    }
  }
  // quarter s of a[4 r + c] now holds column c + 4 s of the rows 4 r to 4 r + 3
  for (int c = 0; c < 4; c++) {
    const __m512 low01 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0x88);
    const __m512 low23 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0x88);
    const __m512 high01 = _mm512_shuffle_f32x4(a[c], a[4 + c], 0xdd);
    const __m512 high23 = _mm512_shuffle_f32x4(a[8 + c], a[12 + c], 0xdd);
    _mm512_storeu_ps(y + c * ldy, _mm512_shuffle_f32x4(low01, low23, 0x88));
    _mm512_storeu_ps(y + (c + 4) * ldy, _mm512_shuffle_f32x4(high01, high23, 0x88));
    _mm512_storeu_ps(y + (c + 8) * ldy, _mm512_shuffle_f32x4(low01, low23, 0xdd));
    _mm512_storeu_ps(y + (c + 12) * ldy, _mm512_shuffle_f32x4(high01, high23, 0xdd));
  }
}

} // namespace tinybard::SIMD
