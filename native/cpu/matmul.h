// Matrix multiplication (GEMM) for the other kernels of the CPU backend: the matmul and linear
// kernels describe their products as a Gemm and call gemm().
#pragma once

#include "../activation.h"
#include "format.h"
#include "rows.h"

namespace tinybard::SIMD {

constexpr int64_t K_BLOCK = 384;                 // of k per tile: 48 KB of a panel with 16 lanes
constexpr int64_t LONG_K = SUM_LENGTH * K_BLOCK; // of k whose blocks are added in f32
constexpr int64_t GEMV_BLOCK = 4 * SUM_BLOCK;    // of k of a dot product, in up to four sums

/** c = f(init + a b), with f the activation. */
struct Gemm {
  Matrix a; // [M, K]
  Matrix b; // [K, N]
  float* c; // [M, N]
  int64_t M;
  int64_t N;
  int64_t K;
  Init init = Init::zero;
  const float* bias = nullptr; // [N], added to each row if init is Init::bias
  float* h = nullptr; // [M, N]: receives the input of f, unless null
  Activation activation = Activation::none;
  Format format; // of a and b while they are multiplied
};

/** Runs a Gemm on all threads. */
void gemm(const Gemm& g);

} // namespace tinybard::SIMD
