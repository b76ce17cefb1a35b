// The kernel calls that a captured graph repeats.
#pragma once

#include <utility>
#include <vector>

#include "arguments.h"

namespace tinybard {

/** A captured kernel call. */
struct KernelCall {
  Run run;
  std::vector<Slot> slots;
};

/** Kernel calls with the lists of their arguments. */
class CallList {
 public:
  const std::vector<KernelCall>& calls() const { return kernelCalls; }

  void add(Run run, Arguments& arguments) {
    // the slots of lists stay valid: a moved vector keeps its memory
    for (auto& list : arguments.pointers) pointers.push_back(std::move(list));
    for (auto& list : arguments.lengths) lengths.push_back(std::move(list));
    kernelCalls.push_back({run, {arguments.slots, arguments.slots + MAX_PARAMETERS}});
  }

 private:
  std::vector<KernelCall> kernelCalls;
  std::vector<std::vector<float*>> pointers; // what the slots of lists point to
  std::vector<std::vector<int64_t>> lengths;
};

} // namespace tinybard
