// The parts that the FlashAttention kernels share: tiles of rows in shared memory, and the mma
// fragments that a warp loads from them and stores to them. A lane is 4 g + t, as tensor_core.cuh
// defines it.
#pragma once

#include "../block.cuh"
#include "../tensor_core.cuh"
#include "dropout_mask.cuh"

namespace tinybard::cuda {

__device__ inline int g() { return lane() / 4; } // PTX: groupID
__device__ inline int t() { return lane() % 4; } // PTX: threadID_in_group

/** The sum over the four lanes that hold the same rows of a fragment c. */
__device__ inline float quadSum(float x) {
  x += __shfl_xor_sync(FULL_MASK, x, 1);
  return x + __shfl_xor_sync(FULL_MASK, x, 2);
}
/** The maximum over these lanes. */
__device__ inline float quadMax(float x) {
  x = fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 1));
  return fmaxf(x, __shfl_xor_sync(FULL_MASK, x, 2));
}

/**
 * Rows of D elements in shared memory, D = 16, 32, 64 or 128. The order of the 16-byte chunks of a
 * row depends on the row's number (an XOR swizzle), so that the same chunk of 8 rows, which
 * ldmatrix reads at once, is in different banks.
 */
template <int D>
struct SharedRows {
  static constexpr int CHUNKS = D / 8; // in a row
  static constexpr int SWIZZLES = CHUNKS < 8 ? CHUNKS : 8;
  bf16* data;

  __device__ bf16* at(unsigned row, unsigned column) const {
    const unsigned swizzle = row / (8 / SWIZZLES) % SWIZZLES;
    return data + row * D + (column / 8 ^ swizzle) * 8 + column % 8;
  }
  /** Views the rows from `row` on; a multiple of 8, which keeps the swizzle. */
  __device__ SharedRows fromRow(int row) const { return {data + row * D}; }
};

/**
 * Starts to copy rows first to first + count - 1 of x to the rows from `to` on in shared memory.
 * Rows and columns that x does not have become 0. All threads of the block share the work.
 */
template <int D>
__device__ inline void copyRowsAsync(SharedRows<D> shared, int to, const HeadRows<const bf16>& x,
                                     int first, int count) {
  constexpr int CHUNKS = SharedRows<D>::CHUNKS;
  const int column = threadIdx.x % CHUNKS * 8;
  const int rowsPerPass = blockDim.x / CHUNKS;
  int row = threadIdx.x / CHUNKS;
  const bf16* source = x.data + (first + row) * x.stride + column;
  const int64_t advance = rowsPerPass * x.stride;
  if (x.isAligned) {
    const int available = column < x.D ? x.count - first : 0;
    for (; row < count; row += rowsPerPass, source += advance) {
      const bool exists = row < available;
      copyAsync(shared.at(to + row, column), exists ? source : x.data, exists ? 16 : 0);
    }
  } else {
    for (; row < count; row += rowsPerPass, source += advance) {
      const int width = first + row < x.count ? x.D - column : 0;
      bf16* const chunk = shared.at(to + row, column);
#pragma unroll 4 // unrolling all 8 takes too many registers
      for (int j = 0; j < 8; j++) chunk[j] = j < width ? source[j] : roundTo<bf16>(0.0f);
    }
  }
}

/** Loads a fragment a [16, 16] from (row, column). */
template <int D>
__device__ inline void loadA(uint32_t (&a)[4], SharedRows<D> shared, int row, int column) {
  ldmatrix(a, shared.at(row + lane() % 16, column + lane() / 16 * 8));
}

/** Loads a fragment a [16, 16] of the transpose of `shared`, from its (row, column). */
template <int D>
__device__ inline void loadTransposedA(uint32_t (&a)[4], SharedRows<D> shared, int row,
                                       int column) {
  ldmatrixTransposed(a, shared.at(column + lane() % 8 + lane() / 16 * 8,
                                  row + lane() / 8 % 2 * 8));
}

/** Loads b [16, 16], two adjacent fragments, from (row, column). */
template <int D>
__device__ inline void loadB(uint32_t (&b)[4], SharedRows<D> shared, int row, int column) {
  ldmatrixTransposed(b, shared.at(row + lane() % 16, column + lane() / 16 * 8));
}

/** Loads b [16, 16] of the transpose of `shared`, from its (row, column). */
template <int D>
__device__ inline void loadTransposedB(uint32_t (&b)[4], SharedRows<D> shared, int row,
                                       int column) {
  ldmatrix(b, shared.at(column + lane() % 8 + lane() / 16 * 8, row + lane() / 8 % 2 * 8));
}

/** c += a b for [16, 16] matrices; `left` and `right` are the two fragments of c. */
__device__ inline void mma16x16(float (&left)[4], float (&right)[4], const uint32_t (&a)[4],
                                const uint32_t (&b)[4]) {
  const uint32_t bLeft[2] = {b[0], b[1]};
  const uint32_t bRight[2] = {b[2], b[3]};
  mma(left, a, bLeft);
  mma(right, a, bRight);
}

/** Returns a mask of the halves of x, two bf16, that are NaN or infinite. */
__device__ inline uint32_t nonFiniteHalves(uint32_t x) {
  // their exponent is all ones: adding one to it carries into the sign bit
  const uint32_t carries = ((x & 0x7f807f80) + 0x00800080) & 0x80008000;
  return (carries >> 15) * 0xffff;
}

/** Which of 16 queries attend to which of 16 keys: the rows and columns of a fragment a. */
struct VisibleTile {
  CausalMask mask;
  int query, key; // the first ones
  bool areRowsKeys;

  __device__ bool isVisible(int row, int column) const {
    return mask.isVisible(query + (areRowsKeys ? column : row), key + (areRowsKeys ? row : column));
  }
  __device__ bool areAllVisible() const {
    return query + 15 < mask.Tq && mask.isVisible(query, key + 15);
  }
};

/** c += a b, b [16, 8] = {b0, b1}: first the finite elements of b, then the others row by row. */
__device__ inline void mmaNonFinite(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                    const VisibleTile& tile) {
  const uint32_t finite[2] = {b0 & ~nonFiniteHalves(b0), b1 & ~nonFiniteHalves(b1)};
  mma(c, a, finite);
#pragma unroll 1
  for (int k = 0; k < 16; k++) {
    const int i = k - 2 * t(); // 0 or 1: the row is in the lower or upper half of b0; 8 or 9: of b1
    const uint32_t mask = i % 2 == 0 ? 0xffff : 0xffff0000;
    const uint32_t row[2] = {i == 0 || i == 1 ? b0 & nonFiniteHalves(b0) & mask : 0,
                             i == 8 || i == 9 ? b1 & nonFiniteHalves(b1) & mask : 0};
    float sums[4] = {c[0], c[1], c[2], c[3]};
    mma(sums, a, row);
#pragma unroll
    for (int e = 0; e < 4; e++) c[e] = tile.isVisible(g() + e / 2 * 8, k) ? sums[e] : c[e];
  }
}

/**
 * As mma16x16(), where a is 0 in the elements that are not visible. They add nothing, not even if b
 * is NaN or infinite. The other sums have the same bits.
 */
__device__ inline void mmaVisible16x16(float (&left)[4], float (&right)[4], const uint32_t (&a)[4],
                                       const uint32_t (&b)[4], const VisibleTile& tile) {
  if (tile.areAllVisible()) return mma16x16(left, right, a, b);
  const uint32_t nonFinite = nonFiniteHalves(b[0]) | nonFiniteHalves(b[1]) |
                             nonFiniteHalves(b[2]) | nonFiniteHalves(b[3]);
  if (__all_sync(FULL_MASK, nonFinite == 0)) return mma16x16(left, right, a, b);
  mmaNonFinite(left, a, b[0], b[1], tile);
  mmaNonFinite(right, a, b[2], b[3], tile);
}

/** Converts c [16, 16] to an operand a: a result stays in registers for the next product. */
__device__ inline void convertToA(uint32_t (&a)[4], const float (&left)[4],
                                  const float (&right)[4]) {
  a[0] = packBf16x2(left[0], left[1]);
  a[1] = packBf16x2(left[2], left[3]);
  a[2] = packBf16x2(right[0], right[1]);
  a[3] = packBf16x2(right[2], right[3]);
}

/** Stores c [16, 8 N], rounded to bf16, to shared memory at (row, column). */
template <int D, int N>
__device__ inline void storeShared(SharedRows<D> shared, int row, int column,
                                   const float (&c)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; n++) {
#pragma unroll
    for (int i = 0; i < 2; i++) // rows g and g + 8
      *reinterpret_cast<uint32_t*>(shared.at(row + 8 * i + g(), column + 8 * n + 2 * t())) =
          packBf16x2(c[n][2 * i], c[n][2 * i + 1]);
  }
}

/**
 * Stores c [16, 8 N] to global memory: the rows of x from `first` on and its columns from `column`
 * on, within the bounds of x. It goes through 16 rows of shared memory, from `row` on, which no
 * other warp uses, so that each lane writes whole 16-byte chunks.
 */
template <int D, int N>
__device__ inline void storeRows(const HeadRows<bf16>& x, int first, int column,
                                 const float (&c)[N][4], SharedRows<D> shared, int row) {
  __syncwarp();
  storeShared(shared, row, column, c);
  __syncwarp();
  for (int i = lane(); i < 16 * N; i += WARP) {
    const int r = i / N;
    const int d = column + i % N * 8;
    if (first + r >= x.count || d >= x.D) continue;
    const Pack<bf16> pack = *reinterpret_cast<const Pack<bf16>*>(shared.at(row + r, d));
    bf16* const target = x.data + (first + r) * x.stride + d;
    if (x.isAligned) {
      *reinterpret_cast<Pack<bf16>*>(target) = pack;
    } else {
#pragma unroll
      for (int j = 0; j < 8; j++)
        if (d + j < x.D) target[j] = pack.at[j];
    }
  }
}

} // namespace tinybard::cuda
