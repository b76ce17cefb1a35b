// Step 8. The bottleneck of step 7: lanes fill their registers with loads of 2 and 4 bytes, tiles
// are copied element by element, and no copy overlaps the multiplication.
// Change: ldmatrix loads four 8 x 8 matrices from shared memory into the layout of mma, and
// transposes those of b. A row of such a matrix is a chunk of 16 bytes, and the 8 rows that are
// read together must be in different banks: so chunk i of row r is stored at position i ^ (r % 8).
// This swizzle needs no padding. Tiles are copied by cp.async, two ahead of the one that is
// multiplied. A warp computes 64 x 64, so that each loaded number is used more often.
// Predicted: 3 times faster: about 60 % of the tensor cores' peak on Hopper, where mma.sync reaches
// at most two thirds. native/cuda/matmul/tensor_core.cuh is this kernel with all edge cases.

#include "../../native/cuda/tensor_core.cuh"
#include "ladder.h"

namespace tinybard::cuda {
namespace {

constexpr int SIZE = 128;
constexpr int DEPTH = 64;
constexpr int THREADS = 128;
constexpr int STAGES = 3;               // pairs of tiles in shared memory
constexpr int BYTES = SIZE * DEPTH * 2; // of a tile

/** Returns the byte offset of a chunk in a tile with CHUNKS chunks a row. */
template <int CHUNKS>
__device__ inline int chunkOffset(int row, int chunk) {
  return (row * CHUNKS + (chunk ^ row % 8)) * 16;
}

/** Starts to copy a tile from (row, column) of x [rows, columns]; elements outside become 0. */
template <int CHUNKS>
__device__ inline void copyTile(char* tile, const bf16* x, int64_t row, int64_t column,
                                int64_t rows, int64_t columns) {
#pragma unroll
  for (int i = threadIdx.x; i < BYTES / 16; i += THREADS) {
    const int64_t r = row + i / CHUNKS;
    const int64_t c = column + i % CHUNKS * 8;
    const bool isInside = r < rows && c < columns;
    copyAsync(tile + chunkOffset<CHUNKS>(i / CHUNKS, i % CHUNKS),
              isInside ? x + r * columns + c : x, isInside ? 16 : 0);
  }
}

__global__ void __launch_bounds__(THREADS)
    swizzle(const bf16* a, const bf16* b, f32* c, int64_t M, int64_t N, int64_t K) {
  DYNAMIC_SHARED(char, tiles);
  const int warp = threadIdx.x / 32;
  const int lane = threadIdx.x % 32;
  const int m0 = warp / 2 * 64; // of this warp's quarter of the tile
  const int n0 = warp % 2 * 64;
  const int64_t row = (int64_t)blockIdx.y * SIZE; // of the tile's first element
  const int64_t column = (int64_t)blockIdx.x * SIZE;
  const int steps = (int)ceilDiv(K, DEPTH);
  const auto copy = [&](int step) {
    if (step < steps) {
      char* const stage = tiles + step % STAGES * 2 * BYTES;
      copyTile<8>(stage, a, row, (int64_t)step * DEPTH, M, K);
      copyTile<16>(stage + BYTES, b, (int64_t)step * DEPTH, column, K, N);
    }
    commitCopies();
  };
  float sums[4][8][4] = {};
  for (int step = 0; step < STAGES - 1; step++) copy(step);
  for (int step = 0; step < steps; step++) {
    waitForCopies<STAGES - 2>();
    __syncthreads(); // this step's tiles are complete, and all warps have read the previous ones
    copy(step + STAGES - 1);
    const char* const tileA = tiles + step % STAGES * 2 * BYTES;
    const char* const tileB = tileA + BYTES;
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
      const int r = lane % 16;     // matrices 0 and 1: 16 rows of a chunk
      const int chunk = lane / 16; // matrices 2 and 3: the same rows of the next chunk
      uint32_t left[4][4], right[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        ldmatrix(left[i], tileA + chunkOffset<8>(m0 + 16 * i + r, k / 8 + chunk));
#pragma unroll
      for (int j = 0; j < 4; j++)
        ldmatrixTransposed(right[j], tileB + chunkOffset<16>(k + r, (n0 + 16 * j) / 8 + chunk));
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
  const Dim grid((unsigned)ceilDiv(N, SIZE), (unsigned)ceilDiv(M, SIZE));
  launch(swizzle, grid, Dim(THREADS), STAGES * 2 * BYTES, a, b, c, M, N, K);
}

} // namespace tinybard::cuda
