// Matrix multiplication (GEMM) for the launchers of the CUDA backend: the matmul and linear kernels
// and the fused linear cross-entropy describe their products as a Gemm and call gemm().
#pragma once

#include "../activation.h"
#include "device.cuh"

namespace tinybard::cuda {

/**
 * A batched matrix multiplication with an epilogue. For each matrix of the batch, one of
 *
 *   c = f(op(a) op(b) + bias)                  forward; f is the activation
 *   c = (op(a) op(b)) * f'(preActivation)      backward of the activation, elementwise; relu2'
 *                                              is a function of the activation
 *   c += op(a) op(b)                           if `accumulate` is set
 *
 * op(a) is [M, K], op(b) is [K, N], c is [M, N]. Matrices are row-major; consecutive rows are lda,
 * ldb or ldc elements apart, consecutive matrices of the batch strideA, strideB or strideC. F is
 * the type of the inputs, C that of the result: F or f32. Sums are f32.
 */
template <class F, class C = F>
struct Gemm {
  const F *a, *b;
  C* c;
  int64_t M, N, K;
  int64_t lda, ldb, ldc; // of the stored matrices, before op()
  bool transA = false;   // a is stored as [K, M]
  bool transB = false;   // b is stored as [N, K]
  bool accumulate = false;
  int64_t batch = 1;
  int64_t strideA = 0;
  int64_t strideB = 0;
  int64_t strideC = 0;
  const F* bias = nullptr; // [N], added to each row, or null
  F* h = nullptr; // [M, N], laid out as c: receives the input of f, unless null
  const F* preActivation = nullptr; // [M, N], laid out as c: the argument of f', or null
  Activation activation = Activation::none;
  f32* rowSums = nullptr; // [M]: receives the row sums of op(a), unless null; needs batch = 1
};

/**
 * Runs a Gemm on cuBLASLt or on our own kernels, depending on TINYBARD_MATMUL and on the shape. For
 * equal shapes and alignment the choice is the same, so equal inputs give equal bits. If N is 0,
 * rowSums are still computed.
 */
template <class F, class C>
void gemm(const Gemm<F, C>& problem);

/** Turns on TF32: f32 inputs are rounded to 10 mantissa bits for the tensor cores. Default: off. */
void setTf32(bool on);
bool usesTf32();

} // namespace tinybard::cuda
