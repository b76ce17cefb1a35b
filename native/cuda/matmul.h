// Matrix products as launchers ask for them: what the kernels of the family matmul, and the fused
// classifier, are made of.
#pragma once

#include "device.cuh"

namespace tinybard::cuda {

enum class Activation { none, relu, gelu, geluTanh }; // by the contract's numbers

/**
 * For each i of a batch: c = f(op(a) op(b) + bias), or c = (op(a) op(b)) f'(preActivation), or
 * c += op(a) op(b). Matrices are stored by rows, `lda` elements from one row to the next. They are
 * of F; the result is of C: F, or f32.
 */
template <class F, class C = F>
struct Gemm {
  const F *a, *b;
  C* c;
  int64_t M, N, K;        // op(a) [M, K], op(b) [K, N], c [M, N]
  int64_t lda, ldb, ldc;  // of the stored matrices
  bool transA = false;    // a is stored as [K, M]
  bool transB = false;    // b is stored as [N, K]
  bool accumulate = false;
  int64_t batch = 1, strideA = 0, strideB = 0, strideC = 0;
  const F* bias = nullptr;  // [N], added to each row
  F* h = nullptr;           // [M, N], as c lies: what f is applied to, if it is wanted
  const F* preActivation = nullptr; // [M, N], as c lies: what f' is written in
  Activation activation = Activation::none;
  f32* rowSums = nullptr;   // [M]: the sums of the rows of op(a), if they are wanted; batch is 1
};

/**
 * By cuBLASLt, or by our own kernels: as TINYBARD_MATMUL says, and as the shape is best served.
 * Equal shapes are computed in the same way, so that equal inputs give equal bits. Where c has no
 * columns, rowSums are still found.
 */
template <class F, class C>
void gemm(const Gemm<F, C>& product);

/** Whether products of f32 round their factors to tf32, for the tensor cores; at first not. */
void setTf32(bool on);
bool usesTf32();

} // namespace tinybard::cuda
