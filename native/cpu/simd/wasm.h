// Vec in WebAssembly: 4 floats. With relaxed SIMD, multiply-adds round once where the processor
// can; plain SIMD has none. The operations are described in avx512.h.
#pragma once

#include <wasm_simd128.h>

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tinybard::SIMD {

struct Mask {
  v128_t v;
};

struct Vec {
  static constexpr int width = 4;
  v128_t v;

  Vec() = default;
  Vec(v128_t x) : v(x) {}
  Vec(float x) : v(wasm_f32x4_splat(x)) {}
  static Mask firstLanes(int64_t n) {
    const v128_t index = wasm_i32x4_const(0, 1, 2, 3);
    return {wasm_i32x4_lt(index, wasm_i32x4_splat(n > 4 ? 4 : (int)n))};
  }
  static Vec load(const float* p) { return wasm_v128_load(p); }
  static Vec load(const float* p, int64_t n) {
    if (n >= 4) return wasm_v128_load(p);
    if (n <= 1) return n < 1 ? wasm_f32x4_const_splat(0) : wasm_v128_load32_zero(p);
    const v128_t pair = wasm_v128_load64_zero(p);
    return n == 2 ? pair : wasm_v128_load32_lane(p + 2, pair, 2);
  }
  void store(float* p) const { wasm_v128_store(p, v); }
  void store(float* p, int64_t n) const {
    if (n >= 4) return wasm_v128_store(p, v);
    if (n == 1) wasm_v128_store32_lane(p, v, 0);
    if (n >= 2) wasm_v128_store64_lane(p, v, 0);
    if (n == 3) wasm_v128_store32_lane(p + 2, v, 2);
  }
};

inline Vec operator+(Vec a, Vec b) { return wasm_f32x4_add(a.v, b.v); }
inline Vec operator-(Vec a, Vec b) { return wasm_f32x4_sub(a.v, b.v); }
inline Vec operator*(Vec a, Vec b) { return wasm_f32x4_mul(a.v, b.v); }
inline Vec operator/(Vec a, Vec b) { return wasm_f32x4_div(a.v, b.v); }
inline Mask operator<(Vec a, Vec b) { return {wasm_f32x4_lt(a.v, b.v)}; }
inline Mask operator<=(Vec a, Vec b) { return {wasm_f32x4_le(a.v, b.v)}; }
inline Mask operator==(Vec a, Vec b) { return {wasm_f32x4_eq(a.v, b.v)}; }
#if defined(__wasm_relaxed_simd__)
inline Vec fma(Vec a, Vec b, Vec c) { return wasm_f32x4_relaxed_madd(a.v, b.v, c.v); }
#else
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
#endif
inline Vec max(Vec a, Vec b) { return wasm_f32x4_pmax(b.v, a.v); }
inline Vec min(Vec a, Vec b) { return wasm_f32x4_pmin(b.v, a.v); }
inline Vec sqrt(Vec a) { return wasm_f32x4_sqrt(a.v); }
inline Vec abs(Vec a) { return wasm_f32x4_abs(a.v); }
inline Vec round(Vec a) { return wasm_f32x4_nearest(a.v); }
inline Vec select(Mask mask, Vec a, Vec b) { return wasm_v128_bitselect(a.v, b.v, mask.v); }
inline Vec copysign(Vec a, Vec sign) {
  return wasm_v128_bitselect(sign.v, a.v, wasm_i32x4_const_splat(INT32_MIN));
}
inline Vec powerOf2(v128_t n) {
  return wasm_i32x4_shl(wasm_i32x4_add(n, wasm_i32x4_const_splat(127)), 23);
}
inline Vec ldexp(Vec a, Vec n) {
  const Vec shifted = n + Vec(12582912.0f); // 1.5 2^23, so that n is in the lowest bits
  const v128_t e = wasm_i32x4_sub(shifted.v, wasm_i32x4_const_splat(0x4b400000));
  const v128_t e1 = wasm_i32x4_shr(e, 1);
  return a * powerOf2(e1) * powerOf2(wasm_i32x4_sub(e, e1));
}
inline Vec swapHalves(Vec a) { return wasm_i32x4_shuffle(a.v, a.v, 2, 3, 0, 1); }
inline float reduceAdd(Vec a) {
  const Vec pair = a + swapHalves(a);
  return wasm_f32x4_extract_lane(pair.v, 0) + wasm_f32x4_extract_lane(pair.v, 1);
}
inline float reduceMax(Vec a) {
  const Vec pair = max(a, swapHalves(a));
  const Vec one = max(pair, wasm_i32x4_shuffle(pair.v, pair.v, 1, 0, 3, 2));
  return wasm_f32x4_extract_lane(one.v, 0);
}
inline Vec splitExponent(Vec a, Vec* e) {
  const v128_t root = wasm_i32x4_const_splat(0x3f3504f3);
  const v128_t n = wasm_i32x4_shr(wasm_i32x4_sub(a.v, root), 23);
  *e = wasm_f32x4_convert_i32x4(n);
  return wasm_i32x4_sub(a.v, wasm_i32x4_shl(n, 23));
}

inline void transposeBlock(const float* x, int64_t ldx, float* y, int64_t ldy) {
  v128_t a[4];
  for (int i = 0; i < 4; i++) a[i] = wasm_v128_load(x + i * ldx);
  const v128_t low01 = wasm_i32x4_shuffle(a[0], a[1], 0, 4, 1, 5);
  const v128_t high01 = wasm_i32x4_shuffle(a[0], a[1], 2, 6, 3, 7);
  const v128_t low23 = wasm_i32x4_shuffle(a[2], a[3], 0, 4, 1, 5);
  const v128_t high23 = wasm_i32x4_shuffle(a[2], a[3], 2, 6, 3, 7);
  wasm_v128_store(y, wasm_i64x2_shuffle(low01, low23, 0, 2));
  wasm_v128_store(y + ldy, wasm_i64x2_shuffle(low01, low23, 1, 3));
  wasm_v128_store(y + 2 * ldy, wasm_i64x2_shuffle(high01, high23, 0, 2));
  wasm_v128_store(y + 3 * ldy, wasm_i64x2_shuffle(high01, high23, 1, 3));
}

/** a b + c in f64, where the product is exact. */
inline Vec fmaInDoubles(Vec a, Vec b, Vec c) {
  const auto lowHalf = [](Vec x, Vec y, Vec z) {
    const v128_t product =
        wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(x.v), wasm_f64x2_promote_low_f32x4(y.v));
    const v128_t sum = wasm_f64x2_add(product, wasm_f64x2_promote_low_f32x4(z.v));
    return wasm_f32x4_demote_f64x2_zero(sum);
  };
  const v128_t low = lowHalf(a, b, c);
  const v128_t high = lowHalf(swapHalves(a), swapHalves(b), swapHalves(c));
  return wasm_i64x2_shuffle(low, high, 0, 2);
}

} // namespace tinybard::SIMD
