// What functions for JavaScript are made of.
#pragma once

#include <node_api.h>

#include <new>

namespace tinybard {

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

/** The first argument, undefined if there is none; and how many there are. */
inline napi_value argumentOf(napi_env env, napi_callback_info info, size_t* count) {
  *count = 1;
  napi_value argument;
  napi_get_cb_info(env, info, count, &argument, nullptr, nullptr);
  return argument;
}

inline napi_value text(napi_env env, const char* s) {
  napi_value result;
  napi_create_string_utf8(env, s, NAPI_AUTO_LENGTH, &result);
  return result;
}

inline napi_value object(napi_env env) {
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

} // namespace tinybard
