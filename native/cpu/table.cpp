// The kernel table of the instruction set that is being compiled.

#include "table.h"

#include "kernels.h"

#define STRINGIZE_TOKEN(x) #x
#define STRINGIZE(x) STRINGIZE_TOKEN(x)

namespace tinybard::SIMD {

static constexpr Kernel kernels[] = {
#define KERNEL(name, buffers, numbers) makeKernel<SIMD::name>(),
#include "../kernels.def"
};

extern const Table table = {STRINGIZE(SIMD), kernels};

} // namespace tinybard::SIMD
