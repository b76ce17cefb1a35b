// The door to JavaScript: exports { cpu } or { cuda }, whose kernels take buffers and numbers in
// the order of the contract. Each call is checked against kernels.inc before its kernel sees it, so
// that no call, however wrong, can harm the process. Calls can be recorded, and replayed at once.

#include <node_api.h>

#include <memory>
#include <new>
#include <string>

#include "door.h"
#include "recording.h"
#ifdef TINYBARD_CUDA
#include "cuda/floor.h"
#else
#include "cpu/floor.h"
#endif

namespace tinybard {
namespace {

// For each kernel: how a call's arguments are checked, sizes first, and how it is then run.
#define in(T, name, length) call.buffer<T>(#name, length, false, false);
#define out(T, name, length) call.buffer<T>(#name, length, true, false);
#define inout(T, name, length) call.buffer<T>(#name, length, true, false);
#define maybeIn(T, name, length) call.buffer<T>(#name, length, false, true);
#define maybeOut(T, name, length) call.buffer<T>(#name, length, true, true);
#define ins(T, name) call.list(#name, false, Type::T);
#define inouts(T, name) call.list(#name, true, Type::T);
#define maybeOuts(T, name) call.list(#name, true, Type::T, Call::Entries::maybeNone);
#define scalars(T, name) call.list(#name, true, Type::T, Call::Entries::scalar);
#define size(name) [[maybe_unused]] const Size name = call.size(#name);
#define integer(name) call.integer(#name);
#define real(name) call.real(#name);
#define flag(name) call.flag(#name);
#define BIND(name, single, half, buffers, sizes)                        \
  void check_##name(Call& call) {                                       \
    call.begin(#name, ON_FLOOR(name, single));                          \
    sizes call.nowBuffers();                                            \
    buffers                                                             \
  }                                                                     \
  void run_##name(const Slot* slots) { invoke(ON_FLOOR(name, single), slots); } \
  void halfRun_##name(const Slot* slots) { invoke(ON_FLOOR(name, half), slots); }
#define KERNEL(name, buffers, sizes) BIND(name, , , buffers, sizes)
#define KERNEL_F(name, buffers, sizes) BIND(name, <f32>, <cuda::bf16>, buffers, sizes)
#define KERNEL_W(name, buffers, sizes) BIND(name, <uint32_t>, <uint16_t>, buffers, sizes)
#include "kernels.inc"

struct Entry {
  const char* name;
  const char* signature; // buffers, then sizes, as kernels.inc writes them
  void (*check)(Call&);
  Run run, halfRun; // with F f32, and bf16
};
#define KERNEL(name, buffers, sizes) \
  {#name, #buffers " " #sizes, check_##name, run_##name, halfRun_##name},
constexpr Entry entries[] = {
#include "kernels.inc"
};
#undef in
#undef out
#undef inout
#undef maybeIn
#undef maybeOut
#undef ins
#undef inouts
#undef maybeOuts
#undef scalars
#undef size
#undef integer
#undef real
#undef flag

/** A kernel: true if it was given doubles to work on, which are not for it. */
napi_value callKernel(napi_env env, napi_callback_info info) {
  size_t count = Call::most;
  napi_value arguments[Call::most], isDouble = nullptr;
  void* data;
  napi_get_cb_info(env, info, &count, arguments, nullptr, &data);
  const Entry& entry = *static_cast<const Entry*>(data);
  Call call(env, arguments, count);
  entry.check(call);
  if (call.throwIfWrong()) return nullptr;
  if (call.hasDoubles) {
    napi_get_boolean(env, true, &isDouble);
    return isDouble;
  }
  const Run run = call.isHalf ? entry.halfRun : entry.run;
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
  for (const Entry& entry : entries) {
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
