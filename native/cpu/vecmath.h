// Elementary functions of a Vec, by polynomial and rational minimax approximations (fitted by
// iteratively reweighted least squares to minimize the largest relative error). Each comment states
// the largest error in units in the last place (ulp) of a float; test/backend/vecmath.test.ts
// measures it.
#pragma once

#include "simd.h"

namespace tinybard::SIMD {

/** c0 + c1 x + c2 x^2 + ... by Horner's rule. */
template <class... More>
inline Vec polynomial(Vec x, float c0, More... more) {
  if constexpr (sizeof...(more) == 0) return Vec(c0);
  else return fma(x, polynomial(x, more...), Vec(c0));
}

// ln 2 as a sum. n LN2_HIGH is exact for the exponents n of floats (Cody and Waite).
constexpr float LN2_HIGH = 0.693359375f;
constexpr float LN2_LOW = -2.12194440e-4f;

/** e^x = 2^n e^r with n = round(x / ln 2), |r| <= ln 2 / 2. Error 1.1 ulp. */
inline Vec exp(Vec x) {
  const Vec clamped = max(Vec(-104.0f), min(Vec(89.0f), x)); // NaN stays NaN
  const Vec n = round(clamped * Vec(1.44269504f));
  const Vec r = fma(n, Vec(-LN2_LOW), fma(n, Vec(-LN2_HIGH), clamped));
  const Vec q = polynomial(r, 0.49999994f, 0.16666521f, 0.041668389f, 0.0083687175f, 0.0013814596f);
  return ldexp(fma(r * r, q, r) + Vec(1.0f), n);
}

/** ln x = e ln 2 + ln(1 + f), x = 2^e (1 + f). Error 1 ulp. */
inline Vec log(Vec x) {
  constexpr float SMALLEST_NORMAL = 1.17549435e-38f;
  const Mask isSubnormal = x < Vec(SMALLEST_NORMAL); // scaled by 2^23
  Vec e;
  const Vec f = splitExponent(select(isSubnormal, x * Vec(8388608.0f), x), &e) - Vec(1.0f);
  e = e - select(isSubnormal, Vec(23.0f), Vec(0.0f));
  const Vec q = polynomial(f, 0.33333331f, -0.25000823f, 0.20001227f, -0.16623357f, 0.14201762f,
                           -0.13160195f, 0.1276155f, -0.076344296f);
  const Vec square = f * f;
  const Vec tail = fma(f * square, q, fma(e, Vec(LN2_LOW), Vec(-0.5f) * square));
  const Vec y = fma(e, Vec(LN2_HIGH), f + tail);
  const Vec edge = select(x == Vec(0.0f), Vec(-INFINITY), select(x == Vec(INFINITY), x, y));
  return select(Vec(0.0f) <= x, edge, Vec(NAN));
}

/** 1 / (1 + e^-x) = e^x / (1 + e^x): the form whose exponential is e^-|x| <= 1. Error 2.5 ulp. */
inline Vec sigmoid(Vec x) {
  const Vec e = exp(-abs(x));
  return select(x < Vec(0.0f), e, Vec(1.0f)) / (Vec(1.0f) + e);
}

/** sign(x) (1 - 2 / (e^2|x| + 1)); near 0, x + x^3 q(x^2). Error 1.4 ulp. */
inline Vec tanh(Vec x) {
  const Vec size = abs(x);
  const Vec square = x * x;
  const Vec q = polynomial(square, -0.33333284f, 0.13331491f, -0.053743497f, 0.020650579f,
                           -0.005717037f);
  const Vec large = Vec(1.0f) - Vec(2.0f) / (exp(size + size) + Vec(1.0f));
  return copysign(select(size < Vec(0.625f), fma(size * square, q, size), large), x); // -0 stays -0
}

/**
 * e^(-x^2 / 2). The square is exact, as a sum of two floats: for large x, its rounding alone would
 * cause an error of 40 ulp.
 */
inline Vec gaussian(Vec x) {
  const Vec size = min(Vec(20.0f), abs(x)); // NaN stays NaN; from 20 on, the result is 0
  const Vec square = size * size;
  const Vec error = fmaExact(size, size, -square);
  const Vec y = exp(Vec(-0.5f) * square);
  return fma(y, Vec(-0.5f) * error, y);
}

/**
 * Phi(x) = erfc(-x / sqrt 2) / 2, the normal distribution function, given g = gaussian(x). By
 * erfc(z) = e^(-z^2) t q(t) for z >= 0, with t = 1 / (1 + z / 2).
 */
inline Vec normalCdf(Vec x, Vec g) {
  const Vec z = abs(x) * Vec(0.70710678f);
  const Vec t = Vec(1.0f) / fma(z, Vec(0.5f), Vec(1.0f));
  const Vec q = polynomial(t, 0.28208435f, 0.28241211f, 0.2428351f, 0.20375256f, -0.029148635f,
                           0.28173345f, -0.49040654f, 0.28612405f, -0.059386484f);
  const Vec tail = Vec(0.5f) * g * t * q;
  return select(Vec(0.0f) < x, Vec(1.0f) - tail, select(z == z, tail, x));
}

/** max(x, 0). NaN stays NaN. */
inline Vec relu(Vec x) { return max(Vec(0.0f), x); }
/** max(x, 0)^2 */
inline Vec relu2(Vec x) {
  const Vec positive = max(Vec(0.0f), x); // NaN stays NaN
  return positive * positive;
}

/** x sigmoid(x). Error 3.3 ulp if the result is at least 10^-36. */
inline Vec silu(Vec x) { return x * sigmoid(x); }
/** s (1 + x (1 - s)) with s = sigmoid(x). Absolute error 10^-6. */
inline Vec siluDerivative(Vec x) {
  const Vec s = sigmoid(x);
  return s * fma(x, Vec(1.0f) - s, Vec(1.0f));
}

/** x Phi(x). Error 8 ulp if the result is at least 10^-36. */
inline Vec gelu(Vec x) { return x * normalCdf(x, gaussian(x)); }
/** Phi(x) + x phi(x) with the normal density phi. Absolute error 3 10^-7. */
inline Vec geluDerivative(Vec x) {
  const Vec g = gaussian(x);
  return fma(x * g, Vec(0.39894228f), normalCdf(x, g));
}

/**
 * x (1 + tanh u) / 2 = x sigmoid(2 u), u = sqrt(2 / pi) (x + 0.044715 x^3). Error 4 ulp for
 * x >= -1; up to 210 ulp below, where the exponential amplifies the rounding of u.
 */
inline Vec geluTanh(Vec x) {
  const Vec u2 = Vec(1.59576912f) * x * fma(x * x, Vec(0.044715f), Vec(1.0f));
  return x * sigmoid(u2);
}
/** sigmoid(2 u) + x sigmoid'(2 u) 2 u'. Absolute error 2 10^-6. */
inline Vec geluTanhDerivative(Vec x) {
  const Vec square = min(Vec(1e6f), x * x); // beyond, s is 0 or 1; avoids infinity times 0
  const Vec s = sigmoid(Vec(1.59576912f) * x * fma(square, Vec(0.044715f), Vec(1.0f)));
  const Vec du2 = Vec(1.59576912f) * fma(square, Vec(0.134145f), Vec(1.0f));
  return fma(x * s * (Vec(1.0f) - s), du2, s);
}

} // namespace tinybard::SIMD
