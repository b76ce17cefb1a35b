// The types of kernel parameters (kernels.def), and the errors that kernels report.
#pragma once

#include <cstdarg>
#include <cstddef>
#include <cstdint>

namespace tinybard {

using f32 = float;
using i32 = int32_t;
/** An element of 4 bytes that is only moved: W on cpu. */
using word = uint32_t;

/** The element type of a buffer. */
enum class Type { f32, i32, bf16, f64 };

/** A buffer of any type but f64. */
struct any {
  void* data;
  Type type;
};

/** Buffers of several tensors, lengths[i] elements each. */
struct List {
  float* const* data;
  const int64_t* lengths;
  int64_t count;
  float* operator[](int64_t i) const { return data[i]; }
};

/** An error message, in memory of its own. */
struct ErrorMessage {
  bool isSet = false;
  size_t length = 0;
  char text[160];

  /** Formats as printf does: %s, %d and %lld. What does not fit is cut off. */
  void set(const char* format, ...);
  void append(const char* format, ...);
  void appendList(const char* format, va_list values);
};

/** The last error that the running kernel reported. */
extern thread_local ErrorMessage pendingError;

/** Reports that the running kernel has done nothing, and why: a RangeError in JavaScript. */
void kernelError(const char* format, ...);

/** Returns true if all indices are in [0, n) or equal to `ignored`, otherwise reports an error. */
bool checkIndices(const char* kernel, const char* what, const i32* index, int64_t count, int64_t n,
                  int64_t ignored = INT64_MIN);

/** Returns true if a quantized matrix of K columns can have so many groups and bits, otherwise
 *  reports an error. */
bool checkQuantized(const char* kernel, int64_t K, int64_t groups, int64_t bits);

/** Converts as JavaScript does for an Int32Array: modulo 2^32, and NaN and infinities to 0. */
i32 toInt32(double x);

} // namespace tinybard
