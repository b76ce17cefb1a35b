// The addon's own functions on the floor cpu, and how recorded calls are played there: one by one.

#include "floor.h"

#include <cstdlib>
#include <string>

#include "../door.h"
#include "parallel.h"

namespace tinybard {

std::atomic<const Table*> table{nullptr};

namespace {

std::atomic<int> environments{0};

class OneByOne : public Player {
  bool play(napi_env env, const std::vector<Step>& steps) override {
    for (const Step& step : steps)
      if (!runKernel(env, step.run, step.slots.data())) return false;
    return true;
  }
};

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

/** alone(): from now on the calling JavaScript thread leaves the pool to others. */
napi_value alone(napi_env, napi_callback_info) {
  workAlone();
  return nullptr;
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

} // namespace

std::unique_ptr<Player> Player::make() { return std::make_unique<OneByOne>(); }

bool enter(napi_env env, napi_value cpu) {
  const char *forced = std::getenv("TINYBARD_SIMD"), *reason = "";
  if (!table) table = chooseTable(forced, &reason);
  if (!table) {
    const std::string message = std::string("TINYBARD_SIMD is ") + forced + ": " + reason;
    napi_throw_error(env, nullptr, message.c_str());
    return false;
  }
  environments++;
  napi_add_env_cleanup_hook(env, leave, env); // a hook must differ from all others of a thread
  napi_set_named_property(env, cpu, "simd", text(env, table.load()->simd));
  setFunction<threads>(env, cpu, "threads");
  setFunction<alone>(env, cpu, "alone");
  setFunction<alignment>(env, cpu, "alignment");
  return true;
}

} // namespace tinybard
