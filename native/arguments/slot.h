// Kernel arguments in an array of slots of one type, and kernels as functions of such an array.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "../kernel.h"

namespace tinybard {

/** One argument of a kernel. */
struct Slot {
  union {
    void* pointer;
    int64_t integer;
    double real;
    bool flag;
  };
  any either; // the buffer of `pointer`, for kernels that take any type
  List list;
};

/** A kernel that reads its arguments from slots. */
using Run = void (*)(const Slot*);

/** A kernel of any signature. */
struct Kernel {
  Run run;
  size_t buffers;    // parameters that are buffers or lists of buffers; they come first
  size_t parameters; // all of them
};

constexpr size_t MAX_PARAMETERS = 20;

/** Erases the type of a kernel. All code is in members of this class, none of it shared by two
 *  kernels, because the kernels of different instruction sets are compiled with different flags. */
template <auto kernel>
struct ErasedKernel;

template <class... Parameters, void (*kernel)(Parameters...)>
struct ErasedKernel<kernel> {
  static_assert(sizeof...(Parameters) <= MAX_PARAMETERS);

  template <class T>
  static constexpr bool isBuffer = std::is_pointer_v<T> || std::is_same_v<T, List>;

  template <class T>
  static T get(const Slot& slot) {
    if constexpr (std::is_same_v<T, any*> || std::is_same_v<T, const any*>)
      return const_cast<any*>(&slot.either);
    else if constexpr (std::is_pointer_v<T>) return static_cast<T>(slot.pointer);
    else if constexpr (std::is_same_v<T, List>) return slot.list;
    else if constexpr (std::is_same_v<T, double>) return slot.real;
    else if constexpr (std::is_same_v<T, bool>) return slot.flag;
    else return slot.integer;
  }

  template <size_t... I>
  static void invoke(const Slot* slots, std::index_sequence<I...>) {
    kernel(get<Parameters>(slots[I])...);
  }

  static void run(const Slot* slots) {
    invoke(slots, std::index_sequence_for<Parameters...>{});
  }
};

template <auto kernel, class... Parameters>
constexpr Kernel eraseKernel(void (*)(Parameters...)) {
  using Erased = ErasedKernel<kernel>;
  return {Erased::run, (size_t{0} + ... + Erased::template isBuffer<Parameters>),
          sizeof...(Parameters)};
}

/** Returns the kernel with its type erased. */
template <auto kernel>
constexpr Kernel makeKernel() {
  return eraseKernel<kernel>(kernel);
}

} // namespace tinybard
