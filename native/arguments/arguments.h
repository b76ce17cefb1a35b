// The arguments of a kernel call: checked, and converted to slots.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "slot.h"
#include "value.h"

namespace tinybard {

struct F; // the element types of kernels.def that depend on the call
struct W;

/**
 * A size, or a length computed from sizes. These are doubles, so that products do not overflow.
 * `atLeast` is the same expression with each size of 0 replaced by 1, because a kernel may multiply
 * the other sizes of an empty buffer.
 */
struct Size {
  double n;
  double atLeast;
  Size(double n) : Size(n, std::max(n, 1.0)) {}
  Size(double n, double atLeast) : n(n), atLeast(atLeast) {}
  friend Size operator*(Size a, Size b) { return {a.n * b.n, a.atLeast * b.atLeast}; }
  friend Size operator+(Size a, Size b) { return {a.n + b.n, std::max(a.atLeast, b.atLeast)}; }
  friend Size operator-(Size a, Size b) { return a.n - b.n; }
  friend Size operator>>(Size a, int bits) {
    const double divisor = (double)(1 << bits);
    return {std::floor(a.n / divisor), std::floor(a.atLeast / divisor)};
  }
};

/** The memory that one argument covers. */
struct Range {
  Value owner;
  char* begin;
  char* end;
  bool isWritten;
};

/**
 * Reads the arguments of one call; the first error is kept. Values are read one by one with plain
 * functions: with those of Node-API a call of `add` (3 buffers, 3 numbers) takes 2.5 us, and with
 * the classes of node-addon-api 2.9 us.
 */
class Arguments {
 public:
  Slot slots[MAX_PARAMETERS];
  bool hasDoubles = false; // a Float64Array, which only the TypeScript kernels support
  bool isBf16 = false;     // F is bf16, or W has 2 bytes
  bool hasOutput = false;  // an element that the kernel writes; without one it has nothing to do
  std::vector<Range> ranges;
  std::vector<std::vector<float*>> pointers; // of the lists
  std::vector<std::vector<int64_t>> lengths; // of the lists

  Arguments(Env env, const Value* values, size_t count) : env(env), values(values), count(count) {}

  /** Begins with the numbers, which follow the buffers. */
  void begin(const char* kernelName, const Kernel& kernel);
  Size size(const char* what);
  double integer(const char* what);
  double real(const char* what);
  bool flag(const char* what);

  /** Continues with the buffers. */
  void beginBuffers() { next = 0; }
  template <class T>
  void buffer(const char* what, Size length, bool isWritten, bool isOptional) {
    buffer(what, length, isWritten, isOptional, kindOf<T>());
  }
  enum class ListLength { asFirst, scalars, asFirstOrEmpty };
  void list(const char* what, bool isWritten, Type type, ListLength kind = ListLength::asFirst);

  /** Ends the checks. Returns null, or the message of the TypeError that is to be thrown. */
  const char* finish();

 private:
  enum class Kind { f32, i32, F, W, any };
  template <class T>
  static constexpr Kind kindOf() {
    return std::is_same_v<T, tinybard::f32>   ? Kind::f32
           : std::is_same_v<T, tinybard::i32> ? Kind::i32
           : std::is_same_v<T, tinybard::F>   ? Kind::F
           : std::is_same_v<T, tinybard::W>   ? Kind::W
                                              : Kind::any;
  }

  /** Sets the error, unless there is one: the kernel, the argument and, formatted, the problem. */
  template <class... Values>
  void setError(const char* what, const char* problem, Values... values) {
    if (error.isSet) return;
    error.set("%s: %s ", name, what);
    error.append(problem, values...);
  }
  double number(const char* what, const char* expected, bool isWhole);
  void buffer(const char* what, Size length, bool isWritten, bool isOptional, Kind kind);
  /** Returns false if the value is not a buffer of this backend, or after an earlier error. */
  bool readBuffer(Value value, const char* what, bool isWritten, BufferView* view);
  void checkType(const char* what, Type type, Type expected);
  /** All memory is still attached, and no written memory overlaps with another argument. */
  void checkRanges();

  Env env;
  const Value* values;
  size_t count;
  const char* name = "";
  size_t next = 0;         // the argument to read
  bool hasCallType = false; // the type that F or W stands for in this call, once it is known:
  Type callType = Type::f32;
  int64_t listCount = -1; // buffers of the first list
  const char* tooLarge = nullptr; // the first buffer that would be too large if no size were 0
  ErrorMessage error;
};

} // namespace tinybard
