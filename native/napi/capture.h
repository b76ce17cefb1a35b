// Captured graphs: lists of kernel calls that are replayed in one call from JavaScript.
#pragma once

#include <memory>
#include <vector>

#include "../arguments/calls.h"
#include "handle.h"

namespace tinybard {

/** Runs a kernel. Throws a RangeError if the kernel reports an error. */
void runKernel(napi_env env, Run run, const Slot* slots);

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
  static constexpr napi_type_tag tag = {0x74696e7962617264, 0x7265636f7264696e};

  void add(Napi::Env env, Run run, Arguments& arguments);
  /** Returns all calls. Throws if their memory has been detached or freed. */
  const std::vector<KernelCall>& callsToReplay(Napi::Env env);
  /** Runs all calls again on the same memory. Throws if that has been detached or freed. */
  void replay(Napi::Env env) {
    const std::vector<KernelCall>& calls = callsToReplay(env);
    runner->run(env, calls);
  }
  /** Frees the calls and their memory; from then on replay() throws. */
  void release();

 private:
  struct Memory {
    Napi::Reference<Napi::Value> owner; // empty if `retained` keeps the memory
    Extent extent;
    std::shared_ptr<void> retained; // null if JavaScript can still free the memory
  };
  CallList list;
  std::unique_ptr<GraphRunner> runner = GraphRunner::make(); // null once it is released
  std::vector<Memory> memory;
};

} // namespace tinybard
