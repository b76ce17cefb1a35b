// The functions of the cpu backend: instruction set, precision, threads, alignment, and sequential
// replay.

#include "binding.h"

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include "../napi/capture.h"
#include "../napi/process_group.h"
#include "mpi.h"
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

/** Returns null if the processor, or the forced instruction set, cannot multiply bf16. */
const Bf16Kernels* bf16OfProcessor() {
  const char* const forced = std::getenv("TINYBARD_BF16");
  return chooseBf16(table, forced && std::strcmp(forced, "emulated") == 0);
}

/** setBf16(isOn): chooses whether the calling thread's f32 matmuls round their inputs to bf16. */
void setBf16(const Napi::CallbackInfo& info) {
  setBf16Kernels(info[0].ToBoolean() ? bf16OfProcessor() : nullptr);
}

/** alignment(buffer): returns the offset of the first cache line that starts in an ArrayBuffer. */
Napi::Value alignment(const Napi::CallbackInfo& info) {
  if (!info[0].IsArrayBuffer())
    throw Napi::TypeError::New(info.Env(), "alignment: expected an ArrayBuffer");
  const void* const data = info[0].As<Napi::ArrayBuffer>().Data();
  return Napi::Number::New(info.Env(), (uint32_t)(-(uintptr_t)data % 64));
}

/** timeCalls(graph): replays a captured graph; returns the milliseconds that each call takes. */
Napi::Value timeCalls(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  CapturedGraph* graph = Handles<CapturedGraph>::get(env, info[0]);
  if (!graph) throw Napi::TypeError::New(env, "timeCalls: expected a captured graph");
  const std::vector<KernelCall>& calls = graph->callsToReplay(env);
  Napi::Float64Array times = Napi::Float64Array::New(env, calls.size());
  for (size_t i = 0; i < calls.size(); i++) {
    const auto start = std::chrono::steady_clock::now();
    runKernel(env, calls[i].run, calls[i].slots.data());
    const auto end = std::chrono::steady_clock::now();
    times[i] = std::chrono::duration<double, std::milli>(end - start).count();
  }
  return times;
}

/** open(library): opens an MPI library; returns its name and version. */
Napi::Value openMPI(const Napi::CallbackInfo& info) {
  if (!info[0].IsString())
    throw Napi::TypeError::New(info.Env(), "open: expected the path of a library");
  group::check(info.Env(), mpi::open(info[0].As<Napi::String>().Utf8Value().c_str()));
  return Napi::String::New(info.Env(), mpi::version());
}

/** join(size): joins `size` processes through the library; returns the rank. */
Napi::Value join(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber())
    throw Napi::TypeError::New(info.Env(), "join: expected the number of ranks");
  int rank = 0;
  group::check(info.Env(), mpi::join(info[0].As<Napi::Number>(), &rank));
  return Napi::Number::New(info.Env(), rank);
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
  cpu.Set("hasBf16", bf16OfProcessor() != nullptr);
  cpu.Set("setBf16", Napi::Function::New<setBf16>(env, "setBf16"));
  cpu.Set("threads", Napi::Function::New<threads>(env, "threads"));
  cpu.Set("timeCalls", Napi::Function::New<timeCalls>(env, "timeCalls"));
  cpu.Set("alone", Napi::Function::New<alone>(env, "alone"));
  Napi::Object processGroup = group::makeExports(env);
  processGroup.Set("open", Napi::Function::New<openMPI>(env, "open"));
  processGroup.Set("join", Napi::Function::New<join>(env, "join"));
  cpu.Set("processGroup", processGroup);
  cpu.Set("alignment", Napi::Function::New<alignment>(env, "alignment"));
}

} // namespace tinybard
