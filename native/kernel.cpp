// The errors of kernels, and checks that several kernels share.

#include "kernel.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace tinybard {

thread_local KernelError pendingError;

void kernelError(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(pendingError.message, sizeof pendingError.message, format, arguments);
  va_end(arguments);
  pendingError.isSet = true;
}

bool checkIndices(const char* kernel, const char* what, const i32* index, int64_t count, int64_t n,
                  int64_t ignored) {
  for (int64_t i = 0; i < count; i++) {
    if ((index[i] >= 0 && index[i] < n) || index[i] == ignored) continue;
    kernelError("%s: %s[%lld] is %d, expected 0 to %lld", kernel, what, (long long)i, index[i],
                (long long)n - 1);
    return false;
  }
  return true;
}

bool checkQuantized(const char* kernel, int64_t K, int64_t groups, int64_t bits) {
  const int64_t maxGroups = (K + 31) / 32;
  if (bits != 8 && bits != 4) {
    kernelError("%s: bits is %lld, expected 8 or 4", kernel, (long long)bits);
    return false;
  }
  if (groups != 1 && groups != maxGroups) {
    kernelError("%s: groups is %lld, expected 1 or %lld", kernel, (long long)groups,
                (long long)maxGroups);
    return false;
  }
  return true;
}

i32 toInt32(double x) {
  if (!std::isfinite(x)) return 0;
  const double remainder = std::fmod(std::trunc(x), 4294967296.0);
  return (i32)(uint32_t)(int64_t)remainder;
}

} // namespace tinybard
