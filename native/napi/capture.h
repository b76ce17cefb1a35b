// Captured graphs: lists of kernel calls that are replayed in one call from JavaScript.
#pragma once

#include <memory>
#include <vector>

#include "arguments.h"

namespace tinybard {

/** Runs a kernel. Throws a RangeError if the kernel reports an error. */
void runKernel(napi_env env, Run run, const Slot* slots);

/** A captured kernel call. */
struct KernelCall {
  Run run;
  std::vector<Slot> slots;
};

/** Runs a list of kernel calls: one after the other, or compiled into something faster. */
class GraphRunner {
 public:
  /** Returns a new runner of the backend. */
  static std::unique_ptr<GraphRunner> make();
  virtual ~GraphRunner() = default;
  /** Throws the errors of the kernels. The list is the same each time. */
  virtual void run(Napi::Env env, const std::vector<KernelCall>& calls) = 0;
};

/** A list of kernel calls, which keeps the memory of their arguments alive. */
class CapturedGraph {
 public:
  /** Makes an external value, so that JavaScript owns the graph. */
  static Napi::Value toValue(Napi::Env env, std::unique_ptr<CapturedGraph> graph);
  /** Returns the graph of such a value; null for any other value. */
  static CapturedGraph* fromValue(Napi::Value value);

  void add(Napi::Env env, Run run, Arguments& arguments);
  /** Runs all calls again on the same memory. Throws if that has been detached or freed. */
  void replay(Napi::Env env);

 private:
  struct Memory {
    Napi::Reference<Napi::Value> owner;
    Extent extent;
    std::shared_ptr<void> retained; // null if JavaScript can still free the memory
  };
  std::vector<KernelCall> calls;
  std::unique_ptr<GraphRunner> runner = GraphRunner::make();
  std::vector<Memory> memory;
  std::vector<std::vector<float*>> pointers; // what the slots of lists point to
  std::vector<std::vector<int64_t>> lengths;
};

} // namespace tinybard
