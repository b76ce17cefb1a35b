// Memory of the device as JavaScript holds it: an object of ours, which the collector may end, and
// the functions that make it, fill it and read it.
#pragma once

#include <node_api.h>

namespace tinybard {

/** allocate(dtype, length), free(buffer), write(buffer, typed array), read(buffer) */
napi_value allocateBuffer(napi_env env, napi_callback_info info);
napi_value freeBuffer(napi_env env, napi_callback_info info);
napi_value writeBuffer(napi_env env, napi_callback_info info);
napi_value readBuffer(napi_env env, napi_callback_info info);

/** How many buffers were allocated, and how many read, since the start. */
extern int64_t allocationCount, readCount;

/** Throws what went wrong on the device since the last time, an index out of range too. */
bool throwDeviceError(napi_env env);

} // namespace tinybard
