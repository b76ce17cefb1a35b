// Vec on NEON: 4 floats. The operations are described in avx512.h.
#pragma once

#include <arm_neon.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tinybard::SIMD {

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

} // namespace tinybard::SIMD
