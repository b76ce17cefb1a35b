// What is special about the addon on the floor cuda: its kernels are templates over the floats that
// they work on, and it gives out memory of the device.
#pragma once

#include "../recording.h"
#include "kernels.h"

#define FLOOR "cuda"
#define ON_FLOOR(name, floats) cuda::name floats

namespace tinybard {

/** Makes the floor ready, and gives `cuda` its own functions; false after throwing. */
bool enter(napi_env env, napi_value cuda);

} // namespace tinybard
