// The declarations of all kernels, from kernels.inc: F is f32 or bf16, W is 4 or 2 bytes.
#pragma once

#include "device.cuh"

namespace tinybard::cuda {

#define KERNEL(name, buffers, sizes) void name(buffers sizes End);
#define KERNEL_F(name, buffers, sizes) template <class F> void name(buffers sizes End);
#define KERNEL_W(name, buffers, sizes) template <class W> void name(buffers sizes End);
#include "../declare.inc"

/** Makes a kernel for each F, or for each W; at the end of its family's page. */
#define FOR_FLOATS(name)               \
  template decltype(name<f32>) name<f32>; \
  template decltype(name<bf16>) name<bf16>;
#define FOR_WORDS(name)                          \
  template decltype(name<uint32_t>) name<uint32_t>; \
  template decltype(name<uint16_t>) name<uint16_t>;

} // namespace tinybard::cuda
