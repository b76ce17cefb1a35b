// cuBLASLt, NVIDIA's library of matrix products, where it is found when the program runs: faster
// than our own kernels where products are large. The environment's TINYBARD_MATMUL says who
// multiplies: `own`; `cublas`, which refuses where there is no library, and leaves to our own
// kernels only what it has no function for; or, not being set, the library what it is good at.
#pragma once

#include <string>

#include "../matmul.h"

namespace tinybard::cuda {

/**
 * Whether cuBLASLt has taken the product; if not, and nothing was refused, our own kernels are to
 * compute it. The first call looks for the library and takes the memory that it works in: it must
 * not come while a graph is captured.
 */
template <class F, class C>
bool gemmCublasLt(const Gemm<F, C>& product);

/** In one line what was found: "cuBLASLt 13.1.1 (libcublasLt.so.13)", or why there is none. */
const char* cublasLtStatus();

/**
 * Times all algorithms that the library proposes for each product that it has computed, and uses
 * the fastest from then on.
 */
void tuneCublasLt();

/** The algorithms in use as text, for another run of the same device, driver and library. */
std::string cublasLtTable();
/** Reads such a text; products that have run already keep their algorithms. */
void setCublasLtTable(const char* text);

} // namespace tinybard::cuda
