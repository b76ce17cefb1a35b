// The two things of call.h that need a body.

#include "call.h"

#include <cmath>
#include <cstdarg>
#include <cstdio>

namespace tinybard {

thread_local Refusal refusal;

void refuse(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(refusal.message, sizeof refusal.message, format, arguments);
  va_end(arguments);
  refusal.isSet = true;
}

i32 toInt32(double x) {
  if (!std::isfinite(x)) return 0;
  const double rest = std::fmod(std::trunc(x), 4294967296.0);
  return (i32)(uint32_t)(int64_t)rest;
}

} // namespace tinybard
