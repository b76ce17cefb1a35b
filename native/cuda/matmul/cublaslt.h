// cuBLASLt, NVIDIA's GEMM library, if it is found at run time: it is faster than our own kernels on
// large products. The environment variable TINYBARD_MATMUL selects the implementation:
//   own      our own kernels only
//   cublas   cuBLASLt for everything that it has a function for; an error if it is not available
//   (unset)  cuBLASLt for the products that it is faster at
#pragma once

#include <string>

#include "../matmul.h"

namespace tinybard::cuda {

/**
 * Runs the product on cuBLASLt and returns true, or returns false if it is to run on our own
 * kernels (or if an error was set). The first call opens the library and allocates its workspace,
 * so it must not happen during graph capture.
 */
template <class F, class C>
bool gemmCublasLt(const Gemm<F, C>& problem);

/** Returns one line: "cuBLASLt 13.1.1 (libcublasLt.so.13)", or the reason why it is not used. */
const char* cublasLtStatus();

/**
 * Times all algorithms that the library proposes for each product that has run so far, and uses the
 * fastest from then on.
 */
void tuneCublasLt();

/** Returns the algorithms in use as text, valid for the same device, driver and library version. */
std::string cublasLtTable();
/** Loads such a text. Products that have already run keep their algorithms. */
void setCublasLtTable(const char* text);

} // namespace tinybard::cuda
