// Matrix-vector products for text generation: up to 8 rows of a times the transpose of b. The
// arithmetic is negligible; the time is that of reading b once from memory.

#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int GEMV_THREADS = 128;
constexpr int COLUMNS = GEMV_THREADS / WARP; // of c, that a block computes

/**
 * c[m, n] = epilogue(sum_k a[m, k] b[n, k]) for m < M; a [M, K], b [N, K], c [M, N].
 *
 * Each warp computes one column of c from one row of b, which its lanes read in order, 16 bytes per
 * lane, and multiply with all rows of a at once. Grid: batch times ceil(N / COLUMNS) blocks. M_MAX
 * is the number of rows that there are registers for; if M is less, the spare ones repeat row 0.
 */
template <int M_MAX, class F, class C>
__global__ void __launch_bounds__(GEMV_THREADS)
    gemvKernel(TiledGemm<F, C> problem, unsigned blocksPerMatrix) {
  constexpr int W = Pack<F>::size;
  const int64_t batch = blockIdx.x / blocksPerMatrix;
  const int64_t column = (int64_t)(blockIdx.x % blocksPerMatrix) * COLUMNS + warp();
  if (column >= problem.N) return;
  const F* const a = problem.a + batch * problem.strideA;
  const F* const b = problem.b + batch * problem.strideB + column * problem.ldb;
  constexpr int64_t BLOCK = WARP * SUM_LENGTH; // of k
  double sums[M_MAX] = {};
  for (int64_t first = 0; first < problem.K; first += BLOCK) {
    float block[M_MAX] = {};
    const int64_t end = problem.K - first < BLOCK ? problem.K : first + BLOCK;
#pragma unroll 2
    for (int64_t k = first + lane() * W; k < end; k += WARP * W) {
      const int count = end - k < W ? (int)(end - k) : W;
      const bool isAligned = problem.isInputAligned && count == W;
      float x[W], y[W];
      loadFloats(y, b + k, isAligned, count);
#pragma unroll
      for (int m = 0; m < M_MAX; m++) {
        loadFloats(x, a + (m < problem.M ? m * problem.lda : 0) + k, isAligned, count);
#pragma unroll
        for (int i = 0; i < W; i++) block[m] += x[i] * y[i];
      }
    }
#pragma unroll
    for (int m = 0; m < M_MAX; m++) sums[m] += block[m];
  }
  float result[1] = {}; // lane m keeps the sum of row m
#pragma unroll
  for (int m = 0; m < M_MAX; m++) {
    const float sum = warpSum((float)sums[m]);
    if (lane() == m) result[0] = sum;
  }
  if (lane() < M_MAX) applyEpilogue(problem, batch, lane(), column, result);
}

} // namespace

template <class F, class C>
void gemv(const TiledGemm<F, C>& problem) {
  const auto kernel = problem.M == 1   ? gemvKernel<1, F, C>
                      : problem.M == 2 ? gemvKernel<2, F, C>
                      : problem.M <= 4 ? gemvKernel<4, F, C>
                                       : gemvKernel<GEMV_MAX_ROWS, F, C>;
  const unsigned blocksPerMatrix = (unsigned)ceilDiv(problem.N, COLUMNS);
  const Dim grid((unsigned)problem.batch * blocksPerMatrix);
  launch(kernel, grid, Dim(GEMV_THREADS), 0, problem, blocksPerMatrix);
}

template void gemv(const TiledGemm<f32, f32>&);
template void gemv(const TiledGemm<bf16, bf16>&);
template void gemv(const TiledGemm<bf16, f32>&);

} // namespace tinybard::cuda
