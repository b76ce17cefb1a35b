// The functions of the cpu backend: instruction set, threads, alignment, and sequential replay.

#include "binding.h"

#include <cstdlib>
#include <string>

#include "../napi/capture.h"
#include "parallel.h"

namespace tinybard {

std::atomic<const Table*> table{nullptr};

namespace {

std::atomic<int> environments{0};

class SequentialRunner : public GraphRunner {
  void run(Napi::Env env, const std::vector<KernelCall>& calls) override {
    for (const KernelCall& call : calls) runKernel(env, call.run, call.slots.data());
  }
};

/** threads(n?): sets the number of threads if n is passed. Returns their number. */
Napi::Value threads(const Napi::CallbackInfo& info) {
  if (info.Length() > 0) {
    const double n = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
    if (!(n >= 1 && n <= 256 && n == (int)n))
      throw Napi::RangeError::New(info.Env(), "threads: expected an integer from 1 to 256");
    setThreadCount((int)n);
  }
  return Napi::Number::New(info.Env(), threadCount());
}

/** alone(): the calling JavaScript thread no longer uses the thread pool. */
void alone(const Napi::CallbackInfo&) { workAlone(); }

/** alignment(buffer): returns the offset of the first cache line that starts in an ArrayBuffer. */
Napi::Value alignment(const Napi::CallbackInfo& info) {
  if (!info[0].IsArrayBuffer())
    throw Napi::TypeError::New(info.Env(), "alignment: expected an ArrayBuffer");
  const void* const data = info[0].As<Napi::ArrayBuffer>().Data();
  return Napi::Number::New(info.Env(), (uint32_t)(-(uintptr_t)data % 64));
}

/** Stops the threads with the last environment: the addon's code may be unloaded after it. */
void leaveEnvironment() {
  if (--environments == 0) stopThreads();
}

} // namespace

std::unique_ptr<GraphRunner> GraphRunner::make() { return std::make_unique<SequentialRunner>(); }

void initializeBackend(Napi::Env env, Napi::Object cpu) {
  const char* const forced = std::getenv("TINYBARD_SIMD");
  const char* reason = "";
  if (!table) table = chooseTable(forced, &reason);
  if (!table)
    throw Napi::Error::New(env, std::string("TINYBARD_SIMD is ") + forced + ": " + reason);
  environments++;
  env.AddCleanupHook(leaveEnvironment);
  cpu.Set("simd", table.load()->simd);
  cpu.Set("threads", Napi::Function::New<threads>(env, "threads"));
  cpu.Set("alone", Napi::Function::New<alone>(env, "alone"));
  cpu.Set("alignment", Napi::Function::New<alignment>(env, "alignment"));
}

} // namespace tinybard
