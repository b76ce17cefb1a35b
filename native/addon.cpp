// The door to JavaScript: exports { cpu }, whose kernels take typed arrays and numbers in the order
// of the contract. Each call is checked against kernels.inc before its kernel sees it, so that no
// call, however wrong, can harm the process. Calls can be recorded, and replayed in one call.

#include <node_api.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <new>
#include <string>

#include "cpu/parallel.h"
#include "cpu/table.h"
#include "recording.h"

namespace tinybard {
namespace {

std::atomic<const Table*> table{nullptr}; // of the first environment that asked
std::atomic<int> environments{0};

// For each kernel: how a call's arguments are checked, sizes first, and how it is then run.
#define in(T, name, length) call.buffer<T>(#name, length, false, false);
#define out(T, name, length) call.buffer<T>(#name, length, true, false);
#define inout(T, name, length) call.buffer<T>(#name, length, true, false);
#define maybeIn(T, name, length) call.buffer<T>(#name, length, false, true);
#define maybeOut(T, name, length) call.buffer<T>(#name, length, true, true);
#define ins(T, name) call.list(#name, false, false);
#define inouts(T, name) call.list(#name, true, false);
#define scalars(T, name) call.list(#name, true, true);
#define size(name) [[maybe_unused]] const Size name = call.size(#name);
#define integer(name) call.integer(#name);
#define real(name) call.real(#name);
#define flag(name) call.flag(#name);
#define KERNEL(name, buffers, sizes)                                                   \
  void check_##name(Call& call) {                                                      \
    call.begin(#name, table.load()->name);                                             \
    sizes call.nowBuffers();                                                           \
    buffers                                                                            \
  }                                                                                    \
  void run_##name(const Slot* slots) { invoke(table.load()->name, slots); }
#include "kernels.inc"
#undef KERNEL

struct Entry {
  const char* name;
  const char* signature; // buffers, then sizes, as kernels.inc writes them
  void (*check)(Call&);
  Run run;
};
#define KERNEL(name, buffers, sizes) {#name, #buffers " " #sizes, check_##name, run_##name},
constexpr Entry entries[] = {
#include "kernels.inc"
};
#undef KERNEL
#undef in
#undef out
#undef inout
#undef maybeIn
#undef maybeOut
#undef ins
#undef inouts
#undef scalars
#undef size
#undef integer
#undef real
#undef flag

/** A function as JavaScript calls it: no C++ exception may leave it. */
template <napi_value (*f)(napi_env, napi_callback_info)>
napi_value guarded(napi_env env, napi_callback_info info) {
  try {
    return f(env, info);
  } catch (const std::bad_alloc&) {
    napi_throw_range_error(env, nullptr, "out of memory: the addon has no room to work");
    return nullptr;
  }
}

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
  } else if (runKernel(env, entry.run, call.slots)) {
    const auto& recording = State::of(env).recording;
    if (recording) recording->add(env, entry.run, call);
  }
  return isDouble;
}

/** Begins a recording; one that is being made is given up. */
napi_value startRecording(napi_env env, napi_callback_info) {
  State::of(env).recording = std::make_unique<Recording>(env);
  return nullptr;
}

/** Gives what was recorded since startRecording(); undefined if nothing was started. */
napi_value stopRecording(napi_env env, napi_callback_info) {
  std::unique_ptr<Recording> recording = std::move(State::of(env).recording);
  napi_value result = nullptr;
  if (!recording) return nullptr;
  const auto end = [](napi_env, void* data, void*) { delete static_cast<Recording*>(data); };
  if (napi_create_external(env, recording.get(), end, nullptr, &result) != napi_ok) return nullptr;
  recording.release(); // it is JavaScript's now
  napi_type_tag_object(env, result, &Recording::tag);
  return result;
}

/** The first argument, undefined if there is none; and how many there are. */
napi_value argumentOf(napi_env env, napi_callback_info info, size_t* count) {
  *count = 1;
  napi_value argument;
  napi_get_cb_info(env, info, count, &argument, nullptr, nullptr);
  return argument;
}

napi_value replay(napi_env env, napi_callback_info info) {
  size_t count;
  const napi_value argument = argumentOf(env, info, &count);
  napi_valuetype type;
  bool isOurs = false;
  napi_typeof(env, argument, &type);
  if (type == napi_external) napi_check_object_type_tag(env, argument, &Recording::tag, &isOurs);
  if (!isOurs) {
    napi_throw_type_error(env, nullptr, "replay: no recording was given");
  } else if (State::of(env).recording) {
    napi_throw_error(env, nullptr, "replay: a replay cannot be recorded");
  } else {
    void* recording;
    napi_get_value_external(env, argument, &recording);
    static_cast<Recording*>(recording)->replay(env);
  }
  return nullptr;
}

/** threads(n?): sets how many threads work, if n is given; gives how many do. */
napi_value threads(napi_env env, napi_callback_info info) {
  size_t count;
  const napi_value argument = argumentOf(env, info, &count);
  double wanted = 0;
  if (count > 0) {
    napi_get_value_double(env, argument, &wanted);
    if (!(wanted >= 1 && wanted <= 256 && wanted == (int)wanted)) {
      napi_throw_range_error(env, nullptr, "threads: expected a whole number from 1 to 256");
      return nullptr;
    }
    setThreadCount((int)wanted);
  }
  napi_value result;
  napi_create_int32(env, threadCount(), &result);
  return result;
}

/** alignment(buffer): the offset of the first byte of an ArrayBuffer on a cache line of its own. */
napi_value alignment(napi_env env, napi_callback_info info) {
  size_t count, bytes;
  const napi_value argument = argumentOf(env, info, &count);
  napi_value result;
  void* data;
  if (napi_get_arraybuffer_info(env, argument, &data, &bytes) != napi_ok) {
    napi_throw_type_error(env, nullptr, "alignment: expected an ArrayBuffer");
    return nullptr;
  }
  napi_create_uint32(env, (uint32_t)(-(uintptr_t)data % 64), &result);
  return result;
}

void leave(void*) {
  if (--environments == 0) stopThreads(); // the code that they run may be unloaded now
}

napi_value text(napi_env env, const char* s) {
  napi_value result;
  napi_create_string_utf8(env, s, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value object(napi_env env) {
  napi_value result;
  napi_create_object(env, &result);
  return result;
}

template <napi_value (*f)(napi_env, napi_callback_info)>
void setFunction(napi_env env, napi_value on, const char* name, const void* data = nullptr) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, guarded<f>, const_cast<void*>(data), &function);
  napi_set_named_property(env, on, name, function);
}

napi_value init(napi_env env, napi_value exports) {
  const char *forced = std::getenv("TINYBARD_SIMD"), *reason = "";
  if (!table) table = chooseTable(forced, &reason);
  if (!table) {
    const std::string message = std::string("TINYBARD_SIMD is ") + forced + ": " + reason;
    napi_throw_error(env, nullptr, message.c_str());
    return nullptr;
  }
  environments++;
  napi_add_env_cleanup_hook(env, leave, env); // a hook must differ from all others of a thread
  State::attach(env);
  const napi_value cpu = object(env), functions = object(env), signatures = object(env);
  for (const Entry& entry : entries) {
    setFunction<callKernel>(env, functions, entry.name, &entry);
    napi_set_named_property(env, signatures, entry.name, text(env, entry.signature));
  }
  napi_set_named_property(env, cpu, "kernels", functions);
  napi_set_named_property(env, cpu, "signatures", signatures);
  napi_set_named_property(env, cpu, "simd", text(env, table.load()->simd));
  setFunction<threads>(env, cpu, "threads");
  setFunction<alignment>(env, cpu, "alignment");
  setFunction<startRecording>(env, cpu, "startRecording");
  setFunction<stopRecording>(env, cpu, "stopRecording");
  setFunction<replay>(env, cpu, "replay");
  napi_set_named_property(env, exports, "cpu", cpu);
  return exports;
}

} // namespace
} // namespace tinybard

NAPI_MODULE(NODE_GYP_MODULE_NAME, tinybard::init)
