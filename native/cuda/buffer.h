// Device memory as JavaScript holds it: objects with a length, which only this addon can read.
#pragma once

#include <napi.h>

namespace tinybard {

/** allocate(dtype, length): returns a buffer, or null if there is not enough memory. */
Napi::Value allocateBuffer(const Napi::CallbackInfo& info);
/** free(buffer): frees the memory now, unless a captured graph still uses it. */
void freeBuffer(const Napi::CallbackInfo& info);
/** sweep(isFinalizedOnly): returns the memory of buffers that have been garbage-collected, as new
 *  buffers; if isFinalizedOnly, that of buffers whose finalizers have run. */
Napi::Value sweepBuffers(const Napi::CallbackInfo& info);
/** collectGarbage(): makes V8 collect garbage now. */
void collectGarbage(const Napi::CallbackInfo& info);
/** write(buffer, values): copies a typed array of the same length to the device. */
void writeBuffer(const Napi::CallbackInfo& info);
/** read(buffer): returns a Float32Array or an Int32Array after all kernels are done. */
Napi::Value readBuffer(const Napi::CallbackInfo& info);

/** Keeps the memory of collected buffers for sweepBuffers(), until the environment ends. */
void openMemory(Napi::Env env);

/** The numbers of allocations and reads since the start. */
extern int64_t allocationCount, readCount;

/** Throws the first error on the device since the last time: a failure or an index out of range. */
void throwDeviceError(Napi::Env env);

} // namespace tinybard
