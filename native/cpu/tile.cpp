// The table of all instances of computeTile, and small matrix multiplications made of tiles.

#include "tile.h"

#include <array>
#include <utility>

namespace tinybard::SIMD {

template <int V, bool isTransposed, bool isWhole, int... R>
static constexpr std::array<TileFunction, sizeof...(R)> makeTiles(
    std::integer_sequence<int, R...>) {
  return {&computeTile<R + 1, V, isTransposed, isWhole>...};
}

template <int V, bool isTransposed, bool isWhole>
static TileFunction getTile(int rows) {
  static constexpr auto tiles =
      makeTiles<V, isTransposed, isWhole>(std::make_integer_sequence<int, TILE_ROWS>{});
  return tiles[rows - 1];
}

TileFunction getTileFunction(int rows, int64_t columns, bool isTransposed) {
  const bool isWhole = columns % Vec::width == 0;
  if (columns > Vec::width) {
    if (isTransposed) return isWhole ? getTile<2, true, true>(rows) : getTile<2, true, false>(rows);
    return isWhole ? getTile<2, false, true>(rows) : getTile<2, false, false>(rows);
  }
  if (isTransposed) return isWhole ? getTile<1, true, true>(rows) : getTile<1, true, false>(rows);
  return isWhole ? getTile<1, false, true>(rows) : getTile<1, false, false>(rows);
}

void gemmUnpacked(Matrix a, const float* b, int64_t ldb, float* c, int64_t ldc, int64_t M,
                  int64_t N, int64_t K, Init init, const float* bias) {
  const int64_t tiles = tileCount(M);
  for (int64_t n = 0; n < N; n += PANEL) {
    const int64_t columns = N - n < PANEL ? N - n : PANEL;
    const int64_t lanes = (columns - 1) % Vec::width + 1;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t m = partBegin(M, tiles, t);
      const int64_t rows = partBegin(M, tiles, t + 1) - m;
      const TileFunction compute = getTileFunction((int)rows, columns, a.isTransposed);
      compute(a.from(m, 0).data,
              a.ld,
              b + n,
              ldb,
              c + m * ldc + n,
              ldc,
              K,
              lanes,
              init,
              bias ? bias + n : nullptr);
    }
  }
}

void transposeInto(const float* x, int64_t ldx, float* y, int64_t ldy, int64_t rows,
                   int64_t columns) {
  constexpr int64_t W = Vec::width;
  const int64_t wholeColumns = columns / W * W;
  int64_t i = 0;
  for (; i + W <= rows; i += W) {
    for (int64_t j = 0; j < wholeColumns; j += W)
      transposeBlock(x + i * ldx + j, ldx, y + j * ldy + i, ldy);
    for (int64_t j = wholeColumns; j < columns; j++) {
      for (int64_t k = i; k < i + W; k++) y[j * ldy + k] = x[k * ldx + j];
    }
  }
  for (; i < rows; i++) {
    for (int64_t j = 0; j < columns; j++) y[j * ldy + i] = x[i * ldx + j];
  }
}

} // namespace tinybard::SIMD
