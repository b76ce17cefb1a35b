// Matrix products in bf16: the operands are rounded to bf16 as they are packed, products are added
// in f32. A packed operand is made of pairs: two bf16 that are neighbors along k, in the bits of a
// float. So tiles are those of tile.h, whose step then multiplies pairs by
//
//   sum + low(a) low(b) + high(a) high(b)
//
// which is one instruction for a whole vector (AVX512-BF16, ARM's BF16). What depends on it is in
// bf16.cpp, which is compiled for each instruction set that has it.
#pragma once

#include <cstdint>

namespace tinybard {

/**
 * The initial value of a tile's sums: 0, the old c (beta = 1 in BLAS), or the bias of the column.
 * With `add` it is 0, and the old c is added in the end: for the next block of a long k, so that
 * the rounding error grows with the number of blocks, not with k.
 */
enum class Init { zero, accumulate, bias, add };

/** Computes a tile: an instance of computeTile() (tile.h). */
using TileFunction = void (*)(const float* a, int64_t lda, const float* b, int64_t ldb, float* c,
                              int64_t ldc, int64_t K, int64_t lanes, Init init, const float* bias);

/** The functions that depend on the instructions for bf16. */
struct Bf16Kernels {
  /** y[r, i] = (x[r, 2 i], x[r, 2 i + 1]). x [rows, columns], y [rows, columns / 2 rounded up] */
  void (*pairColumns)(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                      int64_t columns);
  /** y[i, j] = (x[2 i, j], x[2 i + 1, j]). x [rows, columns], y [rows / 2 rounded up, columns] */
  void (*pairRows)(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                   int64_t columns);
  /** Returns the tile for 1 to TILE_ROWS rows and 1 to PANEL columns; its K counts pairs. */
  TileFunction (*getTile)(int rows, int64_t columns, bool isTransposed);
};

/** Returns the kernels for the products of the calling thread; null if they are in f32. */
const Bf16Kernels* bf16Kernels();
/** Sets them; null for f32, which is the default. */
void setBf16Kernels(const Bf16Kernels* kernels);

} // namespace tinybard
