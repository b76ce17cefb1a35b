// The formats of operands: how they are packed, and small products in tiles of them.

#include "format.h"

namespace tinybard::SIMD {

TileFunction Format::getTile(int rows, int64_t columns, bool isTransposed) const {
  return bf16 ? bf16->getTile(rows, columns, isTransposed)
              : chooseTile<fma>(rows, columns, isTransposed);
}

Matrix Format::packLeft(const Matrix& a, int64_t rows, int64_t K, float* to) const {
  if (!bf16) return a;
  if (a.isTransposed) {
    bf16->pairRows(a.data, a.ld, to, rows, K, rows);
    return {to, rows, true};
  }
  bf16->pairColumns(a.data, a.ld, to, steps(K), rows, K);
  return {to, steps(K)};
}

Matrix Format::packRight(const Matrix& b, int64_t K, int64_t N, int64_t ldTo, float* to) const {
  if (!bf16) return b;
  bf16->pairRows(b.data, b.ld, to, ldTo, K, N);
  return {to, ldTo};
}

void Format::packTransposed(const float* b, int64_t ldb, int64_t N, int64_t K, float* to,
                            int64_t ldTo, float* memory) const {
  if (!bf16) return transposeInto(b, ldb, to, ldTo, N, K);
  bf16->pairColumns(b, ldb, memory, steps(K), N, K);
  transposeInto(memory, steps(K), to, ldTo, N, steps(K));
}

void multiplyTiles(const Format& format, Matrix a, const float* b, int64_t ldb, float* c,
                   int64_t ldc, int64_t M, int64_t N, int64_t K, Init init, const float* bias) {
  const int64_t tiles = tileCount(M);
  for (int64_t n = 0; n < N; n += PANEL) {
    const int64_t columns = N - n < PANEL ? N - n : PANEL;
    const int64_t lanes = (columns - 1) % Vec::width + 1;
    for (int64_t t = 0; t < tiles; t++) {
      const int64_t m = partBegin(M, tiles, t);
      const int64_t rows = partBegin(M, tiles, t + 1) - m;
      const TileFunction compute = format.getTile((int)rows, columns, a.isTransposed);
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
