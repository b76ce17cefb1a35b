// The activations that follow a product, and their derivatives, as the contract has them. They are
// computed while the tensor cores are busy with other tiles, of which there is little time: so by
// the fast functions of the device, good to some 10^-6 of the result.
#pragma once

#include "../matmul.h"

namespace tinybard::cuda {

/** e^(-x^2 / 2) */
__device__ inline float gaussian(float x) { return __expf(-0.5f * x * x); }

/**
 * Phi(x) = erfc(-x / sqrt 2) / 2, the distribution function of the standard normal distribution,
 * given g = gaussian(x): erfc(z) = e^(-z^2) t q(t) for z >= 0, with t = 1 / (1 + z / 2), and q as
 * native/cpu/vecmath.h has it.
 */
__device__ inline float geluCdf(float x, float g) {
  const float t = __fdividef(1.0f, fmaf(fabsf(x), 0.35355339f, 1.0f));
  float q = -0.059386484f;
  q = fmaf(q, t, 0.28612405f);
  q = fmaf(q, t, -0.49040654f);
  q = fmaf(q, t, 0.28173345f);
  q = fmaf(q, t, -0.029148635f);
  q = fmaf(q, t, 0.20375256f);
  q = fmaf(q, t, 0.2428351f);
  q = fmaf(q, t, 0.28241211f);
  q = fmaf(q, t, 0.28208435f);
  const float tail = 0.5f * g * t * q;
  return x > 0.0f ? 1.0f - tail : tail;
}

/** (1 + tanh u) / 2 = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
__device__ inline float geluTanhCdf(float x) {
  return __fdividef(1.0f, 1.0f + __expf(-1.59576912f * x * fmaf(0.044715f * x, x, 1.0f)));
}

/** x = f(x), each of them. */
template <int W>
__device__ inline void activate(Activation f, float (&x)[W]) {
  if (f == Activation::relu) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = x[i] < 0.0f ? 0.0f : x[i]; // NaN stays NaN
  } else if (f == Activation::gelu) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] *= geluCdf(x[i], gaussian(x[i]));
  } else if (f == Activation::geluTanh) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] *= geluTanhCdf(x[i]);
  }
}

/** dy f'(x); for relu x may be f's result. */
__device__ inline float activateBackward(Activation f, float x, float dy) {
  switch (f) {
    case Activation::relu: return x <= 0.0f ? 0.0f : dy;
    case Activation::gelu: {
      const float g = gaussian(x);
      return dy * fmaf(x * g, 0.39894228f, geluCdf(x, g));
    }
    case Activation::geluTanh: {
      const float s = geluTanhCdf(x), square = fminf(x * x, 1e6f); // infinity times 0 would be NaN
      return dy * fmaf(x * s * (1.0f - s) * 1.59576912f, fmaf(0.134145f, square, 1.0f), s);
    }
    default: return dy;
  }
}

} // namespace tinybard::cuda
