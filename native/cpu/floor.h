// What is special about the addon on the floor cpu: its kernels are in a table, its threads can be
// counted.
#pragma once

#include <atomic>

#include "../recording.h"
#include "table.h"

#define FLOOR "cpu"

namespace tinybard {

extern std::atomic<const Table*> table; // chosen when the addon is first loaded

/** Returns the kernel at an index of kernels.def. */
inline const Kernel& kernelAt(size_t index, bool) { return table.load()->kernels[index]; }

/** Makes the floor ready, and gives `cpu` its own functions; false after throwing. */
bool enter(napi_env env, napi_value cpu);

} // namespace tinybard
