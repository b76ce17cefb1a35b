// The product of a few rows with b stored as [N, K], as in generation: little is computed, all of b
// is read once. A warp has a column of c, and so a row of b, which it reads in order, 16 bytes a
// lane, against all rows of a.

#include "tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int ROW_THREADS = 128, COLUMNS = ROW_THREADS / WARP; // of a block

/** M: rows that there is room for; where task.M is less, the first is used again. */
template <int M, class F, class C>
__global__ void __launch_bounds__(ROW_THREADS) rowProduct(TiledGemm<F, C> task, unsigned blocks) {
  constexpr int W = Pack<F>::size;
  const int64_t batch = blockIdx.x / blocks;
  const int64_t column = (int64_t)(blockIdx.x % blocks) * COLUMNS + warp();
  if (column >= task.N) return;
  const F* const a = task.a + batch * task.strideA;
  const F* const b = task.b + batch * task.strideB + column * task.ldb;
  float sums[M] = {};
#pragma unroll 2
  for (int64_t k = lane() * W; k < task.K; k += WARP * W) {
    const int count = task.K - k < W ? (int)(task.K - k) : W;
    const bool byPacks = task.isInputAligned && count == W;
    float x[W], y[W];
    loadFloats(y, b + k, byPacks, count);
#pragma unroll
    for (int m = 0; m < M; m++) {
      loadFloats(x, a + (m < task.M ? m * task.lda : 0) + k, byPacks, count);
#pragma unroll
      for (int i = 0; i < W; i++) sums[m] += x[i] * y[i];
    }
  }
  float x[1] = {};
#pragma unroll
  for (int m = 0; m < M; m++) {
    const float sum = warpSum(sums[m]);
    if (lane() == m) x[0] = sum;
  }
  if (lane() < M) applyEpilogue(task, batch, lane(), column, x);
}

} // namespace

template <class F, class C>
void gemv(const TiledGemm<F, C>& task) {
  const auto kernel = task.M == 1   ? rowProduct<1, F, C>
                      : task.M == 2 ? rowProduct<2, F, C>
                      : task.M <= 4 ? rowProduct<4, F, C>
                                    : rowProduct<GEMV_MAX_ROWS, F, C>;
  const unsigned blocks = (unsigned)ceilDiv(task.N, COLUMNS); // for one of the batch
  launch(kernel, Dim((unsigned)task.batch * blocks), Dim(ROW_THREADS), 0, task, blocks);
}

template void gemv(const TiledGemm<f32, f32>&);
template void gemv(const TiledGemm<bf16, bf16>&);
template void gemv(const TiledGemm<bf16, f32>&);

} // namespace tinybard::cuda
