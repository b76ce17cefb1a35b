// The kernel tables: one for f32, one for bf16.

#include "binding.h"
#include "kernels.h"

namespace tinybard {

static constexpr Kernel f32Kernels[] = {
#define KERNEL(name, buffers, numbers) makeKernel<cuda::name>(),
#define KERNEL_F(name, buffers, numbers) makeKernel<cuda::name<f32>>(),
#define KERNEL_W(name, buffers, numbers) makeKernel<cuda::name<uint32_t>>(),
#include "../kernels.def"
};

static constexpr Kernel bf16Kernels[] = {
#define KERNEL(name, buffers, numbers) makeKernel<cuda::name>(),
#define KERNEL_F(name, buffers, numbers) makeKernel<cuda::name<cuda::bf16>>(),
#define KERNEL_W(name, buffers, numbers) makeKernel<cuda::name<uint16_t>>(),
#include "../kernels.def"
};

const Kernel& kernelAt(size_t index, bool isBf16) {
  return isBf16 ? bf16Kernels[index] : f32Kernels[index];
}

} // namespace tinybard
