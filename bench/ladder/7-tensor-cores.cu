// Step 7. Wasted before: the tensor cores, which stand still.
// Changed: factors are bf16, sums f32. One instruction, mma.sync, multiplies 16 x 16 numbers of a
// with 16 x 8 of b for a whole warp: 64 times what a fused multiply-add of a warp does. Each lane
// holds some places of each matrix (native/cuda/tensor_core.cuh has the picture), and loads them from
// shared memory by itself. Eight warps have 64 x 32 of the tile each.
// Predicted: 4 to 6 times faster, and far from the 15 that the tensor cores have over the rest: a
// lane asks for two rows of b to fill one register, for 16 mma 32 loads of 4 bytes and 16 of 2, and
// nothing is copied while they multiply.

#include "../../native/cuda/tensor_core.cuh"
#include "ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int SIZE = 128, DEPTH = 32, THREADS = 256;
constexpr int PAD = 8; // bf16s behind each row, so that 8 rows lie in different banks

__device__ inline uint32_t pairOf(bf16 low, bf16 high) {
  return packBf16x2(toFloat(low), toFloat(high));
}

__global__ void __launch_bounds__(THREADS)
    tensorCores(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  SHARED(bf16, tileA, [SIZE][DEPTH + PAD]);
  SHARED(bf16, tileB, [DEPTH][SIZE + PAD]);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  const int m0 = warp / 4 * 64, n0 = warp % 4 * 32; // this warp's part of the tile
  const int64_t row = (int64_t)blockIdx.y * SIZE, column = (int64_t)blockIdx.x * SIZE;
  const bf16 zero = roundTo<bf16>(0.0f);
  float sums[4][4][4] = {};
  for (int64_t k = 0; k < K; k += DEPTH) {
    for (int i = threadIdx.x; i < SIZE * DEPTH; i += THREADS) {
      const int64_t m = row + i / DEPTH, ka = k + i % DEPTH;
      tileA[i / DEPTH][i % DEPTH] = m < M && ka < K ? a[m * K + ka] : zero;
      const int64_t kb = k + i / SIZE, n = column + i % SIZE;
      tileB[i / SIZE][i % SIZE] = kb < K && n < N ? b[kb * N + n] : zero;
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < DEPTH; kk += 16) {
      uint32_t left[4][4], right[4][2];
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) { // a0 to a3: 8 rows further, 8 columns further, both
          const bf16* const at = &tileA[m0 + 16 * i + g + j % 2 * 8][kk + 2 * t + j / 2 * 8];
          left[i][j] = pairOf(at[0], at[1]);
        }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 2; j++) {
          const int k0 = kk + 2 * t + 8 * j, n = n0 + 8 * i + g;
          right[i][j] = pairOf(tileB[k0][n], tileB[k0 + 1][n]);
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
      for (int l = 0; l < 4; l++) { // c0 to c3: one column further, 8 rows further, both
        const int64_t m = row + m0 + 16 * i + g + l / 2 * 8;
        const int64_t n = column + n0 + 8 * j + 2 * t + l % 2;
        if (m < M && n < N) c[m * N + n] = sums[i][j][l];
      }
}

} // namespace

void step7(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  launch(tensorCores, Dim((unsigned)ceilDiv(N, SIZE), (unsigned)ceilDiv(M, SIZE)), Dim(THREADS), 0,
         a, b, c, M, N, K);
}

} // namespace tinybard::cuda
