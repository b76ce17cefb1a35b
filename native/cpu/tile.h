// The heart of the matrix product: a tile of results that stays in registers while k runs. Each
// step of k loads V vectors of b and one number of each of the R rows of a, for R V multiply-adds.
#pragma once

#include "simd.h"

#if defined(_MSC_VER) && !defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

namespace tinybard::SIMD {

// How many rows a tile may have: with two vectors each, as many as the registers hold beside the
// operands: 28 + 3 of 32, 12 + 3 of 16, 24 + 3 of 32.
#if defined(SIMD_AVX512)
constexpr int TILE_ROWS = 14;
#elif defined(SIMD_AVX2)
constexpr int TILE_ROWS = 6;
#elif defined(SIMD_NEON)
constexpr int TILE_ROWS = 12;
#else
constexpr int TILE_ROWS = 4;
#endif
constexpr int64_t PANEL = 2 * Vec::width; // the columns of a tile

/** A matrix in memory: neighbours along a column are `step` apart. If transposed: along a row. */
struct Matrix {
  const float* data;
  int64_t step;
  bool isTransposed;

  /** The same from row i and column j on. */
  Matrix from(int64_t i, int64_t j) const {
    return {data + (isTransposed ? j * step + i : i * step + j), step, isTransposed};
  }
};

/** What a tile's sums begin with. */
enum class Start { zero, c, bias };

/**
 * c [R, columns] = start + a [R, K] b [K, columns], with `columns` from (V - 1) width + 1 to
 * V width, `lanes` of them in the last vector. `bias` [columns] is added to each row.
 */
template <int R, int V, bool isTransposed, bool isWhole>
void tile(const float* a, int64_t aStep, const float* b, int64_t bStep, float* c, int64_t cStep,
          int64_t K, int64_t lanes, Start start, const float* bias) {
  constexpr int W = Vec::width;
  const auto load = [=](const float* p, int v) {
    return isWhole || v < V - 1 ? Vec::load(p + v * W) : Vec::load(p + v * W, lanes);
  };
  Vec sums[R][V];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      sums[r][v] = start == Start::zero ? Vec(0.0f)
                   : load(start == Start::c ? c + r * cStep : bias, v);
    }
  }
  for (int64_t k = 0; k < K; k++) {
    Vec row[V];
    UNROLL for (int v = 0; v < V; v++) row[v] = load(b + k * bStep, v);
    UNROLL for (int r = 0; r < R; r++) {
      const Vec x = isTransposed ? a[k * aStep + r] : a[r * aStep + k];
      UNROLL for (int v = 0; v < V; v++) sums[r][v] = fma(x, row[v], sums[r][v]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      float* p = c + r * cStep + v * W;
      if (isWhole || v < V - 1) sums[r][v].store(p);
      else sums[r][v].store(p, lanes);
    }
  }
}

using Tile = void (*)(const float*, int64_t, const float*, int64_t, float*, int64_t, int64_t,
                      int64_t, Start, const float*);

/** The tile of `rows` rows and `columns` columns. */
Tile tileOf(int rows, int64_t columns, bool isTransposed);

/** c [M, N] = start + a [M, K] b [K, N], b not transposed; for operands that lie in the cache. */
void multiply(Matrix a, const float* b, int64_t bStep, float* c, int64_t cStep, int64_t M,
              int64_t N, int64_t K, Start start, const float* bias = nullptr);

/** The first row of part i when M rows are cut into parts as alike as can be. */
inline int64_t cut(int64_t M, int64_t parts, int64_t i) { return M * i / parts; }
inline int64_t tilesIn(int64_t M) { return (M + TILE_ROWS - 1) / TILE_ROWS; }

/** y [columns, rows] = x [rows, columns] transposed. */
void transposeInto(const float* x, int64_t xStep, float* y, int64_t yStep, int64_t rows,
                   int64_t columns);

} // namespace tinybard::SIMD
