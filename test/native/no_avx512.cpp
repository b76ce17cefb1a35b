// Takes the place of the AVX-512 kernels in an addon for processors that cannot run them.

#include "../../native/cpu/table.h"

namespace tinybard {

namespace avx512 {
extern const Table table;
const Table table = {"avx512", nullptr};
} // namespace avx512

namespace avx512_bf16 {
extern const Bf16Kernels bf16;
const Bf16Kernels bf16 = {};
} // namespace avx512_bf16

} // namespace tinybard
