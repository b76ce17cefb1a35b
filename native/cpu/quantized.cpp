// Linear layers and embeddings with int8 or int4 weights. With a few rows of x, the packed weights
// are read once and unpacked in registers; the time is that of reading them from memory, a quarter
// or an eighth of the bytes of f32. With many rows, they are dequantized a panel at a time and
// multiplied in tiles (tile.h).
//
// Threads divide the columns of y, each of which is computed in one fixed order.

#include "kernels.h"
#include "matmul.h"
#include "uvec.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t GROUP = 32;      // columns that share a scale, unless the whole row does
constexpr int64_t GRAIN = 1 << 16; // multiply-adds that are not worth a second thread

/** W[n, k] = scale[n, g] Q[n, k] with Q [N, K] packed into words, `bits` per value. */
struct QuantizedMatrix {
  const i32* words; // [N, wordsPerRow()]
  const f32* scale; // [N, groups]
  int64_t K;
  int64_t groups; // 1, or K / 32 rounded up: g = k / 32
  int64_t bits;   // 4 or 8

  int64_t wordsPerRow() const { return (K * bits + 31) / 32; }
};

/** Returns the first `lanes` values of Q from column k on; `row` is the row's first word. */
template <int bits>
Vec loadQuantized(const i32* row, int64_t wordsPerRow, int64_t k, int64_t lanes) {
  constexpr int64_t PER_WORD = 32 / bits;
  constexpr auto unpack = bits == 8 ? unpackInt8 : unpackInt4;
  if (lanes == Vec::width) return unpack(row, k);
  i32 last[Vec::width / PER_WORD + 1] = {}; // a whole vector would extend past the row
  std::memcpy(last, row + k / PER_WORD, (size_t)(wordsPerRow - k / PER_WORD) * sizeof(i32));
  return unpack(last, k % PER_WORD);
}

/** to [count] = W[row, k] to W[row, k + count - 1]. k is a multiple of 32. */
template <int bits>
void dequantize(const QuantizedMatrix& q, int64_t row, int64_t k, int64_t count, float* to) {
  const i32* words = q.words + row * q.wordsPerRow();
  const f32* scale = q.scale + row * q.groups;
  forEachVector(count, [&](int64_t i, int64_t lanes) {
    const Vec s = scale[q.groups == 1 ? 0 : (k + i) / GROUP];
    (loadQuantized<bits>(words, q.wordsPerRow(), k + i, lanes) * s).store(to + i, lanes);
  });
}

/** total[m] += scale (x[m] . Q) over the columns of one whole int4 group, for M rows of x. */
template <int M>
inline void addInt4Group(const i32* words, Vec scale, const float* x, int64_t K, Vec* total) {
  Vec dot[M];
  UNROLL for (int64_t k = 0; k < GROUP; k += Vec::width) {
    const Vec w = unpackInt4(words, k);
    UNROLL for (int m = 0; m < M; m++) {
      const Vec xk = Vec::load(x + m * K + k);
      dot[m] = k == 0 ? xk * w : fma(xk, w, dot[m]);
    }
  }
  UNROLL for (int m = 0; m < M; m++) total[m] = fma(dot[m], scale, total[m]);
}

/**
 * dots[m] = the dot product of row m of x, of M rows, and row n of W, over k from begin to end - 1.
 * begin is a multiple of 2 GROUP.
 */
template <int bits, int M>
inline void dotProducts(const QuantizedMatrix& q, const float* x, int64_t n, int64_t begin,
                        int64_t end, float* dots) {
  constexpr int W = Vec::width;
  constexpr int SUMS = M == 1 && bits == 8 ? 4 : 2; // independent sums, to hide the fma's latency
  const int64_t wordsPerRow = q.wordsPerRow();
  const i32* words = q.words + n * wordsPerRow;
  const f32* scale = q.scale + n * q.groups;
  Vec total[M];
  Vec other[M]; // a second sum: even and odd int4 groups are independent
  UNROLL for (int m = 0; m < M; m++) {
    total[m] = 0.0f;
    other[m] = 0.0f;
  }
  int64_t first = begin;
  if (bits == 4 && q.groups > 1) {
    for (; first + 2 * GROUP <= end; first += 2 * GROUP) {
      const int64_t group = first / GROUP;
      const i32* groupWords = words + first / 8;
      addInt4Group<M>(groupWords, scale[group], x + first, q.K, total);
      addInt4Group<M>(groupWords + 4, scale[group + 1], x + first + GROUP, q.K, other);
    }
  }
  UNROLL for (int m = 0; m < M; m++) total[m] = total[m] + other[m];
  const int64_t groupSize = q.groups == 1 ? end - begin : GROUP;
  forEachBlock(first, end, groupSize, [&](int64_t groupBegin, int64_t groupEnd) {
    Vec dot[M][SUMS];
    UNROLL for (int m = 0; m < M; m++) {
      UNROLL for (int s = 0; s < SUMS; s++) dot[m][s] = 0.0f;
    }
    const auto add = [&](int64_t k, int s, int64_t lanes) {
      const Vec w = loadQuantized<bits>(words, wordsPerRow, k, lanes);
      UNROLL for (int m = 0; m < M; m++) {
        const float* row = x + m * q.K + k;
        dot[m][s] = fma(lanes == W ? Vec::load(row) : Vec::load(row, lanes), w, dot[m][s]);
      }
    };
    int64_t k = groupBegin;
    for (; k + SUMS * W <= groupEnd; k += SUMS * W) {
      UNROLL for (int s = 0; s < SUMS; s++) add(k + s * W, s, W);
    }
    for (; k < groupEnd; k += W) add(k, 0, lanesLeft(k, groupEnd));
    const Vec factor = scale[q.groups == 1 ? 0 : groupBegin / GROUP];
    UNROLL for (int m = 0; m < M; m++) {
      for (int s = 1; s < SUMS; s++) dot[m][0] = dot[m][0] + dot[m][s];
      total[m] = fma(dot[m][0], factor, total[m]);
    }
  });
  UNROLL for (int m = 0; m < M; m++) dots[m] = reduceAdd(total[m]);
}

/** Columns begin to end - 1 of y = x W^T + b for M rows of x: a dot product per element. */
template <int bits, int M>
void gemvDots(const QuantizedMatrix& q, const float* x, const float* b, float* y, int64_t N,
              int64_t begin, int64_t end) {
  for (int64_t n = begin; n < end; n++) {
    double total[M] = {};
    forEachBlock(0, q.K, GEMV_BLOCK, [&](int64_t first, int64_t last) {
      float dots[M];
      dotProducts<bits, M>(q, x, n, first, last, dots);
      for (int m = 0; m < M; m++) total[m] += dots[m];
    });
    for (int m = 0; m < M; m++) y[m * N + n] = (b ? b[n] : 0) + (float)total[m];
  }
}

/** y = x W^T + b for 1 to 4 rows of x. x [M, K], b [N] or null, y [M, N] */
template <int bits>
void gemvQuantized(const QuantizedMatrix& q, const float* x, const float* b, float* y, int64_t M,
                   int64_t N) {
  const auto run = M == 1   ? gemvDots<bits, 1>
                   : M == 2 ? gemvDots<bits, 2>
                   : M == 3 ? gemvDots<bits, 3>
                            : gemvDots<bits, 4>;
  parallelFor(N, 1 + GRAIN / 4 / (M * q.K + 1), [&](int64_t begin, int64_t end) {
    run(q, x, b, y, N, begin, end);
  });
}

/**
 * The same for any M: each panel of W is dequantized once and multiplied by all rows of x. The sums
 * of LONG_K columns are added in f64 if there are more.
 */
template <int bits>
void gemmDequantized(const QuantizedMatrix& q, const float* x, const float* b, float* y, int64_t M,
                     int64_t N) {
  const int64_t panels = (N + PANEL - 1) / PANEL;
  const int64_t grain = 1 + GRAIN / (M * q.K * PANEL + 1);
  parallelFor(panels, grain, [&](int64_t begin, int64_t end) {
    float* rows = scratch(0, PANEL * K_BLOCK);  // of W, [PANEL, depth]
    float* panel = scratch(1, PANEL * K_BLOCK); // its transpose
    for (int64_t n = begin * PANEL; n < end * PANEL && n < N; n += PANEL) {
      const int64_t columns = N - n < PANEL ? N - n : PANEL;
      double* totals = nullptr; // [M, columns]
      if (q.K > LONG_K) {
        totals = reinterpret_cast<double*>(scratch(2, 2 * M * columns));
        std::memset(totals, 0, (size_t)(M * columns) * sizeof(double));
      }
      for (int64_t k = 0; k == 0 || k < q.K; k += K_BLOCK) { // once if K is 0
        const int64_t depth = q.K - k < K_BLOCK ? q.K - k : K_BLOCK;
        for (int64_t r = 0; r < columns; r++)
          dequantize<bits>(q, n + r, k, depth, rows + r * depth);
        transposeInto(rows, depth, panel, PANEL, columns, depth);
        const Init init = k % LONG_K > 0 ? Init::add : k == 0 && b ? Init::bias : Init::zero;
        multiplyTiles(Format(),
                      {x + k, q.K},
                      panel,
                      PANEL,
                      y + n,
                      N,
                      M,
                      columns,
                      depth,
                      init,
                      b ? b + n : nullptr);
        const bool isPart = (k + depth) % LONG_K == 0 || k + depth == q.K;
        for (int64_t i = 0; totals && isPart && i < M * columns; i++)
          totals[i] += y[i / columns * N + n + i % columns];
      }
      for (int64_t i = 0; totals && i < M * columns; i++)
        y[i / columns * N + n + i % columns] = (float)totals[i];
    }
  });
}

} // namespace

/** y = f(x W^T + b). x [M, K], b [N] or null, y [M, N]; f as in linear() */
void linearQuantized(const f32* x, const i32* w, const f32* scale, const f32* b, f32* y, int64_t M,
                     int64_t N, int64_t K, int64_t groups, int64_t bits, int64_t activation) {
  const QuantizedMatrix q = {w, scale, K, groups, bits};
  if (!checkQuantized("linearQuantized", K, groups, bits)) return;
  if (!checkActivation("linearQuantized", activation)) return;
  if (M * N == 0) return;
  if (M <= 4) {
    if (bits == 8) gemvQuantized<8>(q, x, b, y, M, N);
    else gemvQuantized<4>(q, x, b, y, M, N);
  } else {
    if (bits == 8) gemmDequantized<8>(q, x, b, y, M, N);
    else gemmDequantized<4>(q, x, b, y, M, N);
  }
  using Elementwise = void (*)(const f32*, f32*, int64_t);
  constexpr Elementwise activations[] = {nullptr, relu, gelu, geluTanh, relu2};
  if (activation > 0) activations[activation](y, y, M * N);
}

/** y[r] = W[idx[r]]. idx [rows], W [V, C], y [rows, C]. Threads divide the rows. */
void embeddingQuantized(const i32* idx, const i32* w, const f32* scale, f32* y, int64_t rows,
                        int64_t V, int64_t C, int64_t groups, int64_t bits) {
  const QuantizedMatrix q = {w, scale, C, groups, bits};
  if (!checkQuantized("embeddingQuantized", C, groups, bits)) return;
  if (!checkIndices("embeddingQuantized", "idx", idx, rows, V)) return;
  const auto dequantizeRow = bits == 8 ? dequantize<8> : dequantize<4>;
  parallelFor(rows, 1 + GRAIN / 8 / (C + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) dequantizeRow(q, idx[r], 0, C, y + r * C);
  });
}

} // namespace tinybard::SIMD
