// The activations of linear layers, with their codes in the kernel interface.
#pragma once

#include "kernel.h"

namespace tinybard {

enum class Activation { none, relu, gelu, geluTanh, relu2 };

/** Returns true if an activation has this code; otherwise reports an error of the kernel. */
inline bool checkActivation(const char* kernel, int64_t code) {
  constexpr int last = (int)Activation::relu2;
  if (code >= 0 && code <= last) return true;
  kernelError("%s: activation is %lld, expected 0 to %d", kernel, (long long)code, last);
  return false;
}

} // namespace tinybard
