// The kernels of the family matmul, and the choice of who multiplies.

#include "../kernels.h"
#include "cublaslt.h"
#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

bool tf32 = false;

/**
 * Matrices whose rows end within a pack of 16 bytes cost a library its fastest kernels, and GPT-2
 * has 50257 tokens. What sticks out of a long extent is a product by itself, if that leaves rows
 * that do not. Gives whether both have been computed.
 */
template <class F, class C>
bool gemmSplitAligned(const Gemm<F, C>& p) {
  const auto sticksOut = [](int64_t n) { return n >= 1024 ? n % Pack<F>::size : 0; };
  const bool isPlain = !p.bias && p.activation == Activation::none && !p.rowSums;
  if (p.batch != 1 || !canVectorize<F>(p.lda | p.ldb | p.ldc, p.a, p.b, p.c)) return false;
  Gemm<F, C> most = p, rest = p;
  const auto moveResult = [&](int64_t by) {
    rest.c += by;
    if (p.h) rest.h += by;
    if (p.preActivation) rest.preActivation += by;
  };
  if (const int64_t n = sticksOut(p.N)) {
    most.N = p.N - n;
    rest.N = n;
    rest.b += p.transB ? most.N * p.ldb : most.N;
    if (p.bias) rest.bias += most.N;
    rest.rowSums = nullptr;
    moveResult(most.N);
  } else if (const int64_t m = p.transA ? sticksOut(p.M) : 0) {
    most.M = p.M - m;
    rest.M = m;
    rest.a += most.M;
    if (p.rowSums) rest.rowSums += most.M;
    moveResult(most.M * p.ldc);
  } else if (const int64_t k = isPlain && (!p.transA || p.transB) ? sticksOut(p.K) : 0) {
    most.K = p.K - k;
    most.accumulate = true; // to the little that the rest gives: so hardly more is rounded
    rest.K = k;
    rest.a += p.transA ? most.K * p.lda : most.K;
    rest.b += p.transB ? most.K : most.K * p.ldb;
  } else {
    return false;
  }
  gemm(rest);
  gemm(most);
  return true;
}

} // namespace

void setTf32(bool on) { tf32 = on; }
bool usesTf32() { return tf32; }

template <class F, class C>
void gemm(const Gemm<F, C>& p) {
  if (p.M == 0 || p.batch == 0 || (p.N == 0 && !p.rowSums)) return;
  if (gemmSplitAligned(p) || gemmCublasLt(p) || pendingError.isSet) return;
  if (p.rowSums && p.N > 0) { // the library may be able to give the product, but not the sums
    Gemm<F, C> plain = p, sums = p;
    plain.rowSums = nullptr;
    sums.N = 0;
    if (gemmCublasLt(plain)) return gemm(sums);
  }
  const TiledGemm<F, C> task(p);
  if (p.M <= GEMV_MAX_ROWS && !p.transA && p.transB && !p.rowSums) return gemv(task);
  if constexpr (sizeof(F) == 4) {
    if (!tf32) return gemmSimt(task);
  }
  gemmTensorCore(task);
}

template void gemm(const Gemm<f32, f32>&);
template void gemm(const Gemm<bf16, bf16>&);
template void gemm(const Gemm<bf16, f32>&);

template <class F>
void matmul(const F* a, const F* b, F* c, int64_t batch, int64_t M, int64_t N, int64_t K,
            int64_t strideA, int64_t strideB, bool transA, bool transB, bool accumulate) {
  Gemm<F> p{a, b, c, M, N, K, transA ? M : K, transB ? K : N, N};
  p.transA = transA;
  p.transB = transB;
  p.accumulate = accumulate;
  p.batch = batch;
  p.strideA = strideA;
  p.strideB = strideB;
  p.strideC = M * N;
  gemm(p);
}

template <class F>
void linear(const F* x, const F* w, const F* b, F* h, F* y, int64_t M, int64_t N, int64_t K,
            int64_t activation) {
  if (activation < 0 || activation > 3)
    return kernelError("linear: activation is %lld, expected 0 to 3", (long long)activation);
  Gemm<F> p{x, w, y, M, N, K, K, K, N};
  p.transB = true;
  p.bias = b;
  p.h = h;
  p.activation = (Activation)activation;
  gemm(p);
}

template <class F>
void linearBackward(const F* x, const F* w, const F* h, const F* dy, F* dx, f32* dw, f32* db,
                    int64_t M, int64_t N, int64_t K, int64_t activation) {
  if (activation < 0 || activation > 3)
    return kernelError("linearBackward: activation is %lld, expected 0 to 3",
                       (long long)activation);
  if (dx) {
    Gemm<F> p{dy, w, dx, M, K, N, N, K, K};
    if (activation > 0) p.preActivation = h;
    if (p.preActivation) p.activation = (Activation)activation;
    gemm(p);
  }
  if (!dw && !db) return;
  Gemm<F, f32> p{dy, x, dw, N, dw ? K : 0, M, N, K, K};
  p.transA = true;
  p.rowSums = db;
  gemm(p);
}

FOR_FLOATS(matmul)
FOR_FLOATS(linear)
FOR_FLOATS(linearBackward)

} // namespace tinybard::cuda
