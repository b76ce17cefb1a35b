// Words: as many unsigned 32-bit integers as a Vec has floats, and the few things that a random
// generator does with them; and how vectors come out of words that small numbers are packed into.
#pragma once

#include "simd.h"

namespace tinybard::SIMD {

#if defined(SIMD_AVX512)

/** As many 32-bit words. */
struct Words {
  __m512i v;

  Words() = default;
  Words(__m512i x) : v(x) {}
  Words(uint32_t x) : v(_mm512_set1_epi32((int)x)) {}
  static Words load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  void store(uint32_t* p) const { _mm512_storeu_si512(p, v); }
};
inline Words operator^(Words a, Words b) { return _mm512_xor_si512(a.v, b.v); }
/** The lower, and the upper 16 bits of each word, as floats. */
inline Vec lowHalves(Words a) {
  return _mm512_cvtepi32_ps(_mm512_and_si512(a.v, _mm512_set1_epi32(0xffff)));
}
inline Vec highHalves(Words a) { return _mm512_cvtepi32_ps(_mm512_srli_epi32(a.v, 16)); }
/** Stores a0 b0 a1 b1 ... */
inline void zip(Vec a, Vec b, Vec* first, Vec* second) {
  const __m512i index = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i behind = _mm512_add_epi32(index, _mm512_set1_epi32(8));
  *first = _mm512_permutex2var_ps(a.v, index, b.v);
  *second = _mm512_permutex2var_ps(a.v, behind, b.v);
}
/** The upper halves of the products of a and b, and the lower ones. */
inline Words multiply(Words a, Words b, Words* low) {
  const __m512i even = _mm512_mul_epu32(a.v, b.v);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), b.v);
  *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}
/** Of the numbers of 8 bits that p is packed with, those from k on, a multiple of the width. */
inline Vec eights(const int32_t* p, int64_t k) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)(p + k / 4))));
}
/** The same for numbers of 4 bits. */
inline Vec fours(const int32_t* p, int64_t k) {
  const __m512i from = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512i down = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
  const __m128i both = _mm_loadl_epi64((const __m128i*)(p + k / 8));
  const __m512i words = _mm512_permutexvar_epi32(from, _mm512_castsi128_si512(both));
  return _mm512_permutexvar_ps(_mm512_srlv_epi32(words, down), values); // by their lowest 4 bits
}

#elif defined(SIMD_AVX2)

struct Words {
  __m256i v;

  Words() = default;
  Words(__m256i x) : v(x) {}
  Words(uint32_t x) : v(_mm256_set1_epi32((int)x)) {}
  static Words load(const uint32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  void store(uint32_t* p) const { _mm256_storeu_si256((__m256i*)p, v); }
};
inline Words operator^(Words a, Words b) { return _mm256_xor_si256(a.v, b.v); }
inline Vec lowHalves(Words a) {
  return _mm256_cvtepi32_ps(_mm256_and_si256(a.v, _mm256_set1_epi32(0xffff)));
}
inline Vec highHalves(Words a) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(a.v, 16)); }
inline void zip(Vec a, Vec b, Vec* first, Vec* second) {
  const __m256 low = _mm256_unpacklo_ps(a.v, b.v), high = _mm256_unpackhi_ps(a.v, b.v);
  *first = _mm256_permute2f128_ps(low, high, 0x20);
  *second = _mm256_permute2f128_ps(low, high, 0x31);
}
inline Words multiply(Words a, Words b, Words* low) {
  const __m256i even = _mm256_mul_epu32(a.v, b.v);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.v, 32), b.v);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}
inline Vec eights(const int32_t* p, int64_t k) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)(p + k / 4))));
}
inline Vec fours(const int32_t* p, int64_t k) {
  const __m256i up = _mm256_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0);
  const __m256i tops = _mm256_sllv_epi32(_mm256_set1_epi32(p[k / 8]), up);
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(tops, 28));
}

#elif defined(SIMD_NEON)

struct Words {
  uint32x4_t v;

  Words() = default;
  Words(uint32x4_t x) : v(x) {}
  Words(uint32_t x) : v(vdupq_n_u32(x)) {}
  static Words load(const uint32_t* p) { return vld1q_u32(p); }
  void store(uint32_t* p) const { vst1q_u32(p, v); }
};
inline Words operator^(Words a, Words b) { return veorq_u32(a.v, b.v); }
inline Vec lowHalves(Words a) { return vcvtq_f32_u32(vandq_u32(a.v, vdupq_n_u32(0xffff))); }
inline Vec highHalves(Words a) { return vcvtq_f32_u32(vshrq_n_u32(a.v, 16)); }
inline void zip(Vec a, Vec b, Vec* first, Vec* second) {
  const float32x4x2_t pairs = vzipq_f32(a.v, b.v);
  *first = pairs.val[0];
  *second = pairs.val[1];
}
inline Words multiply(Words a, Words b, Words* low) {
  const uint64x2_t first = vmull_u32(vget_low_u32(a.v), vget_low_u32(b.v));
  const uint64x2_t second = vmull_u32(vget_high_u32(a.v), vget_high_u32(b.v));
  const uint32x4x2_t halves =
      vuzpq_u32(vreinterpretq_u32_u64(first), vreinterpretq_u32_u64(second));
  *low = halves.val[0];
  return halves.val[1];
}
inline Vec eights(const int32_t* p, int64_t k) {
  const int16x8_t halves = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(p[k / 4])));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(halves)));
}
inline Vec fours(const int32_t* p, int64_t k) {
  const int32_t up[4] = {28, 24, 20, 16};
  const int32x4_t word = vdupq_n_s32(p[k / 8] >> 4 * (k % 8));
  return vcvtq_f32_s32(vshrq_n_s32(vshlq_s32(word, vld1q_s32(up)), 28));
}

#else // scalar: any processor

struct Words {
  uint32_t v;

  Words() = default;
  Words(uint32_t x) : v(x) {}
  static Words load(const uint32_t* p) { return *p; }
  void store(uint32_t* p) const { *p = v; }
};
inline Words operator^(Words a, Words b) { return a.v ^ b.v; }
inline Vec lowHalves(Words a) { return (float)(a.v & 0xffff); }
inline Vec highHalves(Words a) { return (float)(a.v >> 16); }
inline void zip(Vec a, Vec b, Vec* first, Vec* second) {
  *first = a;
  *second = b;
}
inline Words multiply(Words a, Words b, Words* low) {
  const uint64_t product = (uint64_t)a.v * b.v;
  *low = (uint32_t)product;
  return (uint32_t)(product >> 32);
}
inline Vec eights(const int32_t* p, int64_t k) {
  return (float)(int8_t)((uint32_t)p[k / 4] >> 8 * (k % 4));
}
inline Vec fours(const int32_t* p, int64_t k) {
  return (float)((int32_t)((uint32_t)p[k / 8] << (28 - 4 * (k % 8))) >> 28);
}

#endif

} // namespace tinybard::SIMD
