// The kernels for products in bf16 (bf16.h). Rounding is to the nearest, ties to even; NaN stays
// NaN. The instructions may take numbers below 2^-126 for 0. On other processors, the same kernels
// with the instructions in software serve as a test.

#include "bf16.h"

#include "tile.h"

namespace tinybard::SIMD {
namespace {

#if defined(SIMD_AVX512)

/** Converts between the types of vector registers, which all have the same bits. */
template <class To, class From>
inline To asBits(From x) {
  static_assert(sizeof(To) == sizeof(From));
  To y;
  std::memcpy(&y, &x, sizeof y);
  return y;
}

/** sum + the products of the pairs a and b. */
inline Vec dot(Vec a, Vec b, Vec sum) {
  return _mm512_dpbf16_ps(sum.v, asBits<__m512bh>(a.v), asBits<__m512bh>(b.v));
}
/** Returns the pairs of neighbors in the 32 floats of two vectors. */
inline Vec pairNeighbors(Vec first, Vec second) {
  return asBits<__m512>(_mm512_cvtne2ps_pbh(second.v, first.v));
}
/** Returns the pairs (low[i], high[i]). */
inline Vec pairLanes(Vec low, Vec high) {
  const __m512i index = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  const __m512i halves = asBits<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v));
  return asBits<__m512>(_mm512_permutexvar_epi16(index, halves));
}

#elif defined(SIMD_NEON)

inline Vec dot(Vec a, Vec b, Vec sum) {
  return vbfdotq_f32(sum.v, vreinterpretq_bf16_f32(a.v), vreinterpretq_bf16_f32(b.v));
}
inline Vec pairNeighbors(Vec first, Vec second) {
  return vreinterpretq_f32_bf16(vcvtq_high_bf16_f32(vcvtq_low_bf16_f32(first.v), second.v));
}
inline Vec pairLanes(Vec low, Vec high) {
  const uint16x4_t lows = vreinterpret_u16_bf16(vcvt_bf16_f32(low.v));
  const uint16x4_t highs = vreinterpret_u16_bf16(vcvt_bf16_f32(high.v));
  const uint16x4x2_t pairs = vzip_u16(lows, highs);
  return vreinterpretq_f32_u16(vcombine_u16(pairs.val[0], pairs.val[1]));
}

#else // in software

constexpr int W = Vec::width;

/** Returns the bits of x in bf16. */
inline uint32_t toBf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return x != x ? bits >> 16 | 0x40 : rounded;
}

/** Returns the vector whose lanes have the bits f(0), f(1), ... */
template <class F>
inline Vec fromBits(const F& f) {
  uint32_t bits[W];
  float lanes[W];
  for (int i = 0; i < W; i++) bits[i] = f(i);
  std::memcpy(lanes, bits, sizeof bits);
  return Vec::load(lanes);
}

inline Vec dot(Vec a, Vec b, Vec sum) {
  float lanes[2][W];
  uint32_t pairs[2][W];
  a.store(lanes[0]);
  b.store(lanes[1]);
  std::memcpy(pairs, lanes, sizeof pairs);
  const auto low = [&](int x) { return fromBits([&](int i) { return pairs[x][i] << 16; }); };
  const auto high = [&](int x) { return fromBits([&](int i) { return pairs[x][i] & ~0xffffu; }); };
  return fma(low(0), low(1), fma(high(0), high(1), sum)); // AVX512-BF16 also adds `high` first
}
inline Vec pairNeighbors(Vec first, Vec second) {
  float lanes[2 * W];
  first.store(lanes);
  second.store(lanes + W);
  return fromBits([&](int i) { return toBf16(lanes[2 * i]) | toBf16(lanes[2 * i + 1]) << 16; });
}
inline Vec pairLanes(Vec low, Vec high) {
  float lanes[2][W];
  low.store(lanes[0]);
  high.store(lanes[1]);
  return fromBits([&](int i) { return toBf16(lanes[0][i]) | toBf16(lanes[1][i]) << 16; });
}

#endif

void pairColumns(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                 int64_t columns) {
  constexpr int64_t TWO = 2 * Vec::width;
  for (int64_t r = 0; r < rows; r++) {
    const float* from = x + r * ldx;
    float* to = y + r * ldy;
    int64_t j = 0;
    for (; j + TWO <= columns; j += TWO)
      pairNeighbors(Vec::load(from + j), Vec::load(from + j + Vec::width)).store(to + j / 2);
    const int64_t left = columns - j;
    if (left <= 0) continue;
    const Vec first = Vec::load(from + j, left);
    const int64_t others = left - Vec::width;
    const Vec second = others > 0 ? Vec::load(from + j + Vec::width, others) : Vec(0.0f);
    pairNeighbors(first, second).store(to + j / 2, (left + 1) / 2);
  }
}

void pairRows(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r += 2) {
    const float* low = x + r * ldx;
    float* to = y + r / 2 * ldy;
    if (r + 1 == rows) { // the last one has no partner
      forEachVector(columns, [&](int64_t j, int64_t lanes) {
        pairLanes(Vec::load(low + j, lanes), Vec(0.0f)).store(to + j, lanes);
      });
      continue;
    }
    const float* high = low + ldx;
    int64_t j = 0;
    for (; j + Vec::width <= columns; j += Vec::width)
      pairLanes(Vec::load(low + j), Vec::load(high + j)).store(to + j);
    if (j == columns) continue;
    const int64_t lanes = columns - j;
    pairLanes(Vec::load(low + j, lanes), Vec::load(high + j, lanes)).store(to + j, lanes);
  }
}

TileFunction getTile(int rows, int64_t columns, bool isTransposed) {
  return chooseTile<dot>(rows, columns, isTransposed);
}

} // namespace

extern const Bf16Kernels bf16 = {pairColumns, pairRows, getTile};

} // namespace tinybard::SIMD
