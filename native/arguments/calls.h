// The kernel calls that a captured graph repeats.
#pragma once

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "arguments.h"

namespace tinybard {

/** A captured kernel call. */
struct KernelCall {
  Run run;
  std::array<Slot, MAX_PARAMETERS> slots;
};

/** Kernel calls with the lists of their arguments. */
class CallList {
 public:
  const std::vector<KernelCall>& calls() const { return kernelCalls; }

  /** Makes room for another call, so that add() cannot fail after the kernel has run. */
  void reserve() {
    reserve(kernelCalls, 1);
    reserve(pointers, MAX_PARAMETERS);
    reserve(lengths, MAX_PARAMETERS);
  }

  void add(Run run, Arguments& arguments) {
    // the slots of lists stay valid: a moved vector keeps its memory
    for (auto& list : arguments.pointers) pointers.push_back(std::move(list));
    for (auto& list : arguments.lengths) lengths.push_back(std::move(list));
    KernelCall call;
    call.run = run;
    std::copy_n(arguments.slots, MAX_PARAMETERS, call.slots.begin());
    kernelCalls.push_back(call);
  }

 private:
  template <class T>
  static void reserve(std::vector<T>& list, size_t count) {
    const size_t size = list.size() + count;
    if (size > list.capacity()) list.reserve(std::max(size, 2 * list.capacity()));
  }

  std::vector<KernelCall> kernelCalls;
  std::vector<std::vector<float*>> pointers; // what the slots of lists point to
  std::vector<std::vector<int64_t>> lengths;
};

} // namespace tinybard
