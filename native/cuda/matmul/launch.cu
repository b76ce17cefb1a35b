// The kernels matmul, linear and linearBackward, and the choice of an implementation for each Gemm.

#include "../kernels.h"
#include "cublaslt.h"
#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

bool tf32 = false;

/**
 * Splits a product with one unaligned long dimension into an aligned product and a narrow
 * remainder, and runs both. Rows that end within 16 bytes rule out the fastest kernels of cuBLASLt,
 * and GPT-2's vocabulary is 50257. Returns false, having done nothing, if a split would not help.
 */
template <class F, class C>
bool gemmSplitAligned(const Gemm<F, C>& p) {
  const auto remainder = [](int64_t n) { return n >= 1024 ? n % Pack<F>::size : 0; };
  const bool hasEpilogue = p.bias || p.activation != Activation::none || p.rowSums;
  if (p.batch != 1 || !canVectorize<F>(p.lda | p.ldb | p.ldc, p.a, p.b, p.c)) return false;
  Gemm<F, C> aligned = p;
  Gemm<F, C> rest = p;
  const auto advanceResult = [&](int64_t offset) {
    rest.c += offset;
    if (p.h) rest.h += offset;
    if (p.preActivation) rest.preActivation += offset;
  };
  if (const int64_t n = remainder(p.N)) {
    aligned.N = p.N - n;
    rest.N = n;
    rest.b += p.transB ? aligned.N * p.ldb : aligned.N;
    if (p.bias) rest.bias += aligned.N;
    rest.rowSums = nullptr;
    advanceResult(aligned.N);
  } else if (const int64_t m = p.transA ? remainder(p.M) : 0) {
    aligned.M = p.M - m;
    rest.M = m;
    rest.a += aligned.M;
    if (p.rowSums) rest.rowSums += aligned.M;
    advanceResult(aligned.M * p.ldc);
  } else if (const int64_t k = !hasEpilogue && (!p.transA || p.transB) ? remainder(p.K) : 0) {
    aligned.K = p.K - k;
    aligned.accumulate = true; // onto the remainder, which is small: little extra rounding
    rest.K = k;
    rest.a += p.transA ? aligned.K * p.lda : aligned.K;
    rest.b += p.transB ? aligned.K : aligned.K * p.ldb;
  } else {
    return false;
  }
  gemm(rest);
  gemm(aligned);
  return true;
}

} // namespace

void setTf32(bool on) { tf32 = on && hasBf16(); }
bool usesTf32() { return tf32; }

template <class F, class C>
void gemm(const Gemm<F, C>& p) {
  if (p.M == 0 || p.batch == 0 || (p.N == 0 && !p.rowSums)) return;
  if (gemmSplitAligned(p) || gemmCublasLt(p) || pendingError.isSet) return;
  if (p.rowSums && p.N > 0) { // cuBLASLt may support the product without the row sums
    Gemm<F, C> product = p;
    product.rowSums = nullptr;
    Gemm<F, C> rowSums = p;
    rowSums.N = 0;
    if (gemmCublasLt(product)) return gemm(rowSums);
  }
  const TiledGemm<F, C> tiled(p);
  if (p.M <= GEMV_MAX_ROWS && !p.transA && p.transB && !p.rowSums) return gemv(tiled);
  if constexpr (sizeof(F) == 4) {
    if (!tf32) return gemmSimt(tiled);
  }
  gemmTensorCore(tiled);
}

template void gemm(const Gemm<f32, f32>&);
template void gemm(const Gemm<bf16, bf16>&);
template void gemm(const Gemm<bf16, f32>&);

/** c = op(a) op(b), or c += op(a) op(b), for each of `batch` matrices; c [batch, M, N]. */
template <class F>
void matmul(const F* a, const F* b, F* c, int64_t batch, int64_t M, int64_t N, int64_t K,
            int64_t strideA, int64_t strideB, bool transA, bool transB, bool accumulate) {
  Gemm<F> p{};
  p.a = a;
  p.b = b;
  p.c = c;
  p.M = M;
  p.N = N;
  p.K = K;
  p.lda = transA ? M : K;
  p.ldb = transB ? K : N;
  p.ldc = N;
  p.transA = transA;
  p.transB = transB;
  p.accumulate = accumulate;
  p.batch = batch;
  p.strideA = strideA;
  p.strideB = strideB;
  p.strideC = M * N;
  gemm(p);
}

/** y = f(x w^T + b), h = x w^T + b; x [M, K], w [N, K], b [N], y and h [M, N]. */
template <class F>
void linear(const F* x, const F* w, const F* b, F* h, F* y, int64_t M, int64_t N, int64_t K,
            int64_t activation) {
  if (!checkActivation("linear", activation)) return;
  Gemm<F> p{};
  p.a = x;
  p.b = w;
  p.c = y;
  p.M = M;
  p.N = N;
  p.K = K;
  p.lda = K;
  p.ldb = K;
  p.ldc = N;
  p.transB = true;
  p.bias = b;
  p.h = h;
  p.activation = (Activation)activation;
  gemm(p);
}

/**
 * dx = dy w, dw = dy^T x, db = the column sums of dy; gradients whose buffers are null are skipped.
 * If x is the activation f(h) of the previous layer, dx = (dy w) * f'(h), the gradient of h; for
 * relu the buffer h may hold x, for relu2 it must. x, h, dx [M, K], w and dw [N, K], dy [M, N],
 * db [N].
 */
template <class F>
void linearBackward(const F* x, const F* w, const F* h, const F* dy, F* dx, f32* dw, f32* db,
                    int64_t M, int64_t N, int64_t K, int64_t activation) {
  if (!checkActivation("linearBackward", activation)) return;
  if (dx) {
    Gemm<F> p{};
    p.a = dy;
    p.b = w;
    p.c = dx;
    p.M = M;
    p.N = K;
    p.K = N;
    p.lda = N;
    p.ldb = K;
    p.ldc = K;
    if (activation > 0 && h) {
      p.preActivation = h;
      p.activation = (Activation)activation;
    }
    gemm(p);
  }
  if (!dw && !db) return;
  Gemm<F, f32> p{};
  p.a = dy;
  p.b = x;
  p.c = dw;
  p.M = N;
  p.N = dw ? K : 0;
  p.K = M;
  p.lda = N;
  p.ldb = K;
  p.ldc = K;
  p.transA = true;
  p.rowSums = db;
  gemm(p);
}

FOR_FLOATS(matmul)
FOR_FLOATS(linear)
FOR_FLOATS(linearBackward)

} // namespace tinybard::cuda
