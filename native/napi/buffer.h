// Buffers as JavaScript holds them: typed arrays on cpu, objects of this addon on cuda. Each
// backend implements this function, inspectBuffer() and bufferExtent() in its buffer.cpp.
#pragma once

#include <napi.h>

#include <memory>

#include "../arguments/value.h"

namespace tinybard {

/** Returns a reference that keeps the memory in place even if JavaScript frees it; null where that
 *  is not possible. */
std::shared_ptr<void> retainBuffer(napi_env env, napi_value owner);

} // namespace tinybard
