// The arguments of a kernel in a row of slots, all alike, and calls from there.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "call.h"

namespace tinybard {

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

/** Calls a kernel with its arguments from slots. */
template <class... Parameters, size_t... I>
void invoke(void (*kernel)(Parameters...), const Slot* slots, std::index_sequence<I...>) {
  kernel(slots[I].get<Parameters>()...);
}
template <class... Parameters>
void invoke(void (*kernel)(Parameters...), const Slot* slots) {
  invoke(kernel, slots, std::index_sequence_for<Parameters...>{});
}
using Run = void (*)(const Slot*);

} // namespace tinybard
