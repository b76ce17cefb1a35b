// The addon's own functions on the floor cuda, and how recorded calls are played there: as a graph,
// captured when they are first played.

#include "floor.h"

#include <atomic>
#include <string>

#include "../door.h"
#include "buffer.h"
#include "matmul/cublaslt.h"

namespace tinybard {
namespace {

std::atomic<bool> isTaken{false}; // by an environment: the device has one stream

class GraphPlayer : public Player {
 public:
  ~GraphPlayer() override {
    if (graph) cuda::destroyGraph(graph);
  }

  bool play(napi_env env, const std::vector<Step>& steps) override {
    if (!graph && !capture(env, steps)) return false;
    cuda::launchGraph(graph);
    return true;
  }

 private:
  bool capture(napi_env env, const std::vector<Step>& steps) {
    bool isGood = true;
    cuda::beginCapture();
    for (const Step& step : steps) isGood = isGood && runKernel(env, step.run, step.slots.data());
    graph = cuda::endCapture();
    if (isGood && graph) return true;
    if (graph) cuda::destroyGraph(graph);
    graph = nullptr;
    if (isGood) throwDeviceError(env);
    return false;
  }

  cuda::Graph* graph = nullptr;
};

napi_value synchronize(napi_env env, napi_callback_info) {
  cuda::synchronize();
  throwDeviceError(env);
  return nullptr;
}

/** counts(): launches of kernels, buffers read and allocated, since the start. */
napi_value counts(napi_env env, napi_callback_info) {
  const napi_value result = object(env);
  const auto set = [&](const char* name, int64_t count) {
    napi_value number;
    napi_create_double(env, (double)count, &number);
    napi_set_named_property(env, result, name, number);
  };
  set("launches", cuda::launchCount());
  set("reads", readCount);
  set("allocations", allocationCount);
  return result;
}

/** timeReplays(recording, count): milliseconds that the device takes for so many replays. */
napi_value timeReplays(napi_env env, napi_callback_info info) {
  size_t given = 2;
  napi_value arguments[2], result;
  double count = 0;
  napi_get_cb_info(env, info, &given, arguments, nullptr, nullptr);
  CapturedGraph* recording = CapturedGraph::of(env, arguments[0]);
  napi_get_value_double(env, arguments[1], &count);
  if (!recording || !(count >= 1 && count <= 1e6)) {
    napi_throw_type_error(env, nullptr, "timeReplays: expected a recording, and how often");
    return nullptr;
  }
  bool isGood = recording->replay(env); // what is made once is made now
  const float ms = cuda::elapsedMilliseconds([&] {
    for (double i = 0; i < count && isGood; i++) isGood = recording->replay(env);
  });
  if (!isGood || throwDeviceError(env)) return nullptr;
  napi_create_double(env, ms, &result);
  return result;
}

napi_value setTf32(napi_env env, napi_callback_info info) {
  size_t count;
  bool on = false;
  napi_get_value_bool(env, argumentOf(env, info, &count), &on);
  cuda::setTf32(on);
  return nullptr;
}

napi_value tune(napi_env env, napi_callback_info) {
  cuda::tuneCublasLt();
  throwDeviceError(env);
  return nullptr;
}

napi_value matmulTable(napi_env env, napi_callback_info) {
  return text(env, cuda::cublasLtTable().c_str());
}

napi_value setMatmulTable(napi_env env, napi_callback_info info) {
  size_t count, length = 0;
  const napi_value argument = argumentOf(env, info, &count);
  napi_get_value_string_utf8(env, argument, nullptr, 0, &length);
  std::string table(length + 1, 0);
  napi_get_value_string_utf8(env, argument, &table[0], table.size(), &length);
  cuda::setCublasLtTable(table.c_str());
  return nullptr;
}

} // namespace

std::unique_ptr<Player> Player::make() { return std::make_unique<GraphPlayer>(); }

bool enter(napi_env env, napi_value cuda) {
  if (const char* reason = cuda::unavailableReason()) {
    napi_throw_error(env, nullptr, reason);
    return false;
  }
  if (isTaken.exchange(true)) {
    napi_throw_error(env, nullptr, "another thread of this process works with the device");
    return false;
  }
  napi_add_env_cleanup_hook(env, [](void*) { isTaken = false; }, env);
  napi_set_named_property(env, cuda, "processor", text(env, cuda::deviceName()));
  napi_set_named_property(env, cuda, "matmul", text(env, cuda::cublasLtStatus()));
  setFunction<allocateBuffer>(env, cuda, "allocate");
  setFunction<freeBuffer>(env, cuda, "free");
  setFunction<writeBuffer>(env, cuda, "write");
  setFunction<readBuffer>(env, cuda, "read");
  setFunction<synchronize>(env, cuda, "synchronize");
  setFunction<counts>(env, cuda, "counts");
  setFunction<timeReplays>(env, cuda, "timeReplays");
  setFunction<setTf32>(env, cuda, "setTf32");
  setFunction<tune>(env, cuda, "tune");
  setFunction<matmulTable>(env, cuda, "matmulTable");
  setFunction<setMatmulTable>(env, cuda, "setMatmulTable");
  return true;
}

} // namespace tinybard
