// The tiles of tile.h for every number of rows, and products made of them.

#include "tile.h"

#include <array>
#include <utility>

namespace tinybard::SIMD {

template <int V, bool isTransposed, bool isWhole, int... R>
static constexpr std::array<Tile, sizeof...(R)> tilesUpTo(std::integer_sequence<int, R...>) {
  return {&tile<R + 1, V, isTransposed, isWhole>...};
}

template <int V, bool isTransposed, bool isWhole>
static Tile pick(int rows) {
  static constexpr auto all =
      tilesUpTo<V, isTransposed, isWhole>(std::make_integer_sequence<int, TILE_ROWS>{});
  return all[rows - 1];
}

Tile tileOf(int rows, int64_t columns, bool isTransposed) {
  const bool isWhole = columns % Vec::width == 0;
  if (columns > Vec::width) {
    if (isTransposed) return isWhole ? pick<2, true, true>(rows) : pick<2, true, false>(rows);
    return isWhole ? pick<2, false, true>(rows) : pick<2, false, false>(rows);
  }
  if (isTransposed) return isWhole ? pick<1, true, true>(rows) : pick<1, true, false>(rows);
  return isWhole ? pick<1, false, true>(rows) : pick<1, false, false>(rows);
}

void multiply(Matrix a, const float* b, int64_t bStep, float* c, int64_t cStep, int64_t M,
              int64_t N, int64_t K, Start start, const float* bias) {
  const int64_t tiles = tilesIn(M);
  for (int64_t n = 0; n < N; n += PANEL) {
    const int64_t columns = N - n < PANEL ? N - n : PANEL;
    const int64_t lanes = (columns - 1) % Vec::width + 1;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t m = cut(M, tiles, t), rows = cut(M, tiles, t + 1) - m;
      tileOf((int)rows, columns, a.isTransposed)(a.from(m, 0).data, a.step, b + n, bStep,
                                                 c + m * cStep + n, cStep, K, lanes, start,
                                                 bias ? bias + n : nullptr);
    }
  }
}

void transposeInto(const float* x, int64_t xStep, float* y, int64_t yStep, int64_t rows,
                   int64_t columns) {
  constexpr int64_t W = Vec::width;
  const int64_t whole = columns / W * W;
  int64_t i = 0;
  for (; i + W <= rows; i += W) {
    for (int64_t j = 0; j < whole; j += W)
      transposeSquare(x + i * xStep + j, xStep, y + j * yStep + i, yStep);
    for (int64_t j = whole; j < columns; j++)
      for (int64_t k = i; k < i + W; k++) y[j * yStep + k] = x[k * xStep + j];
  }
  for (; i < rows; i++)
    for (int64_t j = 0; j < columns; j++) y[j * yStep + i] = x[i * xStep + j];
}

} // namespace tinybard::SIMD
