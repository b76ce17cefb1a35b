// What the kernels on tensor cores are made of: tiles in shared memory, and the fragments that a
// warp takes from them and puts into them. A lane is 4 g + t, as tensor_core.cuh has it.
#pragma once

#include "../block.cuh"
#include "../tensor_core.cuh"
#include "dropout_mask.cuh"

namespace tinybard::cuda {

__device__ inline int g() { return lane() / 4; }
__device__ inline int t() { return lane() % 4; }

/** The sum, or the largest, over the four lanes that share rows of c. */
__device__ inline float quadSum(float x) {
  x += __shfl_xor_sync(FULL_MASK, x, 1);
  return x + __shfl_xor_sync(FULL_MASK, x, 2);
}
__device__ inline float quadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
  return fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2));
}

/**
 * Rows of D elements, D = 16, 32, 64 or 128. The 16-byte chunks of a row change places by the row's
 * index, so that ldmatrix finds the same chunk of eight rows in different banks.
 */
template <int D>
struct Tile {
  static constexpr int CHUNKS = D / 8, TURNS = CHUNKS < 8 ? CHUNKS : 8;
  bf16* data;

  __device__ bf16* at(unsigned row, unsigned column) const {
    const unsigned turn = row / (8 / TURNS) % TURNS;
    return data + row * D + (column / 8 ^ turn) * 8 + column % 8;
  }
  __device__ Tile from(int row) const { return {data + row * D}; }
};

/**
 * Begins to copy rows first ... first + count - 1 of x to rows `to` ... of a tile; what x does not
 * have is 0. All threads of the block share the work.
 */
template <int D>
__device__ inline void stage(Tile<D> tile, int to, const Rows<const bf16>& x, int first,
                             int count) {
  constexpr int CHUNKS = Tile<D>::CHUNKS;
  const int column = threadIdx.x % CHUNKS * 8, rows = blockDim.x / CHUNKS; // copied at once
  int row = threadIdx.x / CHUNKS;
  const bf16* from = x.data + (first + row) * x.step + column;
  const int64_t further = rows * x.step;
  if (x.packed) {
    const int have = column < x.D ? x.count - first : 0;
    for (; row < count; row += rows, from += further)
      copyAsync(tile.at(to + row, column), row < have ? from : x.data, row < have ? 16 : 0);
  } else {
    for (; row < count; row += rows, from += further) {
      const int width = first + row < x.count ? x.D - column : 0;
      bf16* const place = tile.at(to + row, column);
#pragma unroll 4 // not 8, for registers
      for (int j = 0; j < 8; j++) place[j] = j < width ? from[j] : roundTo<bf16>(0.0f);
    }
  }
}

/** a: rows `row` to `row` + 15, columns `column` to `column` + 15 of the tile. */
template <int D>
__device__ inline void loadA(uint32_t (&a)[4], Tile<D> tile, int row, int column) {
  ldmatrix(a, tile.at(row + lane() % 16, column + lane() / 16 * 8));
}

/** The same of the transposed tile: its rows are the tile's columns. */
template <int D>
__device__ inline void loadTransposedA(uint32_t (&a)[4], Tile<D> tile, int row, int column) {
  ldmatrixTransposed(a, tile.at(column + lane() % 8 + lane() / 16 * 8, row + lane() / 8 % 2 * 8));
}

/** b [16, 16], two fragments side by side: rows and columns of the tile from (row, column). */
template <int D>
__device__ inline void loadB(uint32_t (&b)[4], Tile<D> tile, int row, int column) {
  ldmatrixTransposed(b, tile.at(row + lane() % 16, column + lane() / 16 * 8));
}

/** The same of the transposed tile: its rows are the tile's columns. */
template <int D>
__device__ inline void loadTransposedB(uint32_t (&b)[4], Tile<D> tile, int row, int column) {
  ldmatrix(b, tile.at(column + lane() % 8 + lane() / 16 * 8, row + lane() / 8 % 2 * 8));
}

/** c [16, 16], two fragments side by side, += a b */
__device__ inline void multiply(float (&left)[4], float (&right)[4], const uint32_t (&a)[4],
                                const uint32_t (&b)[4]) {
  const uint32_t bLeft[2] = {b[0], b[1]}, bRight[2] = {b[2], b[3]};
  mma(left, a, bLeft);
  mma(right, a, bRight);
}

/** c [16, 16] as a: what one product gives is what the next takes. */
__device__ inline void pack(uint32_t (&a)[4], const float (&left)[4], const float (&right)[4]) {
  a[0] = packBf16x2(left[0], left[1]);
  a[1] = packBf16x2(left[2], left[3]);
  a[2] = packBf16x2(right[0], right[1]);
  a[3] = packBf16x2(right[2], right[3]);
}

/** Writes c [16, 8 N], rounded, to the tile at (row, column). */
template <int D, int N>
__device__ inline void put(Tile<D> tile, int row, int column, const float (&c)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; n++)
#pragma unroll
    for (int half = 0; half < 2; half++)
      *reinterpret_cast<uint32_t*>(tile.at(row + 8 * half + g(), column + 8 * n + 2 * t())) =
          packBf16x2(c[n][2 * half], c[n][2 * half + 1]);
}

/**
 * Writes c [16, 8 N] to the rows of x from `first`, columns from `column`, as far as x has them. It
 * goes by way of rows of the tile that are the warp's to overwrite: so lanes write whole chunks.
 */
template <int D, int N>
__device__ inline void write(const Rows<bf16>& x, int first, int column, const float (&c)[N][4],
                             Tile<D> tile, int row) {
  __syncwarp();
  put(tile, row, column, c);
  __syncwarp();
  for (int i = lane(); i < 16 * N; i += WARP) {
    const int r = i / N, d = column + i % N * 8;
    if (first + r >= x.count || d >= x.D) continue;
    const Pack<bf16> pack = *reinterpret_cast<const Pack<bf16>*>(tile.at(row + r, d));
    bf16* const to = x.data + (first + r) * x.step + d;
    if (x.packed) {
      *reinterpret_cast<Pack<bf16>*>(to) = pack;
    } else {
#pragma unroll
      for (int j = 0; j < 8; j++)
        if (d + j < x.D) to[j] = pack.at[j];
    }
  }
}

} // namespace tinybard::cuda
