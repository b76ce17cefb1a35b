// Calls of kernels: their arguments, checked, in slots; and a list of calls that can be replayed.
#pragma once

#include <node_api.h>

#include <deque>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "call.h"

namespace tinybard {

/** A size, whose sums and products stop at the largest instead of overflowing. */
class Size {
 public:
  Size(int64_t n = 0) : n(n) {}
  friend Size operator*(Size a, Size b) {
    int64_t y;
    return __builtin_mul_overflow(a.n, b.n, &y) ? INT64_MAX : y;
  }
  friend Size operator+(Size a, Size b) {
    int64_t y;
    return __builtin_add_overflow(a.n, b.n, &y) ? INT64_MAX : y;
  }
  friend Size operator-(Size a, Size b) { return a.n - b.n; }
  friend bool operator==(Size a, Size b) { return a.n == b.n; }
  int64_t value() const { return n; }

 private:
  int64_t n;
};

/** An argument of a kernel. */
struct Slot {
  union {
    void* pointer;
    int64_t integer;
    double real;
    bool flag;
  };
  any either; // what `pointer` points to where the kernel takes any type
  List list;

  template <class T>
  T get() const {
    if constexpr (std::is_same_v<T, any*> || std::is_same_v<T, const any*>)
      return const_cast<any*>(&either);
    else if constexpr (std::is_pointer_v<T>) return static_cast<T>(pointer);
    else if constexpr (std::is_same_v<T, List>) return list;
    else if constexpr (std::is_same_v<T, double>) return real;
    else if constexpr (std::is_same_v<T, bool>) return flag;
    else if constexpr (std::is_same_v<T, int64_t>) return integer;
    else return T{};
  }
};

using Run = void (*)(const Slot*);

class Recording;

/** What the addon keeps for a JavaScript environment: the main thread's, or a worker's. */
struct State {
  std::unique_ptr<Recording> recording; // that calls are added to now
  napi_ref resizable;                   // the name of that property

  static void attach(napi_env env);
  static State& of(napi_env env);
};

/** One call from JavaScript. The first wrong argument is remembered, the rest passed over. */
class Call {
 public:
  static constexpr size_t most = 20; // arguments
  Slot slots[most];
  bool hasDoubles = false;

  Call(napi_env env, State& state, napi_value* arguments, size_t count)
      : env(env), state(state), arguments(arguments), count(count) {}

  template <class... Parameters>
  void begin(const char* kernel, void (*)(Parameters...)) {
    constexpr auto isBuffer = [](auto* p) {
      using T = std::remove_pointer_t<decltype(p)>;
      return std::is_pointer_v<T> || std::is_same_v<T, List>;
    };
    name = kernel;
    at = (0 + ... + (int)isBuffer((Parameters*)nullptr));
    expect(sizeof...(Parameters) - 1); // End is no argument
  }
  /** From here on buffers are asked for, from the first argument on. */
  void nowBuffers() { at = 0; }

  Size size(const char* what);
  void integer(const char* what);
  void real(const char* what);
  void flag(const char* what);
  template <class T>
  void buffer(const char* what, Size length, bool isWritten, bool mayBeNull) {
    typed(what, length.value(), isWritten, mayBeNull, kindOf<T>());
  }
  void list(const char* what, bool isWritten, bool isScalar);

  /** Throws to JavaScript what is wrong with the call, if anything is. */
  bool throwIfWrong();

  /** A part of an ArrayBuffer that the call works on. */
  struct Range {
    napi_value buffer;
    uintptr_t begin, end;
    bool isWritten;
  };
  std::vector<Range> ranges;
  std::deque<std::vector<float*>> pointers; // of lists
  std::deque<std::vector<int64_t>> lengths; // of lists

 private:
  enum class Kind { f32, i32, word, any };
  template <class T>
  static constexpr Kind kindOf() {
    return std::is_same_v<T, tinybard::f32>    ? Kind::f32
           : std::is_same_v<T, tinybard::i32>  ? Kind::i32
           : std::is_same_v<T, tinybard::word> ? Kind::word
                                               : Kind::any;
  }

  void expect(size_t arguments);
  void wrong(const char* what, const std::string& problem);
  void typed(const char* what, int64_t length, bool isWritten, bool mayBeNull, Kind kind);
  /** A typed array: where it lies; null if it is none, or not fit. */
  void* view(napi_value value, const char* what, bool isWritten, napi_typedarray_type* type,
             int64_t* length);
  double number(const char* what, const char* expected, bool isWhole);

  napi_env env;
  State& state;
  napi_value* arguments;
  size_t count;
  const char* name = "";
  size_t at = 0;
  int wordType = -1; // that of the first buffer of words
  int64_t entries = -1; // of the first list
  std::string problem;
};

/** Runs a kernel; false after throwing to JavaScript what it said against it. */
bool runGuarded(napi_env env, Run run, const Slot* slots);

/** A list of calls. It keeps the memory that they work on alive. */
class Recording {
 public:
  static constexpr napi_type_tag tag = {0x74696e7962617264, 0x7265636f7264696e};

  explicit Recording(napi_env env) : env(env) {}
  ~Recording();
  void add(napi_env env, Run run, Call& call);
  /** Runs all calls again, on the same memory, as long as it is still where it was. */
  void replay(napi_env env);

 private:
  struct Step {
    Run run;
    std::vector<Slot> slots;
  };
  struct Memory {
    napi_ref buffer;
    void* data;
    size_t bytes;
  };
  napi_env env;
  std::deque<Step> steps;
  std::vector<Memory> memory;
  std::deque<std::vector<float*>> pointers;
  std::deque<std::vector<int64_t>> lengths;
};

} // namespace tinybard
