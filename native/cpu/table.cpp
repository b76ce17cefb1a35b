// The kernels of the instruction set that is being compiled for.

#include "table.h"

#include "kernels.h"

#define NAME_OF(x) #x
#define NAME(x) NAME_OF(x)

namespace tinybard::SIMD {

extern const Table table = {
    NAME(SIMD),
#define KERNEL(name, buffers, sizes) SIMD::name,
#include "../declare.inc"
};

} // namespace tinybard::SIMD
