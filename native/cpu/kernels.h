// The declarations of all kernels, from kernels.inc, in the namespace of the instruction set that
// is being compiled for.
#pragma once

#include "../call.h"
#include "parallel.h"

namespace tinybard::SIMD {

using F = f32;
using W = word;

#define KERNEL(name, buffers, sizes) void name(buffers sizes End);
#include "../declare.inc"

} // namespace tinybard::SIMD
