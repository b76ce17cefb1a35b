// The declarations of all kernels: F is f32 or bf16, W is a type of 4 or 2 bytes.
#pragma once

#include "device.cuh"

#include "../parameters.h"

namespace tinybard::cuda {

#define KERNEL(name, buffers, numbers) void name(buffers numbers);
#define KERNEL_F(name, buffers, numbers) template <class F> void name(buffers numbers);
#define KERNEL_W(name, buffers, numbers) template <class W> void name(buffers numbers);
#include "../kernels.def"

/** Instantiates a kernel for each F or each W; placed at the end of the family's file. */
#define FOR_FLOATS(name)               \
  template decltype(name<f32>) name<f32>; \
  template decltype(name<bf16>) name<bf16>;
#define FOR_WORDS(name)                          \
  template decltype(name<uint32_t>) name<uint32_t>; \
  template decltype(name<uint16_t>) name<uint16_t>;

} // namespace tinybard::cuda
