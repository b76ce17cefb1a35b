// The functions of the C library's math that kernels call by themselves: for f32 results, computed
// in f64. With them the module needs no C library, which for WebAssembly has 32-bit addresses only,
// and returns the same bits on every machine. The prebuilt addon for Windows uses them too.

#include <cmath>
#include <cstdint>
#include <cstring>

namespace tinybard {
namespace {

template <class To, class From>
To bitCast(From x) {
  To y;
  static_assert(sizeof x == sizeof y);
  std::memcpy(&y, &x, sizeof y);
  return y;
}

constexpr double LN2_HIGH = 0x1.62e42fee00000p-1; // ln 2 as a sum; n LN2_HIGH is exact
constexpr double LN2_LOW = 0x1.a39ef35793c76p-33;

/** 2^n for -1022 <= n <= 1023 */
double powerOf2(int n) { return bitCast<double>((uint64_t)(n + 1023) << 52); }

/** c[0] + c[1] x + c[2] x^2 + ... */
template <int N>
double polynomial(double x, const double (&c)[N]) {
  double y = c[N - 1];
  for (int i = N - 2; i >= 0; i--) y = y * x + c[i];
  return y;
}

/**
 * ln x = e ln 2 + ln f with f in [1/sqrt(2), sqrt(2)), by the series of atanh((f - 1) / (f + 1)).
 */
double logarithm(double x) {
  if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
  if (x == INFINITY) return x;
  int e = 0;
  if (x < 0x1p-1022) { // a subnormal number
    x *= 0x1p54;
    e = -54;
  }
  const uint64_t bits = bitCast<uint64_t>(x);
  const int64_t n = (int64_t)(bits - 0x3fe6a09e667f3bcd) >> 52; // the bits of 1/sqrt(2)
  e += (int)n;
  const double f = bitCast<double>(bits - ((uint64_t)n << 52));
  const double s = (f - 1) / (f + 1);
  const double square = s * s;
  const double sum = polynomial(square, {1.0 / 3, 1.0 / 5, 1.0 / 7, 1.0 / 9, 1.0 / 11, 1.0 / 13,
                                         1.0 / 15, 1.0 / 17, 1.0 / 19, 1.0 / 21, 1.0 / 23});
  return e * LN2_HIGH + (2 * s + (2 * s * square * sum + e * LN2_LOW));
}

/** e^x = 2^n e^r with |r| <= ln 2 / 2, by Taylor's series. */
double exponential(double x) {
  if (x != x) return x;
  if (x > 710) return INFINITY;
  if (x < -746) return 0;
  const double n = std::nearbyint(x * 0x1.71547652b82fep0); // 1 / ln 2
  const double r = (x - n * LN2_HIGH) - n * LN2_LOW;
  const double y = polynomial(
      r, {1, 1, 1.0 / 2, 1.0 / 6, 1.0 / 24, 1.0 / 120, 1.0 / 720, 1.0 / 5040, 1.0 / 40320,
          1.0 / 362880, 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800});
  const int first = (int)n / 2; // in two steps, because 2^n alone may overflow or underflow
  return y * powerOf2(first) * powerOf2((int)n - first);
}

bool isInteger(double x) { return std::trunc(x) == x; }
bool isOdd(double x) { return isInteger(x) && !isInteger(x / 2); }

/** x^y with the special cases of C. */
double power(double x, double y) {
  if (y == 0 || x == 1) return 1;
  if (x != x || y != y) return NAN;
  const bool isFinite = std::fabs(x) < INFINITY;
  if (x < 0 && isFinite && !isInteger(y)) return NAN;
  const double sign = std::signbit(x) && isOdd(y) ? -1 : 1;
  const double size = std::fabs(x);
  if (size == 1) return sign;
  if (size == 0) return y < 0 ? sign * INFINITY : sign * 0.0;
  return sign * exponential(y * logarithm(size));
}

/** The first 192 bits of 2 / pi. */
constexpr uint8_t TWO_OVER_PI[] = {0xa2, 0xf9, 0x83, 0x6e, 0x4e, 0x44, 0x15, 0x29,
                                   0xfc, 0x27, 0x57, 0xd1, 0xf5, 0x34, 0xdd, 0xc0,
                                   0xdb, 0x62, 0x95, 0x99, 0x3c, 0x43, 0x90, 0x41};

/** Returns the 32 bits of TWO_OVER_PI that end with byte i. */
uint32_t windowOf(int i) {
  uint32_t bits = 0;
  for (int j = i - 3; j <= i; j++) bits = bits << 8 | (j < 0 ? 0 : TWO_OVER_PI[j]);
  return bits;
}

/** An angle of n quarter turns and r more, |r| <= pi / 4. */
struct Angle {
  int n;
  double r;
};

/**
 * Reduces x >= 0. Of a large x 2 / pi, a product of integers, only the bits next to the point count
 * (Payne and Hanek): the method of ARM's optimized routines.
 */
Angle reduce(float x) {
  if (x < 1e5f) {
    const double n = std::nearbyint(x * 0x1.45f306dc9c883p-1); // 2 / pi
    constexpr double HIGH = 0x1.921fb50000000p0; // pi / 2 as a sum; n HIGH is exact
    constexpr double LOW = 0x1.110b4611a6263p-26;
    return {(int)n, (x - n * HIGH) - n * LOW};
  }
  const uint32_t bits = bitCast<uint32_t>(x);
  const int first = bits >> 26 & 15;
  const uint32_t mantissa = ((bits & 0x7fffff) | 0x800000) << (bits >> 23 & 7);
  const uint64_t high = (uint64_t)(mantissa * windowOf(first)) << 32;
  const uint64_t middle = (uint64_t)mantissa * windowOf(first + 4);
  const uint64_t low = (uint64_t)mantissa * windowOf(first + 8) >> 32;
  const uint64_t product = (high | low) + middle; // quarter turns, 2^-62 each
  const uint64_t n = (product + (1ull << 61)) >> 62;
  return {(int)n, (double)(int64_t)(product - (n << 62)) * 0x1.921fb54442d18p-62};
}

/** sin(angle + shift quarter turns) by Taylor's series. */
double sine(Angle angle, int shift) {
  const double r = angle.r;
  const double square = r * r;
  const int n = angle.n + shift;
  const double y =
      n % 2 == 0
          ? r * polynomial(square, {1, -1.0 / 6, 1.0 / 120, -1.0 / 5040, 1.0 / 362880,
                                    -1.0 / 39916800, 1.0 / 6227020800})
          : polynomial(square, {1, -1.0 / 2, 1.0 / 24, -1.0 / 720, 1.0 / 40320, -1.0 / 3628800,
                                1.0 / 479001600, -1.0 / 87178291200});
  return n % 4 < 2 ? y : -y;
}

} // namespace
} // namespace tinybard

using namespace tinybard;

extern "C" {
double log(double x) { return logarithm(x); }
float logf(float x) { return (float)logarithm(x); }
double pow(double x, double y) { return power(x, y); }
float sinf(float x) {
  if (!(std::fabs(x) < INFINITY)) return NAN;
  if (x == 0) return x; // of either sign
  return std::copysign(1.0f, x) * (float)sine(reduce(std::fabs(x)), 0);
}
float cosf(float x) {
  if (!(std::fabs(x) < INFINITY)) return NAN;
  return (float)sine(reduce(std::fabs(x)), 1);
}
}
