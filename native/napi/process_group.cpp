// The exports of a process group: collective calls on the bytes of typed arrays. Summing buffers is
// a kernel, allReduce.

#include "process_group.h"

#include <cmath>
#include <cstdint>

#include "../watchdog.h"

namespace tinybard::group {
namespace {

/** The bytes of a Uint8Array. */
struct Bytes {
  uint8_t* data;
  size_t count;
};

Bytes getBytes(const Napi::CallbackInfo& info, size_t index, const char* what) {
  const Napi::Value value = info[index];
  if (!value.IsTypedArray() ||
      value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw Napi::TypeError::New(info.Env(), std::string(what) + " is not a Uint8Array");
  auto array = value.As<Napi::Uint8Array>(); // Data() is not const
  return {array.Data(), array.ElementLength()};
}

/** Returns an integer argument; throws unless it is from `min` to `max`. */
int getInteger(const Napi::CallbackInfo& info, size_t index, const char* what, int min, int max) {
  const double x = info[index].IsNumber() ? info[index].As<Napi::Number>().DoubleValue() : NAN;
  if (x >= min && x <= max && x == (int)x) return (int)x;
  throw Napi::RangeError::New(info.Env(), std::string(what) + " is not an integer from " +
                                              std::to_string(min) + " to " + std::to_string(max));
}

/** watch(seconds, message): from now on, a call that waits longer prints and ends the process. */
void watch(const Napi::CallbackInfo& info) {
  const double seconds = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  if (!(seconds > 0) || !info[1].IsString())
    throw Napi::TypeError::New(info.Env(), "watch: expected seconds above 0 and a message");
  watchdog::start(seconds, info[1].As<Napi::String>().Utf8Value());
}

/** broadcast(bytes, root): overwrites the bytes of all ranks with those of `root`. */
void broadcastBytes(const Napi::CallbackInfo& info) {
  const Bytes bytes = getBytes(info, 0, "broadcast: bytes");
  const int root = getInteger(info, 1, "broadcast: root", 0, size() - 1);
  check(info.Env(), broadcast(bytes.data, bytes.count, root));
}

/** allGather(own, all): all = the bytes of each rank, by rank. */
void gatherBytes(const Napi::CallbackInfo& info) {
  const Bytes own = getBytes(info, 0, "allGather: own");
  const Bytes all = getBytes(info, 1, "allGather: all");
  if (own.count > INT32_MAX || all.count != own.count * (size_t)size())
    throw Napi::RangeError::New(info.Env(), "allGather: all has " + std::to_string(all.count) +
                                                " bytes, expected " +
                                                std::to_string(own.count * (size_t)size()));
  check(info.Env(), allGather(own.data, all.data, own.count));
}

/** abort(exitCode): ends all ranks. */
void abortRanks(const Napi::CallbackInfo& info) {
  abort(getInteger(info, 0, "abort: exitCode", 0, 255));
}

/** leave(): the last call of each rank. */
void leaveGroup(const Napi::CallbackInfo& info) {
  check(info.Env(), leave());
  watchdog::stop();
}

} // namespace

void check(Napi::Env env, const std::string& error) {
  if (!error.empty()) throw Napi::Error::New(env, error);
}

Napi::Object makeExports(Napi::Env env) {
  const Napi::Object exports = Napi::Object::New(env);
  exports.Set("watch", Napi::Function::New<watch>(env, "watch"));
  exports.Set("broadcast", Napi::Function::New<broadcastBytes>(env, "broadcast"));
  exports.Set("allGather", Napi::Function::New<gatherBytes>(env, "allGather"));
  exports.Set("abort", Napi::Function::New<abortRanks>(env, "abort"));
  exports.Set("leave", Napi::Function::New<leaveGroup>(env, "leave"));
  return exports;
}

} // namespace tinybard::group
