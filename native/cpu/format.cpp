// The formats of operands: how they are packed.

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
