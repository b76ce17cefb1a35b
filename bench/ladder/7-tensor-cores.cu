// Step 7. The bottleneck of step 6: the multiply-adds themselves, while the tensor cores are idle.
// Change: bf16 inputs and f32 sums on tensor cores. One instruction, mma.sync, multiplies 16 x 16
// numbers of a by 16 x 8 of b for a whole warp: 64 times the work of a warp's fused multiply-add.
// Each lane holds certain elements of each matrix (see native/cuda/tensor_core.cuh) and loads them
// from shared memory itself. The tile is divided among eight warps with 64 x 32 each.
// Predicted: 4 to 6 times faster, far from the factor of 15 between tensor cores and the others. A
// register of b holds elements of two rows, which takes two loads: for 16 mma a lane does 32 loads
// of 4 bytes and 16 of 2, and no copies overlap the multiplication.

#include "../../native/cuda/tensor_core.cuh"
#include "ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int SIZE = 128;
constexpr int DEPTH = 32;
constexpr int THREADS = 256;
constexpr int PAD = 8; // elements after each row, so that 8 rows are in different banks

__device__ inline uint32_t packPair(bf16 low, bf16 high) {
  return packBf16x2(toFloat(low), toFloat(high));
}

__global__ void __launch_bounds__(THREADS)
    tensorCores(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  SHARED(bf16, tileA, [SIZE][DEPTH + PAD]);
  SHARED(bf16, tileB, [DEPTH][SIZE + PAD]);
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int g = lane / 4;
  const int t = lane % 4;
  const int m0 = warp / 4 * 64; // of this warp's part of the tile
  const int n0 = warp % 4 * 32;
  const int64_t row = (int64_t)blockIdx.y * SIZE; // of the tile's first element
  const int64_t column = (int64_t)blockIdx.x * SIZE;
  const bf16 zero = roundTo<bf16>(0.0f);
  float sums[4][4][4] = {};
  for (int64_t k = 0; k < K; k += DEPTH) {
    for (int i = threadIdx.x; i < SIZE * DEPTH; i += THREADS) {
      const int64_t m = row + i / DEPTH;
      const int64_t ka = k + i % DEPTH;
      tileA[i / DEPTH][i % DEPTH] = m < M && ka < K ? a[m * K + ka] : zero;
      const int64_t kb = k + i / SIZE;
      const int64_t n = column + i % SIZE;
      tileB[i / SIZE][i % SIZE] = kb < K && n < N ? b[kb * N + n] : zero;
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < DEPTH; kk += 16) {
      uint32_t left[4][4], right[4][2];
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) { // a0; a1, 8 rows down; a2, 8 columns right; a3, both
          const bf16* const pair = &tileA[m0 + 16 * i + g + j % 2 * 8][kk + 2 * t + j / 2 * 8];
          left[i][j] = packPair(pair[0], pair[1]);
        }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
          const int k0 = kk + 2 * t + 8 * j;
          const int n = n0 + 8 * i + g;
          right[i][j] = packPair(tileB[k0][n], tileB[k0 + 1][n]);
        }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) mma(sums[i][j], left[i], right[j]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++)
#pragma unroll
      for (int l = 0; l < 4; l++) { // c0; c1, a column right; c2, 8 rows down; c3, both
        const int64_t m = row + m0 + 16 * i + g + l / 2 * 8;
        const int64_t n = column + n0 + 8 * j + 2 * t + l % 2;
        if (m < M && n < N) c[m * N + n] = sums[i][j][l];
      }
}

} // namespace

void step7(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  const Dim grid((unsigned)ceilDiv(N, SIZE), (unsigned)ceilDiv(M, SIZE));
  launch(tensorCores, grid, Dim(THREADS), 0, a, b, c, M, N, K);
}

} // namespace tinybard::cuda
