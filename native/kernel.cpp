// The errors of kernels, and checks that several kernels share.

#include "kernel.h"

#include <cmath>

namespace tinybard {

thread_local ErrorMessage pendingError;

/** Writes a number in decimal at `to`, which has room for 24 characters. */
static void formatInteger(long long x, char* to) {
  char digits[20];
  int count = 0;
  unsigned long long rest = x < 0 ? 0ull - (unsigned long long)x : (unsigned long long)x;
  do {
    digits[count++] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (x < 0) *to++ = '-';
  while (count > 0) *to++ = digits[--count];
  *to = 0;
}

// Not vsnprintf, which would need a system's streams: WebAssembly has none.
void ErrorMessage::appendList(const char* format, va_list values) {
  const auto put = [&](char c) {
    if (length + 1 < sizeof text) text[length++] = c;
  };
  for (const char* p = format; *p; p++) {
    if (*p != '%') {
      put(*p);
      continue;
    }
    char number[24];
    const char* word = number;
    p++;
    if (*p == 's') word = va_arg(values, const char*);
    else if (*p == 'd') formatInteger(va_arg(values, int), number);
    else {
      formatInteger(va_arg(values, long long), number);
      p += 2; // lld
    }
    while (*word) put(*word++);
  }
  text[length] = 0;
  isSet = true;
}

void ErrorMessage::append(const char* format, ...) {
  va_list values;
  va_start(values, format);
  appendList(format, values);
  va_end(values);
}

void ErrorMessage::set(const char* format, ...) {
  va_list values;
  va_start(values, format);
  length = 0;
  appendList(format, values);
  va_end(values);
}

void kernelError(const char* format, ...) {
  va_list values;
  va_start(values, format);
  pendingError.length = 0;
  pendingError.appendList(format, values);
  va_end(values);
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
  const double whole = std::trunc(x);
  const double remainder = whole - std::floor(whole / 4294967296.0) * 4294967296.0; // exact
  return (i32)(uint32_t)remainder;
}

} // namespace tinybard
