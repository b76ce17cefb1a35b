// UVec, a vector of as many unsigned 32-bit integers as a Vec has floats, with the operations of
// the random generator; and the unpacking of 8-bit and 4-bit integers into a Vec.
#pragma once

#include "simd.h"

namespace tinybard::SIMD {

#if defined(SIMD_AVX512)

struct UVec {
  __m512i v;

  UVec() = default;
  UVec(__m512i x) : v(x) {}
  UVec(uint32_t x) : v(_mm512_set1_epi32((int)x)) {}
  static UVec load(const uint32_t* p) { return _mm512_loadu_si512(p); }
  void store(uint32_t* p) const { _mm512_storeu_si512(p, v); }
};
inline UVec operator^(UVec a, UVec b) { return _mm512_xor_si512(a.v, b.v); }
/** The low or the high 16 bits of each lane, as floats. */
inline Vec low16(UVec a) {
  return _mm512_cvtepi32_ps(_mm512_and_si512(a.v, _mm512_set1_epi32(0xffff)));
}
inline Vec high16(UVec a) { return _mm512_cvtepi32_ps(_mm512_srli_epi32(a.v, 16)); }
/** Interleaves two vectors: a0 b0 a1 b1 ... fills `first`, then `second`. */
inline void interleave(Vec a, Vec b, Vec* first, Vec* second) {
  const __m512i index = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i upper = _mm512_add_epi32(index, _mm512_set1_epi32(8));
  *first = _mm512_permutex2var_ps(a.v, index, b.v);
  *second = _mm512_permutex2var_ps(a.v, upper, b.v);
}
/** The 64-bit products of a and b: returns the high 32 bits of each and stores the low ones. */
inline UVec mulWide(UVec a, UVec b, UVec* low) {
  const __m512i even = _mm512_mul_epu32(a.v, b.v);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), b.v);
  *low = _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
  return _mm512_mask_blend_epi32(0xaaaa, _mm512_srli_epi64(even, 32), odd);
}
/** Converts the int8 values k to k + width - 1 that are packed into p; k is a multiple of width. */
inline Vec unpackInt8(const int32_t* p, int64_t k) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)(p + k / 4))));
}
/** The same for int4 values. */
inline Vec unpackInt4(const int32_t* p, int64_t k) {
  const __m512i word = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
  const __m512i shift = _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
  const __m512 values = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
  const __m128i packed = _mm_loadl_epi64((const __m128i*)(p + k / 8));
  const __m512i words = _mm512_permutexvar_epi32(word, _mm512_castsi128_si512(packed));
  const __m512i index = _mm512_srlv_epi32(words, shift); // the low 4 bits count
  return _mm512_permutexvar_ps(index, values);
}

#elif defined(SIMD_AVX2)

struct UVec {
  __m256i v;

  UVec() = default;
  UVec(__m256i x) : v(x) {}
  UVec(uint32_t x) : v(_mm256_set1_epi32((int)x)) {}
  static UVec load(const uint32_t* p) { return _mm256_loadu_si256((const __m256i*)p); }
  void store(uint32_t* p) const { _mm256_storeu_si256((__m256i*)p, v); }
};
inline UVec operator^(UVec a, UVec b) { return _mm256_xor_si256(a.v, b.v); }
inline Vec low16(UVec a) {
  return _mm256_cvtepi32_ps(_mm256_and_si256(a.v, _mm256_set1_epi32(0xffff)));
}
inline Vec high16(UVec a) { return _mm256_cvtepi32_ps(_mm256_srli_epi32(a.v, 16)); }
inline void interleave(Vec a, Vec b, Vec* first, Vec* second) {
  const __m256 low = _mm256_unpacklo_ps(a.v, b.v);
  const __m256 high = _mm256_unpackhi_ps(a.v, b.v);
  *first = _mm256_permute2f128_ps(low, high, 0x20);
  *second = _mm256_permute2f128_ps(low, high, 0x31);
}
inline UVec mulWide(UVec a, UVec b, UVec* low) {
  const __m256i even = _mm256_mul_epu32(a.v, b.v);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.v, 32), b.v);
  *low = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
  return _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xaa);
}
inline Vec unpackInt8(const int32_t* p, int64_t k) {
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)(p + k / 4))));
}
inline Vec unpackInt4(const int32_t* p, int64_t k) {
  const __m256i shift = _mm256_setr_epi32(28, 24, 20, 16, 12, 8, 4, 0);
  const __m256i shifted = _mm256_sllv_epi32(_mm256_set1_epi32(p[k / 8]), shift);
  return _mm256_cvtepi32_ps(_mm256_srai_epi32(shifted, 28)); // sign-extends the top 4 bits
}

#elif defined(SIMD_NEON)

struct UVec {
  uint32x4_t v;

  UVec() = default;
  UVec(uint32x4_t x) : v(x) {}
  UVec(uint32_t x) : v(vdupq_n_u32(x)) {}
  static UVec load(const uint32_t* p) { return vld1q_u32(p); }
  void store(uint32_t* p) const { vst1q_u32(p, v); }
};
inline UVec operator^(UVec a, UVec b) { return veorq_u32(a.v, b.v); }
inline Vec low16(UVec a) { return vcvtq_f32_u32(vandq_u32(a.v, vdupq_n_u32(0xffff))); }
inline Vec high16(UVec a) { return vcvtq_f32_u32(vshrq_n_u32(a.v, 16)); }
inline void interleave(Vec a, Vec b, Vec* first, Vec* second) {
  const float32x4x2_t pairs = vzipq_f32(a.v, b.v);
  *first = pairs.val[0];
  *second = pairs.val[1];
}
inline UVec mulWide(UVec a, UVec b, UVec* low) {
  const uint64x2_t first = vmull_u32(vget_low_u32(a.v), vget_low_u32(b.v));
  const uint64x2_t second = vmull_u32(vget_high_u32(a.v), vget_high_u32(b.v));
  const uint32x4x2_t lowHigh =
      vuzpq_u32(vreinterpretq_u32_u64(first), vreinterpretq_u32_u64(second));
  *low = lowHigh.val[0];
  return lowHigh.val[1];
}
inline Vec unpackInt8(const int32_t* p, int64_t k) {
  const int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(p[k / 4])));
  return vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
}
inline Vec unpackInt4(const int32_t* p, int64_t k) {
  const int32_t shift[4] = {28, 24, 20, 16};
  const int32x4_t word = vdupq_n_s32(p[k / 8] >> 4 * (k % 8));
  return vcvtq_f32_s32(vshrq_n_s32(vshlq_s32(word, vld1q_s32(shift)), 28));
}

#elif defined(SIMD_WASM)

struct UVec {
  v128_t v;

  UVec() = default;
  UVec(v128_t x) : v(x) {}
  UVec(uint32_t x) : v(wasm_i32x4_splat((int)x)) {}
  static UVec load(const uint32_t* p) { return wasm_v128_load(p); }
  void store(uint32_t* p) const { wasm_v128_store(p, v); }
};
inline UVec operator^(UVec a, UVec b) { return wasm_v128_xor(a.v, b.v); }
inline Vec low16(UVec a) {
  return wasm_f32x4_convert_i32x4(wasm_v128_and(a.v, wasm_i32x4_const_splat(0xffff)));
}
inline Vec high16(UVec a) { return wasm_f32x4_convert_i32x4(wasm_u32x4_shr(a.v, 16)); }
inline void interleave(Vec a, Vec b, Vec* first, Vec* second) {
  *first = wasm_i32x4_shuffle(a.v, b.v, 0, 4, 1, 5);
  *second = wasm_i32x4_shuffle(a.v, b.v, 2, 6, 3, 7);
}
inline UVec mulWide(UVec a, UVec b, UVec* low) {
  const v128_t first = wasm_u64x2_extmul_low_u32x4(a.v, b.v);
  const v128_t second = wasm_u64x2_extmul_high_u32x4(a.v, b.v);
  *low = wasm_i32x4_shuffle(first, second, 0, 2, 4, 6);
  return wasm_i32x4_shuffle(first, second, 1, 3, 5, 7);
}
inline Vec unpackInt8(const int32_t* p, int64_t k) {
  const v128_t halves = wasm_i16x8_extend_low_i8x16(wasm_v128_load32_zero(p + k / 4));
  return wasm_f32x4_convert_i32x4(wasm_i32x4_extend_low_i16x8(halves));
}
inline Vec unpackInt4(const int32_t* p, int64_t k) {
  const v128_t factor = wasm_i32x4_const(1 << 28, 1 << 24, 1 << 20, 1 << 16); // a shift per lane
  const v128_t word = wasm_i32x4_splat(p[k / 8] >> 4 * (k % 8));
  return wasm_f32x4_convert_i32x4(wasm_i32x4_shr(wasm_i32x4_mul(word, factor), 28));
}

#else // scalar, for any processor

struct UVec {
  uint32_t v;

  UVec() = default;
  UVec(uint32_t x) : v(x) {}
  static UVec load(const uint32_t* p) { return *p; }
  void store(uint32_t* p) const { *p = v; }
};
inline UVec operator^(UVec a, UVec b) { return a.v ^ b.v; }
inline Vec low16(UVec a) { return (float)(a.v & 0xffff); }
inline Vec high16(UVec a) { return (float)(a.v >> 16); }
inline void interleave(Vec a, Vec b, Vec* first, Vec* second) {
  *first = a;
  *second = b;
}
inline UVec mulWide(UVec a, UVec b, UVec* low) {
  const uint64_t product = (uint64_t)a.v * b.v;
  *low = (uint32_t)product;
  return (uint32_t)(product >> 32);
}
inline Vec unpackInt8(const int32_t* p, int64_t k) {
  return (float)(int8_t)((uint32_t)p[k / 4] >> 8 * (k % 4));
}
inline Vec unpackInt4(const int32_t* p, int64_t k) {
  return (float)((int32_t)((uint32_t)p[k / 8] << (28 - 4 * (k % 8))) >> 28);
}

#endif

} // namespace tinybard::SIMD
