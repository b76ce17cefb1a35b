// The binding to JavaScript: calls of kernels by their index in kernels.def, with arguments from
// the staging area, and captured graphs. As in the addon, all arguments of a call are checked
// before its kernel runs, so that no call from JavaScript can corrupt the memory.

#include <__verbose_abort>

#include "../arguments/calls.h"
#include "../arguments/checks.h"
#include "../cpu/table.h"
#include "export.h"
#include "heap.h"
#include "staging.h"

namespace tinybard {

namespace wasm {
extern const Table table;
}

namespace {

enum Result { done, unsupported, typeError, rangeError };

StagedValue* staged = nullptr; // the staging area
size_t stagedCapacity = 0;
Arguments* arguments = nullptr; // of the last call; an error may have skipped the end of that call
CallList* capture = nullptr;    // null if no capture is in progress

/** Runs a kernel. Returns rangeError if the kernel reports an error. */
Result runKernel(Run run, const Slot* slots) {
  pendingError.isSet = false;
  run(slots);
  return pendingError.isSet ? rangeError : done;
}

double toAddress(const void* pointer) { return (double)reinterpret_cast<size_t>(pointer); }

CallList* toCallList(double handle) { return reinterpret_cast<CallList*>((size_t)handle); }

} // namespace

/** Returns the address of the staging area, after making it large enough for `count` values. */
EXPORT(stage) double stage(double count) {
  if (count > (double)stagedCapacity) {
    const double bytes = count * sizeof(StagedValue);
    auto* const larger = static_cast<StagedValue*>(allocate((size_t)bytes));
    if (!larger) throwOutOfMemory(bytes); // the old area stays
    release(std::exchange(staged, larger));
    stagedCapacity = (size_t)count;
  }
  return toAddress(staged);
}

/**
 * Calls a kernel with the first `count` staged values, unless all its outputs are empty. Returns
 * `unsupported`, having done nothing, if its arguments are doubles; an error has a message().
 */
EXPORT(call) int call(int kernel, int count) {
  const Entry& entry = entries[kernel];
  const Kernel& implementation = wasm::table.kernels[kernel];
  Value pointers[MAX_PARAMETERS];
  for (size_t i = 0; i < MAX_PARAMETERS; i++) pointers[i] = staged + i;
  delete std::exchange(arguments, nullptr);
  arguments = new Arguments(nullptr, pointers, (size_t)count);
  arguments->begin(entry.name, implementation);
  entry.check(*arguments);
  if (const char* message = arguments->finish()) {
    pendingError.set("%s", message);
    return typeError;
  }
  if (arguments->hasDoubles) return unsupported;
  if (!arguments->hasOutput) return done;
  if (capture) capture->reserve();
  const Result result = runKernel(implementation.run, arguments->slots);
  if (result == done && capture) capture->add(implementation.run, *arguments);
  return result;
}

/** Returns the address of the last error's message. */
EXPORT(message) double message() {
  return toAddress(pendingError.text);
}

/** Captures all calls from now on. Discards a capture in progress. */
EXPORT(beginCapture) void beginCapture() {
  delete std::exchange(capture, nullptr);
  capture = new CallList;
}

/** Returns the handle of the captured graph; 0 if no capture is in progress. */
EXPORT(endCapture) double endCapture() {
  return toAddress(std::exchange(capture, nullptr));
}

/** Runs the calls of a captured graph, up to the first error. */
EXPORT(replay) int replay(double handle) {
  for (const KernelCall& captured : toCallList(handle)->calls()) {
    const Result result = runKernel(captured.run, captured.slots.data());
    if (result != done) return result;
  }
  return done;
}

/** Returns the number of calls of a captured graph. */
EXPORT(callCount) int callCount(double handle) { return (int)toCallList(handle)->calls().size(); }

/** Runs one of its calls. */
EXPORT(replayCall) int replayCall(double handle, int i) {
  const KernelCall& captured = toCallList(handle)->calls()[i];
  return runKernel(captured.run, captured.slots.data());
}

EXPORT(releaseGraph) void releaseGraph(double handle) { delete toCallList(handle); }

EXPORT(kernelCount) int kernelCount() { return (int)entryCount; }

/** Returns the address of the name of a kernel. */
EXPORT(kernelName) double kernelName(int kernel) { return toAddress(entries[kernel].name); }

/** Returns the address of its parameters, as kernels.def declares them. */
EXPORT(kernelSignature) double kernelSignature(int kernel) {
  return toAddress(entries[kernel].signature);
}

} // namespace tinybard

/** The standard library calls this where it would throw, which these programs never do. */
void std::__libcpp_verbose_abort(const char*, ...) noexcept { __builtin_trap(); }
