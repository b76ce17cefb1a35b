// Calls of kernels: their arguments, checked, in slots; and a list of calls that can be replayed.
#pragma once

#include <node_api.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "memory.h"
#include "slot.h"

namespace tinybard {

struct F; // as kernels.def has them
struct W;

/**
 * A size, or a length made of sizes: of doubles, which do not overflow. `room` is what the length
 * would be if sizes of 0 were 1, for kernels multiply sizes also where a length is 0.
 */
struct Size {
  double n, room;
  Size(double n) : Size(n, std::max(n, 1.0)) {}
  Size(double n, double room) : n(n), room(room) {}
  friend Size operator*(Size a, Size b) { return {a.n * b.n, a.room * b.room}; }
  friend Size operator+(Size a, Size b) { return {a.n + b.n, std::max(a.room, b.room)}; }
  friend Size operator-(Size a, Size b) { return a.n - b.n; }
  friend Size operator>>(Size a, int bits) {
    return {std::floor(std::ldexp(a.n, -bits)), std::floor(std::ldexp(a.room, -bits))};
  }
};

class CapturedGraph;

/** What the addon keeps for a JavaScript environment: the main thread's, or a worker's. */
struct State {
  std::unique_ptr<CapturedGraph> recording; // that calls are added to now

  static void attach(napi_env env);
  static State& of(napi_env env);
};

/** One call from JavaScript. The first wrong argument is remembered, the rest passed over. */
class Call {
 public:
  Slot slots[MAX_PARAMETERS];
  bool hasDoubles = false;
  bool isHalf = false; // F is bf16, or W is 2 bytes

  Call(napi_env env, napi_value* arguments, size_t count)
      : env(env), arguments(arguments), count(count) {}

  /** Begins with the numbers, which follow the buffers. */
  void begin(const char* kernelName, const Kernel& kernel) {
    name = kernelName;
    at = kernel.buffers;
    expect(kernel.parameters);
  }
  /** Continues with the buffers. */
  void beginBuffers() { at = 0; }

  Size size(const char* what);
  double integer(const char* what);
  double real(const char* what);
  bool flag(const char* what);
  template <class T>
  void buffer(const char* what, Size length, bool isWritten, bool mayBeNull) {
    typed(what, length, isWritten, mayBeNull, kindOf<T>());
  }
  enum class Entries { alike, scalar, maybeNone };
  void list(const char* what, bool isWritten, Type type, Entries kind = Entries::alike);

  /** Throws to JavaScript what is wrong with the call, if anything is. */
  bool throwIfWrong();

  /** A part of a memory that the call works on. */
  struct Range {
    napi_value owner;
    char *begin, *end;
    bool isWritten;
  };
  std::vector<Range> ranges;
  std::vector<std::vector<float*>> pointers; // of lists
  std::vector<std::vector<int64_t>> lengths; // of lists

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

  void expect(size_t arguments);
  void wrong(const char* what, const std::string& problem);
  void typed(const char* what, Size length, bool isWritten, bool mayBeNull, Kind kind);
  /** A buffer and where it lies; false if it is none, or not fit. */
  bool see(napi_value value, const char* what, bool isWritten, View* view);
  void expectType(const char* what, Type type, Type expected);
  double number(const char* what, const char* expected, bool isWhole);
  /** All memory must still be there, and none that is written to may be there twice. */
  void checkRanges();

  napi_env env;
  napi_value* arguments;
  size_t count;
  const char* name = "";
  size_t at = 0;
  bool isChosen = false; // what F, or W, is in this call:
  Type chosen = Type::f32;
  int64_t entries = -1; // of the first list
  std::string problem;
};

/** Runs a kernel; false after throwing to JavaScript what it said against its arguments. */
bool runKernel(napi_env env, Run run, const Slot* slots);

/** A call that was made. */
struct Step {
  Run run;
  std::vector<Slot> slots;
};

/** How the floor runs a list of calls again: one by one, or as something that it makes of them. */
class Player {
 public:
  static std::unique_ptr<Player> make();
  virtual ~Player() = default;
  /** False after throwing to JavaScript. */
  virtual bool play(napi_env env, const std::vector<Step>& steps) = 0;
};

/** A list of calls. It keeps the memory that they work on alive. */
class CapturedGraph {
 public:
  static constexpr napi_type_tag tag = {0x74696e7962617264, 0x7265636f7264696e};

  explicit CapturedGraph(napi_env env) : env(env) {}
  /** The one that JavaScript holds as this value; null if it is none. */
  static CapturedGraph* of(napi_env env, napi_value value);
  ~CapturedGraph();
  void add(napi_env env, Run run, Call& call);
  /** Runs all calls again, on the same memory; false after throwing, if it is not where it was. */
  bool replay(napi_env env);

 private:
  struct Memory {
    napi_ref owner;
    char* data;
    size_t bytes;
    std::shared_ptr<void> hold;
  };
  napi_env env;
  std::vector<Step> steps;
  std::unique_ptr<Player> player = Player::make();
  std::vector<Memory> memory;
  std::vector<std::vector<float*>> pointers;
  std::vector<std::vector<int64_t>> lengths;
};

} // namespace tinybard
