// The activations that follow a product, and their derivatives, as the contract has them.
#pragma once

#include "../matmul.h"

namespace tinybard::cuda {

/** Phi(x), the distribution function of the standard normal distribution. */
__device__ inline float geluCdf(float x) { return 0.5f * erfcf(-0.70710678f * x); }

/** (1 + tanh u) / 2 = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
__device__ inline float geluTanhCdf(float x) {
  return 1.0f / (1.0f + expf(-1.59576912f * x * (1.0f + 0.044715f * x * x)));
}

__device__ inline float activate(Activation f, float x) {
  switch (f) {
    case Activation::relu: return x < 0.0f ? 0.0f : x; // NaN stays NaN
    case Activation::gelu: return x * geluCdf(x);
    case Activation::geluTanh: return x * geluTanhCdf(x);
    default: return x;
  }
}

/** dy f'(x); for relu x may be f's result. */
__device__ inline float activateBackward(Activation f, float x, float dy) {
  switch (f) {
    case Activation::relu: return x <= 0.0f ? 0.0f : dy;
    case Activation::gelu: return dy * (geluCdf(x) + x * 0.39894228f * expf(-0.5f * x * x));
    case Activation::geluTanh: {
      const float s = geluTanhCdf(x), square = fminf(x * x, 1e6f); // infinity times 0 would be NaN
      return dy * (s + x * s * (1.0f - s) * 1.59576912f * (1.0f + 0.134145f * square));
    }
    default: return dy;
  }
}

} // namespace tinybard::cuda
