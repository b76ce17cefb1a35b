// What is special about the addon on the floor cpu: its kernels are in a table, its threads can be
// counted.
#pragma once

#include <atomic>

#include "../recording.h"
#include "table.h"

#define FLOOR "cpu"
#define ON_FLOOR(name, floats) table.load()->name

namespace tinybard {

extern std::atomic<const Table*> table; // of the first environment that asked

/** Makes the floor ready, and gives `cpu` its own functions; false after throwing. */
bool enter(napi_env env, napi_value cpu);

} // namespace tinybard
