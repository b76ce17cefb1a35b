// Vec on One float, for any processor. The operations are described in avx512.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tinybard::SIMD {

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

} // namespace tinybard::SIMD
