// Kernels that exchange values with the processes that train together.

#include "kernels.h"

#if !defined(__wasm__)
#include "mpi.h"
#endif

namespace tinybard::SIMD {

/** x = its sum over all ranks, in their order. A WebAssembly module is always a single process. */
void allReduce([[maybe_unused]] List x) {
#if !defined(__wasm__)
  mpi::allReduce(x);
#endif
}

} // namespace tinybard::SIMD
