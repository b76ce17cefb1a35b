// Vec, a vector of the floats that fit in a register (16 on AVX-512, 8 on AVX2, 4 on NEON,
// otherwise 1), and its operations. Every kernel is written once in terms of Vec and compiled once
// per instruction set, in a namespace that is named after it (the macro SIMD). dispatch.cpp chooses
// the best instruction set of the processor at startup.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(SIMD_AVX512) || defined(SIMD_AVX2)
#include <immintrin.h>
#elif defined(SIMD_NEON)
#include <arm_neon.h>
#endif

namespace tinybard::SIMD {

#if defined(SIMD_AVX512)

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

#elif defined(SIMD_AVX2)

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
  static Vec load(const float* p, int64_t n) { return _mm256_maskload_ps(p, laneMask(n)); }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store(float* p, int64_t n) const { _mm256_maskstore_ps(p, laneMask(n), v); }
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

#elif defined(SIMD_NEON)

struct Mask {
  uint32x4_t v;
};

struct Vec {
  static constexpr int width = 4;
  float32x4_t v;

  Vec() = default;
  Vec(float32x4_t x) : v(x) {}
  Vec(float x) : v(vdupq_n_f32(x)) {}
  static Mask firstLanes(int64_t n) {
    const uint32_t index[4] = {0, 1, 2, 3};
    return {vcltq_u32(vld1q_u32(index), vdupq_n_u32(n > 4 ? 4 : (uint32_t)n))};
  }
  static Vec load(const float* p) { return vld1q_f32(p); }
  static Vec load(const float* p, int64_t n) {
    float part[4] = {};
    for (int64_t i = 0; i < n && i < 4; i++) part[i] = p[i];
    return vld1q_f32(part);
  }
  void store(float* p) const { vst1q_f32(p, v); }
  void store(float* p, int64_t n) const {
    float part[4];
    vst1q_f32(part, v);
    for (int64_t i = 0; i < n && i < 4; i++) p[i] = part[i];
  }
};

inline Vec operator+(Vec a, Vec b) { return vaddq_f32(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return vsubq_f32(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return vmulq_f32(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return vdivq_f32(a.v, b.v); }
inline Mask operator<(Vec a, Vec b) { return {vcltq_f32(a.v, b.v)}; }
inline Mask operator<=(Vec a, Vec b) { return {vcleq_f32(a.v, b.v)}; }
inline Mask operator==(Vec a, Vec b) { return {vceqq_f32(a.v, b.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c.v, a.v, b.v); }
inline Vec select(Mask mask, Vec a, Vec b) { return vbslq_f32(mask.v, a.v, b.v); }
inline Vec max(Vec a, Vec b) { return select(b < a, a, b); } // vmaxq treats NaN differently
inline Vec min(Vec a, Vec b) { return select(a < b, a, b); }
inline Vec sqrt(Vec a) { return vsqrtq_f32(a.v); }
inline Vec abs(Vec a) { return vabsq_f32(a.v); }
inline Vec round(Vec a) { return vrndnq_f32(a.v); }
inline Vec copysign(Vec a, Vec sign) {
  return vbslq_f32(vdupq_n_u32(0x80000000), sign.v, a.v);
}
inline Vec powerOf2(int32x4_t n) {
  return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}
inline Vec ldexp(Vec a, Vec n) {
  const int32x4_t e = vcvtnq_s32_f32(n.v);
  const int32x4_t e1 = vshrq_n_s32(e, 1);
  return a * powerOf2(e1) * powerOf2(vsubq_s32(e, e1));
}
inline float reduceAdd(Vec a) { return vaddvq_f32(a.v); }
inline float reduceMax(Vec a) { return vmaxvq_f32(a.v); }
inline Vec splitExponent(Vec a, Vec* e) {
  const int32x4_t bits = vreinterpretq_s32_f32(a.v);
  const int32x4_t root = vdupq_n_s32(0x3f3504f3);
  const int32x4_t n = vshrq_n_s32(vsubq_s32(bits, root), 23);
  *e = vcvtq_f32_s32(n);
  return vreinterpretq_f32_s32(vsubq_s32(bits, vshlq_n_s32(n, 23)));
}

inline void transposeBlock(const float* x, int64_t ldx, float* y, int64_t ldy) {
  const float32x4x2_t a = vtrnq_f32(vld1q_f32(x), vld1q_f32(x + ldx));
  const float32x4x2_t b = vtrnq_f32(vld1q_f32(x + 2 * ldx), vld1q_f32(x + 3 * ldx));
  for (int c = 0; c < 2; c++) {
    vst1q_f32(y + c * ldy, vcombine_f32(vget_low_f32(a.val[c]), vget_low_f32(b.val[c])));
    vst1q_f32(y + (c + 2) * ldy, vcombine_f32(vget_high_f32(a.val[c]), vget_high_f32(b.val[c])));
  }
}

#else // scalar, for any processor

using Mask = bool;

struct Vec {
  static constexpr int width = 1;
  float v;

  Vec() = default;
  Vec(float x) : v(x) {}
  static Mask firstLanes(int64_t n) { return n > 0; }
  static Vec load(const float* p) { return *p; }
  static Vec load(const float* p, int64_t n) { return n > 0 ? *p : 0.0f; }
  void store(float* p) const { *p = v; }
  void store(float* p, int64_t n) const {
    if (n > 0) *p = v;
  }
};

inline Vec operator+(Vec a, Vec b) { return a.v + b.v; }
inline Vec operator-(Vec a, Vec b) { return a.v - b.v; }
inline Vec operator*(Vec a, Vec b) { return a.v * b.v; }
inline Vec operator/(Vec a, Vec b) { return a.v / b.v; }
inline Mask operator<(Vec a, Vec b) { return a.v < b.v; }
inline Mask operator<=(Vec a, Vec b) { return a.v <= b.v; }
inline Mask operator==(Vec a, Vec b) { return a.v == b.v; }
inline Vec fma(Vec a, Vec b, Vec c) { return a.v * b.v + c.v; } // fmaf would be a slow call
inline Vec max(Vec a, Vec b) { return a.v > b.v ? a : b; }
inline Vec min(Vec a, Vec b) { return a.v < b.v ? a : b; }
inline Vec sqrt(Vec a) { return std::sqrt(a.v); }
inline Vec abs(Vec a) { return std::fabs(a.v); }
inline Vec round(Vec a) { return std::nearbyint(a.v); }
inline Vec select(Mask mask, Vec a, Vec b) { return mask ? a : b; }
inline Vec copysign(Vec a, Vec sign) { return std::copysign(a.v, sign.v); }
inline Vec powerOf2(int32_t n) {
  const int32_t bits = (n + 127) * (1 << 23);
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline Vec ldexp(Vec a, Vec n) {
  const int32_t e = n.v == n.v ? (int32_t)n.v : 0; // 0 for NaN
  const int32_t e1 = e >> 1;
  return a * powerOf2(e1) * powerOf2(e - e1);
}
inline float reduceAdd(Vec a) { return a.v; }
inline float reduceMax(Vec a) { return a.v; }
inline Vec splitExponent(Vec a, Vec* e) {
  int32_t bits;
  std::memcpy(&bits, &a.v, sizeof bits);
  const int32_t n = (int32_t)((uint32_t)bits - 0x3f3504f3u) >> 23;
  *e = (float)n;
  bits = (int32_t)((uint32_t)bits - ((uint32_t)n << 23));
  std::memcpy(&a.v, &bits, sizeof bits);
  return a;
}
inline void transposeBlock(const float* x, int64_t, float* y, int64_t) { *y = *x; }

#endif

/** Prefetches the cache line of p, which may be any address. */
inline void prefetch(const float* p) {
#if defined(_MSC_VER) && !defined(__clang__)
  (void)p;
#else
  __builtin_prefetch(p);
#endif
}

/** a b + c with an exact product on every instruction set. For c = -(a b), the rounding error. */
inline Vec fmaExact(Vec a, Vec b, Vec c) {
#if defined(SIMD_SCALAR)
  return (float)((double)a.v * b.v + c.v);
#else
  return fma(a, b, c);
#endif
}

inline Vec operator-(Vec a) { return Vec(0.0f) - a; }

/** The number of elements in the vector at i of a row of n: width, or fewer at the end. */
inline int64_t lanesLeft(int64_t i, int64_t n) { return n - i < Vec::width ? n - i : Vec::width; }

/** Calls f(i, lanes) for each vector of a row of n elements: the vector loop and its tail. */
template <class F>
inline void forEachVector(int64_t n, const F& f) {
  int64_t i = 0;
  for (; i + Vec::width <= n; i += Vec::width) f(i, (int64_t)Vec::width);
  if (i < n) f(i, n - i);
}

} // namespace tinybard::SIMD
