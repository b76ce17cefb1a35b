// The format of the operands of a matrix product, and products of small operands in it.
#pragma once

#include "tile.h"

namespace tinybard::SIMD {

/**
 * f32, where tiles read the operands as they are, or bf16, where they read pairs of neighbors along
 * k (bf16.h), which are packed first.
 */
class Format {
 public:
  Format() = default; // f32

  /**
   * Returns the format for a product of M rows that the calling thread has set. With few rows, the
   * time is that of reading the other operand, so the product stays in f32.
   */
  static Format forRows(int64_t M) {
    Format format;
    if (M > 4) format.bf16 = bf16Kernels();
    return format;
  }

  bool isBf16() const { return bf16 != nullptr; }

  /** Returns the number of steps of a tile over k from 0 to K - 1: one per pair in bf16. */
  int64_t steps(int64_t K) const { return bf16 ? (K + 1) / 2 : K; }

  /** Returns the tile for 1 to TILE_ROWS rows and 1 to PANEL columns. */
  TileFunction getTile(int rows, int64_t columns, bool isTransposed) const;

  /** Returns the left operand a [rows, K] for tiles; in bf16 at `to`, rows steps(K) floats. */
  Matrix packLeft(const Matrix& a, int64_t rows, int64_t K, float* to) const;

  /** Returns the right operand b [K, N], not transposed, for tiles; in bf16 at `to`, [steps(K), N]
   *  with leading dimension ldTo. */
  Matrix packRight(const Matrix& b, int64_t K, int64_t N, int64_t ldTo, float* to) const;

  /** Transposes b [N, K] and packs it as a right operand, [steps(K), N] with leading dimension
   *  ldTo. bf16 needs `memory` of N steps(K) floats. */
  void packTransposed(const float* b, int64_t ldb, int64_t N, int64_t K, float* to, int64_t ldTo,
                      float* memory) const;

 private:
  const Bf16Kernels* bf16 = nullptr;
};

/** The part of a product that some rows need: k from kBegin to kEnd - 1, columns to nEnd - 1. */
struct Extent {
  int64_t kBegin;
  int64_t kEnd;
  int64_t nEnd;
};

/**
 * c = init + a b, tile by tile, on the calling thread. For small operands: b is read where it is,
 * so it should fit in the cache. a [M, K], b [K, N] not transposed, c [M, N], bias [N] or null;
 * extentOf(m, end) returns the Extent of rows m to end - 1, and columns after it may be left out.
 * In bf16, a and b are packed; an extent is then widened to whole pairs.
 */
template <class F>
void multiplyTiles(const Format& format, const Matrix& a, const float* b, int64_t ldb, float* c,
                   int64_t ldc, int64_t M, int64_t N, Init init, const float* bias,
                   const F& extentOf) {
  const int64_t tiles = tileCount(M);
  for (int64_t n = 0; n < N; n += PANEL) {
    const int64_t columns = N - n < PANEL ? N - n : PANEL;
    const int64_t lanes = (columns - 1) % Vec::width + 1;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t m = partBegin(M, tiles, t);
      const int64_t end = partBegin(M, tiles, t + 1);
      const Extent extent = extentOf(m, end);
      if (n >= extent.nEnd) continue;
      const int64_t k = format.isBf16() ? extent.kBegin / 2 : extent.kBegin;
      const Matrix rows = a.from(m, k);
      format.getTile((int)(end - m), columns, a.isTransposed)(rows.data,
                                                              rows.ld,
                                                              b + k * ldb + n,
                                                              ldb,
                                                              c + m * ldc + n,
                                                              ldc,
                                                              format.steps(extent.kEnd) - k,
                                                              lanes,
                                                              init,
                                                              bias ? bias + n : nullptr);
    }
  }
}

/** The same for the whole product. */
inline void multiplyTiles(const Format& format, const Matrix& a, const float* b, int64_t ldb,
                          float* c, int64_t ldc, int64_t M, int64_t N, int64_t K, Init init,
                          const float* bias = nullptr) {
  const auto all = [=](int64_t, int64_t) { return Extent{0, K, N}; };
  multiplyTiles(format, a, b, ldb, c, ldc, M, N, init, bias, all);
}

/** y = x^T. x [rows, columns] and y [columns, rows] have leading dimensions ldx and ldy. */
void transposeInto(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                   int64_t columns);

} // namespace tinybard::SIMD
