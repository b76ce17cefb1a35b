// The cuda backend as the binding uses it.
#pragma once

#include <napi.h>

#include "../arguments/slot.h"

#define BACKEND "cuda"

namespace tinybard {

/** Returns the kernel at an index of kernels.def, for f32 or for bf16. */
const Kernel& kernelAt(size_t index, bool isBf16);

/** Adds the functions of this backend to its exports. Throws if it is not available. */
void initializeBackend(Napi::Env env, Napi::Object cuda);

} // namespace tinybard
