// Activations and their derivatives for the GEMM epilogue, by the formulas of the kernel interface.
// They run while the tensor cores are busy with the tiles of other blocks, and have little time to
// hide in: hence the fast device intrinsics, with a relative error of about 10^-6.
#pragma once

#include "../matmul.h"

namespace tinybard::cuda {

/** e^(-x^2 / 2) */
__device__ inline float gaussian(float x) { return __expf(-0.5f * x * x); }

/**
 * Phi(x) = erfc(-x / sqrt 2) / 2, the cumulative distribution function of the standard normal
 * distribution, from g = gaussian(x). For z >= 0, erfc(z) = e^(-z^2) t q(t) with t = 1 / (1 + z /
 * 2) and the polynomial q of native/cpu/vecmath.h.
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

/** x[i] = f(x[i]) */
template <int W>
__device__ inline void activate(Activation f, float (&x)[W]) {
  if (f == Activation::relu) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = x[i] < 0.0f ? 0.0f : x[i]; // NaN stays NaN
  } else if (f == Activation::relu2) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] = x[i] < 0.0f ? 0.0f : x[i] * x[i];
  } else if (f == Activation::gelu) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] *= geluCdf(x[i], gaussian(x[i]));
  } else if (f == Activation::geluTanh) {
#pragma unroll
    for (int i = 0; i < W; i++) x[i] *= geluTanhCdf(x[i]);
  }
}

/** Returns dy f'(x). For relu, x may also be the result of f; for relu2 it must be. */
__device__ inline float activateBackward(Activation f, float x, float dy) {
  switch (f) {
    case Activation::relu: return x <= 0.0f ? 0.0f : dy;
    case Activation::relu2: return x <= 0.0f ? 0.0f : 2.0f * sqrtf(x) * dy;
    case Activation::gelu: {
      const float g = gaussian(x);
      return dy * fmaf(x * g, 0.39894228f, geluCdf(x, g));
    }
    case Activation::geluTanh: {
      const float s = geluTanhCdf(x);
      const float square = fminf(x * x, 1e6f); // infinity times 0 would be NaN
      return dy * fmaf(x * s * (1.0f - s) * 1.59576912f, fmaf(0.134145f, square, 1.0f), s);
    }
    default: return dy;
  }
}

} // namespace tinybard::cuda
