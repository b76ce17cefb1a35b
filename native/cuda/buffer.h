// Device memory as JavaScript holds it: an opaque object, freed explicitly or by the garbage
// collector, and the functions that allocate, free, write and read it.
#pragma once

#include <node_api.h>

namespace tinybard {

/** allocate(dtype, length), free(buffer), write(buffer, typed array), read(buffer) */
napi_value allocateBuffer(napi_env env, napi_callback_info info);
napi_value freeBuffer(napi_env env, napi_callback_info info);
napi_value writeBuffer(napi_env env, napi_callback_info info);
napi_value readBuffer(napi_env env, napi_callback_info info);

/** The number of buffers allocated and of buffers read since the process started. */
extern int64_t allocationCount;
extern int64_t readCount;

/** Throws the first device error or index out of range since the last call; true if it threw. */
bool throwDeviceError(napi_env env);

} // namespace tinybard
