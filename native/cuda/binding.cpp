// The functions of the cuda backend, and replay as a CUDA graph.

#include "binding.h"

#include <algorithm>
#include <atomic>
#include <string>

#include "../napi/capture.h"
#include "../napi/process_group.h"
#include "buffer.h"
#include "matmul/cublaslt.h"
#include "nccl.h"

namespace tinybard {
namespace {

std::atomic<bool> isInUse{false}; // by one JavaScript environment: the device has one stream

/** Captures a CUDA graph from the calls when it first runs. */
class CudaGraphRunner : public GraphRunner {
 public:
  ~CudaGraphRunner() override {
    if (graph) cuda::destroyGraph(graph);
  }

  void run(Napi::Env env, const std::vector<KernelCall>& calls) override {
    if (!graph) capture(env, calls);
    if (graph) cuda::launchGraph(graph);
  }

 private:
  void capture(Napi::Env env, const std::vector<KernelCall>& calls) {
    cuda::beginCapture();
    try {
      for (const KernelCall& call : calls) runKernel(env, call.run, call.slots.data());
    } catch (...) { // the capture must end before the error is thrown
      if (cuda::Graph* incomplete = cuda::endCapture()) cuda::destroyGraph(incomplete);
      throw;
    }
    graph = cuda::endCapture();
    if (!graph) throwDeviceError(env);
  }

  cuda::Graph* graph = nullptr;
};

/** synchronize(): waits for all kernels. */
void synchronize(const Napi::CallbackInfo& info) {
  cuda::synchronize();
  throwDeviceError(info.Env());
}

/** counts(): returns the numbers of kernel launches, buffer reads and allocations so far. */
Napi::Value counts(const Napi::CallbackInfo& info) {
  const Napi::Object result = Napi::Object::New(info.Env());
  result.Set("launches", (double)cuda::launchCount());
  result.Set("reads", (double)readCount);
  result.Set("allocations", (double)allocationCount);
  return result;
}

/** timeReplays(graph, count): returns the milliseconds that the device takes for the replays. */
Napi::Value timeReplays(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  CapturedGraph* graph = Handles<CapturedGraph>::get(env, info[0]);
  const double count = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0;
  if (!graph || !(count >= 1 && count <= 1e6))
    throw Napi::TypeError::New(env, "timeReplays: expected a captured graph and a count");
  graph->replay(env); // makes the CUDA graph, which is not timed
  const float ms = cuda::elapsedMilliseconds([&] {
    for (double i = 0; i < count; i++) graph->replay(env);
  });
  throwDeviceError(env);
  return Napi::Number::New(env, ms);
}

/** setTf32(isOn): chooses whether f32 matmuls may round their inputs to tf32, if it has bf16. */
void setTf32(const Napi::CallbackInfo& info) { cuda::setTf32(info[0].ToBoolean()); }

/** tune(): times cuBLASLt's algorithms for the matmuls so far, and chooses the fastest. */
void tune(const Napi::CallbackInfo& info) {
  cuda::tuneCublasLt();
  throwDeviceError(info.Env());
}

/** matmulTable(): returns the chosen algorithms as text. */
Napi::Value matmulTable(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), cuda::cublasLtTable());
}

/** setMatmulTable(text): chooses the algorithms of a table. */
void setMatmulTable(const Napi::CallbackInfo& info) {
  if (!info[0].IsString())
    throw Napi::TypeError::New(info.Env(), "setMatmulTable: expected a string");
  cuda::setCublasLtTable(info[0].As<Napi::String>().Utf8Value().c_str());
}

/** open(): opens NCCL; returns its name and version. */
Napi::Value openNCCL(const Napi::CallbackInfo& info) {
  group::check(info.Env(), cuda::nccl::open());
  return Napi::String::New(info.Env(), cuda::nccl::version());
}

/** createId(): returns the 128 bytes that identify a new group. */
Napi::Value createGroupId(const Napi::CallbackInfo& info) {
  cuda::nccl::UniqueId id{};
  group::check(info.Env(), cuda::nccl::createId(&id));
  Napi::Uint8Array bytes = Napi::Uint8Array::New(info.Env(), sizeof id.bytes);
  std::copy_n(id.bytes, sizeof id.bytes, bytes.Data());
  return bytes;
}

/** join(id, size, rank): joins the ranks with the same id. */
void joinGroup(const Napi::CallbackInfo& info) {
  cuda::nccl::UniqueId id{};
  const bool isTyped = info[0].IsTypedArray() && info[1].IsNumber() && info[2].IsNumber();
  if (!isTyped || info[0].As<Napi::TypedArray>().ByteLength() != sizeof id.bytes)
    throw Napi::TypeError::New(info.Env(), "join: expected an id of 128 bytes, a size and a rank");
  Napi::Uint8Array bytes = info[0].As<Napi::Uint8Array>();
  std::copy_n(bytes.Data(), sizeof id.bytes, id.bytes);
  const int size = info[1].As<Napi::Number>();
  const int rank = info[2].As<Napi::Number>();
  if (size < 1 || rank < 0 || rank >= size)
    throw Napi::RangeError::New(info.Env(), "join: expected a rank below the size");
  group::check(info.Env(), cuda::nccl::join(id, size, rank));
}

/** Makes the exports of process groups. */
Napi::Object makeProcessGroup(Napi::Env env) {
  Napi::Object exports = group::makeExports(env);
  exports.Set("open", Napi::Function::New<openNCCL>(env, "open"));
  exports.Set("createId", Napi::Function::New<createGroupId>(env, "createId"));
  exports.Set("join", Napi::Function::New<joinGroup>(env, "join"));
  return exports;
}

} // namespace

std::unique_ptr<GraphRunner> GraphRunner::make() { return std::make_unique<CudaGraphRunner>(); }

void initializeBackend(Napi::Env env, Napi::Object cuda) {
  if (const char* reason = cuda::unavailableReason()) throw Napi::Error::New(env, reason);
  if (isInUse.exchange(true))
    throw Napi::Error::New(env, "another thread of this process uses the device");
  openMemory(env);
  env.AddCleanupHook([] { isInUse = false; });
  cuda.Set("processor", cuda::deviceName());
  cuda.Set("hasBf16", cuda::hasBf16());
  cuda.Set("matmul", cuda::cublasLtStatus());
  cuda.Set("allocate", Napi::Function::New<allocateBuffer>(env, "allocate"));
  cuda.Set("free", Napi::Function::New<freeBuffer>(env, "free"));
  cuda.Set("sweep", Napi::Function::New<sweepBuffers>(env, "sweep"));
  cuda.Set("collectGarbage", Napi::Function::New<collectGarbage>(env, "collectGarbage"));
  cuda.Set("write", Napi::Function::New<writeBuffer>(env, "write"));
  cuda.Set("read", Napi::Function::New<readBuffer>(env, "read"));
  cuda.Set("synchronize", Napi::Function::New<synchronize>(env, "synchronize"));
  cuda.Set("counts", Napi::Function::New<counts>(env, "counts"));
  cuda.Set("timeReplays", Napi::Function::New<timeReplays>(env, "timeReplays"));
  cuda.Set("setTf32", Napi::Function::New<setTf32>(env, "setTf32"));
  cuda.Set("tune", Napi::Function::New<tune>(env, "tune"));
  cuda.Set("processGroup", makeProcessGroup(env));
  cuda.Set("matmulTable", Napi::Function::New<matmulTable>(env, "matmulTable"));
  cuda.Set("setMatmulTable", Napi::Function::New<setMatmulTable>(env, "setMatmulTable"));
}

} // namespace tinybard
