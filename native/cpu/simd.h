// Vec, a vector of the floats that fit in a register (16 on AVX-512, 8 on AVX2, 4 on NEON and in
// WebAssembly, otherwise 1), and its operations. Every kernel is written once in terms of Vec and
// compiled once per instruction set, in a namespace that is named after it (the macro SIMD).
// dispatch.cpp chooses the best instruction set of the processor at startup.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(SIMD_AVX512)
#include "simd/avx512.h"
#elif defined(SIMD_AVX2)
#include "simd/avx2.h"
#elif defined(SIMD_NEON)
#include "simd/neon.h"
#elif defined(SIMD_WASM)
#include "simd/wasm.h"
#else
#include "simd/scalar.h"
#endif

namespace tinybard::SIMD {

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
#elif defined(SIMD_WASM)
  return fmaInDoubles(a, b, c);
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
