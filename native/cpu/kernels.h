// The declarations of all kernels, in the namespace of the instruction set that is being compiled.
#pragma once

#include "../kernel.h"
#include "parallel.h"

#include "../parameters.h"

namespace tinybard::SIMD {

using F = f32;
using W = word;

#define KERNEL(name, buffers, numbers) void name(buffers numbers);
#include "../kernels.def"

} // namespace tinybard::SIMD
