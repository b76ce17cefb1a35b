// Step 8. Wasted before: lanes fill their registers by loads of 2 and 4 bytes; tiles are copied
// element by element, and no copy runs beside the multiplication.
// Changed: ldmatrix brings four 8 x 8 matrices from shared memory to where mma wants them, and
// turns those of b on the way. A row of such a matrix is a chunk of 16 bytes; the 8 that are read
// together must not lie in one bank, so chunk i of row r is stored at place i ^ r % 8 (swizzle),
// which wastes no memory as padding does. Tiles come by cp.async, two ahead of the one that is
// multiplied. Warps have 64 x 64, so that a number that was loaded is used more often.
// Predicted: 3 times faster: some 60 % of the tensor cores' peak on Hopper, where mma.sync does not
// get beyond two thirds. native/cuda/matmul/tensor_core.cuh is this, with all edges.

#include "../../native/cuda/tensor_core.cuh"
#include "ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int SIZE = 128, DEPTH = 64, THREADS = 128, STAGES = 3;
constexpr int BYTES = SIZE * DEPTH * 2; // of a tile

/** Where a chunk lies in a tile whose rows have CHUNKS of them. */
template <int CHUNKS>
__device__ inline int place(int row, int chunk) {
  return (row * CHUNKS + (chunk ^ row % 8)) * 16;
}

/** Begins to copy a tile: what is at (row, column) of x [rows, columns], and zeros outside. */
template <int CHUNKS>
__device__ inline void copyTile(char* tile, const bf16* x, int64_t row, int64_t column,
                                int64_t rows, int64_t columns) {
#pragma unroll
  for (int i = threadIdx.x; i < BYTES / 16; i += THREADS) {
    const int64_t r = row + i / CHUNKS, c = column + i % CHUNKS * 8;
    const bool isIn = r < rows && c < columns;
    copyAsync(tile + place<CHUNKS>(i / CHUNKS, i % CHUNKS), isIn ? x + r * columns + c : x,
              isIn ? 16 : 0);
  }
}

__global__ void __launch_bounds__(THREADS)
    swizzle(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  DYNAMIC_SHARED(char, tiles);
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int m0 = warp / 2 * 64, n0 = warp % 2 * 64; // this warp's quarter
  const int64_t row = (int64_t)blockIdx.y * SIZE, column = (int64_t)blockIdx.x * SIZE;
  const int steps = (int)ceilDiv(K, DEPTH);
  const auto copy = [&](int step) {
    if (step < steps) {
      char* const to = tiles + step % STAGES * 2 * BYTES;
      copyTile<8>(to, a, row, (int64_t)step * DEPTH, M, K);
      copyTile<16>(to + BYTES, b, (int64_t)step * DEPTH, column, K, N);
    }
    commitCopies();
  };
  float sums[4][8][4] = {};
  for (int step = 0; step < STAGES - 1; step++) copy(step);
  for (int step = 0; step < steps; step++) {
    waitForCopies<STAGES - 2>();
    __syncthreads(); // this step's tiles are there, and the ones before are done with
    copy(step + STAGES - 1);
    const char* const tileA = tiles + step % STAGES * 2 * BYTES;
    const char* const tileB = tileA + BYTES;
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
      const int r = lane % 16, half = lane / 16; // matrices 0, 1: 16 rows; 2, 3: the next chunk
      uint32_t left[4][4], right[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        ldmatrix(left[i], tileA + place<8>(m0 + 16 * i + r, k / 8 + half));
#pragma unroll
      for (int j = 0; j < 4; j++)
        ldmatrixTransposed(right[j], tileB + place<16>(k + r, (n0 + 16 * j) / 8 + half));
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 8; j++)
          mma(sums[i][j], left[i], {right[j / 2][j % 2 * 2], right[j / 2][j % 2 * 2 + 1]});
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
      for (int l = 0; l < 4; l += 2) {
        const int64_t m = row + m0 + 16 * i + lane / 4 + l * 4;
        const int64_t n = column + n0 + 8 * j + lane % 4 * 2;
        if (m < M && n < N)
          *reinterpret_cast<float2*>(c + m * N + n) = make_float2(sums[i][j][l], sums[i][j][l + 1]);
      }
}

} // namespace

void step8(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  launch(swizzle, Dim((unsigned)ceilDiv(N, SIZE), (unsigned)ceilDiv(M, SIZE)), Dim(THREADS),
         STAGES * 2 * BYTES, a, b, c, M, N, K);
}

} // namespace tinybard::cuda
