// The inner kernel of matrix multiplication (a "micro-kernel"): it computes a tile of c that stays
// in registers while k runs. Each k loads V vectors of b and one element of each of R rows of a,
// and does R V vector multiply-adds, so arithmetic outweighs loads.
#pragma once

#include <array>
#include <utility>

#include "bf16.h"
#include "simd.h"

#if defined(_MSC_VER) && !defined(__clang__)
#define UNROLL
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

namespace tinybard::SIMD {

// The rows of a tile: with two vectors each, as many sums as fit in the vector registers next to
// the operands: 28 + 3 of 32 (AVX-512), 12 + 3 of 16 (AVX2), 24 + 3 of 32 (NEON). In WebAssembly
// the engine assigns registers: from 5 rows on, V8 (Node 20, x64) keeps a sum in memory, which
// halves the speed of processors where a load has to wait for the store before it.
#if defined(SIMD_AVX512)
constexpr int TILE_ROWS = 14;
#elif defined(SIMD_AVX2)
constexpr int TILE_ROWS = 6;
#elif defined(SIMD_NEON)
constexpr int TILE_ROWS = 12;
#else // WebAssembly, scalar
constexpr int TILE_ROWS = 4;
#endif
constexpr int64_t PANEL = 2 * Vec::width; // the columns of a tile

/** A row-major matrix; a transposed one is stored as its transpose. */
struct Matrix {
  const float* data;
  int64_t ld; // leading dimension: the elements from one stored row to the next
  bool isTransposed = false;

  /** Returns the submatrix that begins at row i and column j. */
  Matrix from(int64_t i, int64_t j) const {
    return {data + (isTransposed ? j * ld + i : i * ld + j), ld, isTransposed};
  }
};

/**
 * c = init + a b for a tile. a [R, K], stored as [K, R] if isTransposed; b [K, columns];
 * c [R, columns]; bias [columns] or null. V vectors cover the columns; the last one has `lanes`
 * elements, which is Vec::width if isWhole. multiplyAdd is fma or, with pairs of bf16, their dot
 * product; K is then the number of pairs.
 */
template <Vec (*multiplyAdd)(Vec, Vec, Vec), int R, int V, bool isTransposed, bool isWhole>
void computeTile(const float* a, int64_t lda, const float* b, int64_t ldb, float* c, int64_t ldc,
                 int64_t K, int64_t lanes, Init init, const float* bias) {
  constexpr int W = Vec::width;
  const auto load = [=](const float* p, int v) {
    return isWhole || v < V - 1 ? Vec::load(p + v * W) : Vec::load(p + v * W, lanes);
  };
  Vec sums[R][V];
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      sums[r][v] = init == Init::accumulate ? load(c + r * ldc, v)
                   : init == Init::bias     ? load(bias, v)
                                            : Vec(0.0f);
    }
  }
  for (int64_t k = 0; k < K; k++) {
    Vec row[V];
    UNROLL for (int v = 0; v < V; v++) row[v] = load(b + k * ldb, v);
    UNROLL for (int r = 0; r < R; r++) {
      const Vec x = isTransposed ? a[k * lda + r] : a[r * lda + k];
      UNROLL for (int v = 0; v < V; v++) sums[r][v] = multiplyAdd(x, row[v], sums[r][v]);
    }
  }
  UNROLL for (int r = 0; r < R; r++) {
    UNROLL for (int v = 0; v < V; v++) {
      float* p = c + r * ldc + v * W;
      if (init == Init::add) sums[r][v] = load(c + r * ldc, v) + sums[r][v];
      if (isWhole || v < V - 1) sums[r][v].store(p);
      else sums[r][v].store(p, lanes);
    }
  }
}

template <Vec (*multiplyAdd)(Vec, Vec, Vec), int V, bool isTransposed, bool isWhole, int... R>
constexpr std::array<TileFunction, sizeof...(R)> makeTiles(std::integer_sequence<int, R...>) {
  return {&computeTile<multiplyAdd, R + 1, V, isTransposed, isWhole>...};
}

/** The instances for 1 to TILE_ROWS rows. */
template <Vec (*multiplyAdd)(Vec, Vec, Vec), int V, bool isTransposed, bool isWhole>
constexpr std::array<TileFunction, TILE_ROWS> tiles =
    makeTiles<multiplyAdd, V, isTransposed, isWhole>(std::make_integer_sequence<int, TILE_ROWS>{});

/** Returns the instance of computeTile for 1 to TILE_ROWS rows and 1 to PANEL columns. */
template <Vec (*multiplyAdd)(Vec, Vec, Vec)>
TileFunction chooseTile(int rows, int64_t columns, bool isTransposed) {
  const bool isWhole = columns % Vec::width == 0;
  const int i = rows - 1;
  if (columns > Vec::width) {
    if (isTransposed)
      return isWhole ? tiles<multiplyAdd, 2, true, true>[i] : tiles<multiplyAdd, 2, true, false>[i];
    return isWhole ? tiles<multiplyAdd, 2, false, true>[i] : tiles<multiplyAdd, 2, false, false>[i];
  }
  if (isTransposed)
    return isWhole ? tiles<multiplyAdd, 1, true, true>[i] : tiles<multiplyAdd, 1, true, false>[i];
  return isWhole ? tiles<multiplyAdd, 1, false, true>[i] : tiles<multiplyAdd, 1, false, false>[i];
}

/** Returns the first row of part i if M rows are divided into parts of nearly equal size. */
inline int64_t partBegin(int64_t M, int64_t parts, int64_t i) { return M * i / parts; }
/** Returns the number of tiles that M rows need. */
inline int64_t tileCount(int64_t M) { return (M + TILE_ROWS - 1) / TILE_ROWS; }

} // namespace tinybard::SIMD
