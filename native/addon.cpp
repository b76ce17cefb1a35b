// The door to JavaScript: exports { cpu } or { cuda }, whose kernels take buffers and numbers in
// the order of the contract. Each call is checked against kernels.def before its kernel sees it, so
// that no call, however wrong, can harm the process. Calls can be recorded, and replayed at once.

#include <node_api.h>

#include <memory>
#include <new>
#include <string>

#include "checks.h"
#include "door.h"
#include "recording.h"
#ifdef TINYBARD_CUDA
#include "cuda/floor.h"
#else
#include "cpu/floor.h"
#endif

namespace tinybard {
namespace {

/** A kernel: true if it was given doubles to work on, which are not for it. */
napi_value callKernel(napi_env env, napi_callback_info info) {
  size_t count = MAX_PARAMETERS;
  napi_value arguments[MAX_PARAMETERS], isDouble = nullptr;
  void* data;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  const size_t index = static_cast<const Entry*>(data) - entries;
  Call call(env, arguments, count);
  call.begin(entries[index].name, kernelAt(index, false));
  entries[index].check(call);
  if (call.throwIfWrong()) return nullptr;
  if (call.hasDoubles) {
    napi_get_boolean(env, true, &isDouble);
    return isDouble;
  }
  const Run run = kernelAt(index, call.isHalf).run;
  const auto& recording = State::of(env).recording;
  if (runKernel(env, run, call.slots) && recording) recording->add(env, run, call);
  return nullptr;
}

/** Begins a recording; one that is being made is given up. */
napi_value beginCapture(napi_env env, napi_callback_info) {
  State::of(env).recording = std::make_unique<CapturedGraph>(env);
  return nullptr;
}

/** Gives what was recorded since beginCapture(); undefined if nothing was started. */
napi_value endCapture(napi_env env, napi_callback_info) {
  std::unique_ptr<CapturedGraph> recording = std::move(State::of(env).recording);
  napi_value result = nullptr;
  if (!recording) return nullptr;
  const auto end = [](napi_env, void* data, void*) { delete static_cast<CapturedGraph*>(data); };
  if (napi_create_external(env, recording.get(), end, nullptr, &result) != napi_ok) return nullptr;
  recording.release(); // it is JavaScript's now
  napi_type_tag_object(env, result, &CapturedGraph::tag);
  return result;
}

napi_value replay(napi_env env, napi_callback_info info) {
  size_t count;
  CapturedGraph* recording = CapturedGraph::of(env, argumentOf(env, info, &count));
  if (!recording) napi_throw_type_error(env, nullptr, "replay: no recording was given");
  else if (State::of(env).recording)
    napi_throw_error(env, nullptr, "replay: a replay cannot be recorded");
  else recording->replay(env);
  return nullptr;
}

napi_value init(napi_env env, napi_value exports) {
  const napi_value device = object(env), functions = object(env), signatures = object(env);
  if (!enter(env, device)) return nullptr;
  State::attach(env);
  for (size_t i = 0; i < entryCount; i++) {
    const Entry& entry = entries[i];
    setFunction<callKernel>(env, functions, entry.name, &entry);
    napi_set_named_property(env, signatures, entry.name, text(env, entry.signature));
  }
  napi_set_named_property(env, device, "kernels", functions);
  napi_set_named_property(env, device, "signatures", signatures);
  setFunction<beginCapture>(env, device, "beginCapture");
  setFunction<endCapture>(env, device, "endCapture");
  setFunction<replay>(env, device, "replay");
  napi_set_named_property(env, exports, FLOOR, device);
  return exports;
}

} // namespace
} // namespace tinybard

NAPI_MODULE(NODE_GYP_MODULE_NAME, tinybard::init)
