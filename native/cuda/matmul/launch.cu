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
bool multiplyInTwo(const Product<F, C>& p) {
  const auto sticksOut = [](int64_t n) { return n >= 1024 ? n % Pack<F>::size : 0; };
  const bool isPlain = !p.bias && p.activation == Activation::none && !p.rowSums;
  if (p.batch != 1 || !canVectorize<F>(p.lda | p.ldb | p.ldc, p.a, p.b, p.c)) return false;
  Product<F, C> most = p, rest = p;
  const auto moveResult = [&](int64_t by) {
    rest.c += by;
    if (p.h) rest.h += by;
    if (p.slopesOf) rest.slopesOf += by;
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
  multiply(rest);
  multiply(most);
  return true;
}

} // namespace

void setTf32(bool on) { tf32 = on; }
bool usesTf32() { return tf32; }

template <class F, class C>
void multiply(const Product<F, C>& p) {
  if (p.M == 0 || p.batch == 0 || (p.N == 0 && !p.rowSums)) return;
  if (multiplyInTwo(p) || multiplyByBlas(p) || refusal.isSet) return;
  if (p.rowSums && p.N > 0) { // the library may be able to give the product, but not the sums
    Product<F, C> plain = p, sums = p;
    plain.rowSums = nullptr;
    sums.N = 0;
    if (multiplyByBlas(plain)) return multiply(sums);
  }
  const Task<F, C> task(p);
  if (p.M <= FEW_ROWS && !p.transA && p.transB && !p.rowSums) return multiplyFewRows(task);
  if constexpr (sizeof(F) == 4) {
    if (!tf32) return multiplyPlainly(task);
  }
  multiplyByTensorCores(task);
}

template void multiply(const Product<f32, f32>&);
template void multiply(const Product<bf16, bf16>&);
template void multiply(const Product<bf16, f32>&);

template <class F>
void matmul(const F* a, const F* b, F* c, int64_t batch, int64_t M, int64_t N, int64_t K,
            int64_t aStep, int64_t bStep, bool transA, bool transB, bool accumulate, End) {
  Product<F> p{a, b, c, M, N, K, transA ? M : K, transB ? K : N, N};
  p.transA = transA;
  p.transB = transB;
  p.accumulate = accumulate;
  p.batch = batch;
  p.aStep = aStep;
  p.bStep = bStep;
  p.cStep = M * N;
  multiply(p);
}

template <class F>
void linear(const F* x, const F* w, const F* b, F* h, F* y, int64_t M, int64_t N, int64_t K,
            int64_t activation, End) {
  if (activation < 0 || activation > 3)
    return refuse("linear: activation is %lld, expected 0 to 3", (long long)activation);
  Product<F> p{x, w, y, M, N, K, K, K, N};
  p.transB = true;
  p.bias = b;
  p.h = h;
  p.activation = (Activation)activation;
  multiply(p);
}

template <class F>
void linearBackward(const F* x, const F* w, const F* h, const F* dy, F* dx, f32* dw, f32* db,
                    int64_t M, int64_t N, int64_t K, int64_t activation, End) {
  if (activation < 0 || activation > 3)
    return refuse("linearBackward: activation is %lld, expected 0 to 3", (long long)activation);
  if (dx) {
    Product<F> p{dy, w, dx, M, K, N, N, K, K};
    if (activation > 0) p.slopesOf = h;
    if (p.slopesOf) p.activation = (Activation)activation;
    multiply(p);
  }
  if (!dw && !db) return;
  Product<F, f32> p{dy, x, dw, N, dw ? K : 0, M, N, K, K};
  p.transA = true;
  p.rowSums = db;
  multiply(p);
}

FOR_FLOATS(matmul)
FOR_FLOATS(linear)
FOR_FLOATS(linearBackward)

} // namespace tinybard::cuda
