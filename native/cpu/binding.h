// The cpu backend as the binding uses it.
#pragma once

#include <napi.h>

#include <atomic>

#include "table.h"

#define BACKEND "cpu"

namespace tinybard {

extern std::atomic<const Table*> table; // chosen when the addon is first loaded

/** Returns the kernel at an index of kernels.def. */
inline const Kernel& kernelAt(size_t index, bool) { return table.load()->kernels[index]; }

/** Adds the functions of this backend to its exports. Throws if it is not available. */
void initializeBackend(Napi::Env env, Napi::Object cpu);

} // namespace tinybard
