// What is special about the addon on the floor cuda: its kernels are templates over the floats that
// they work on, and it gives out memory of the device.
#pragma once

#include "../recording.h"

#define FLOOR "cuda"

namespace tinybard {

/** Returns the kernel at an index of kernels.def, for f32 or for bf16. */
const Kernel& kernelAt(size_t index, bool isBf16);

/** Makes the floor ready, and gives `cuda` its own functions; false after throwing. */
bool enter(napi_env env, napi_value cuda);

} // namespace tinybard
