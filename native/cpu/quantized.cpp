// Weights of a few bits. A product with a few rows reads them once, as they lie, and so takes the
// time that memory takes to give them: a quarter of the bytes of floats, or an eighth. With many
// rows they are made floats a panel at a time, and then go the way of all products (tile.h).

#include "kernels.h"
#include "tile.h"
#include "words.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t GROUP = 32;      // columns that have a scale in common, unless the row has one
constexpr int64_t K_BLOCK = 384;   // of k in a panel
constexpr int64_t SMALL = 1 << 16; // multiply-adds that are not worth a second thread

/** The matrix W of the contract, [., K]. */
struct Quantized {
  const i32* w;
  const f32* scale;
  int64_t K, groups, bits;

  int64_t words() const { return (K * bits + 31) / 32; } // of a row
};

/** The numbers of a row from column k on, the first `lanes` of them, at row + words its end. */
template <int bits>
Vec numbers(const i32* row, int64_t words, int64_t k, int64_t lanes) {
  constexpr int64_t each = 32 / bits; // numbers in a word
  constexpr auto unpack = bits == 8 ? eights : fours;
  if (lanes == Vec::width) return unpack(row, k);
  i32 last[Vec::width / each + 1] = {}; // a whole vector would reach beyond the row
  std::memcpy(last, row + k / each, (size_t)(words - k / each) * sizeof(i32));
  return unpack(last, k % each);
}

/** to = W[row, k ... k + count - 1]; k: a multiple of 32. */
template <int bits>
void dequantize(const Quantized& q, int64_t row, int64_t k, int64_t count, float* to) {
  const i32* w = q.w + row * q.words();
  const f32* scale = q.scale + row * q.groups;
  across(count, [&](int64_t i, int64_t lanes) {
    const Vec s = scale[q.groups == 1 ? 0 : (k + i) / GROUP];
    (numbers<bits>(w, q.words(), k + i, lanes) * s).store(to + i, lanes);
  });
}

/** total[m] += scale (x[m] . Q) over the columns of a whole group in 4 bits, for M rows of x. */
template <int M>
inline void addGroup(const i32* w, Vec scale, const float* x, int64_t K, Vec* total) {
  Vec part[M];
  UNROLL for (int64_t k = 0; k < GROUP; k += Vec::width) {
    const Vec v = fours(w, k);
    UNROLL for (int m = 0; m < M; m++) {
      const Vec row = Vec::load(x + m * K + k);
      part[m] = k == 0 ? row * v : fma(row, v, part[m]);
    }
  }
  UNROLL for (int m = 0; m < M; m++) total[m] = fma(part[m], scale, total[m]);
}

/** Columns begin to end - 1 of y = x W^T + b for M rows of x. */
template <int bits, int M>
void dots(const Quantized& q, const float* x, const float* b, float* y, int64_t N, int64_t begin,
          int64_t end) {
  constexpr int W = Vec::width, sums = M == 1 && bits == 8 ? 4 : 2; // chains of additions for each
  const int64_t words = q.words(), size = q.groups == 1 ? q.K : GROUP;
  for (int64_t n = begin; n < end; n++) {
    const i32* w = q.w + n * words;
    const f32* scale = q.scale + n * q.groups;
    Vec total[M], other[M]; // two chains of additions, where a group makes but a link
    UNROLL for (int m = 0; m < M; m++) total[m] = other[m] = 0.0f;
    int64_t group = 0;
    for (; bits == 4 && (group + 2) * GROUP <= q.K; group += 2) {
      const int64_t k = group * GROUP;
      addGroup<M>(w + k / 8, scale[group], x + k, q.K, total);
      addGroup<M>(w + k / 8 + 4, scale[group + 1], x + k + GROUP, q.K, other);
    }
    UNROLL for (int m = 0; m < M; m++) total[m] = total[m] + other[m];
    for (; group < q.groups; group++) {
      const int64_t stop = (group + 1) * size < q.K ? (group + 1) * size : q.K;
      Vec part[M][sums];
      UNROLL for (int m = 0; m < M; m++) UNROLL for (int s = 0; s < sums; s++) part[m][s] = 0.0f;
      const auto add = [&](int64_t k, int s, int64_t lanes) {
        const Vec v = numbers<bits>(w, words, k, lanes);
        UNROLL for (int m = 0; m < M; m++) {
          const float* row = x + m * q.K + k;
          part[m][s] = fma(lanes == W ? Vec::load(row) : Vec::load(row, lanes), v, part[m][s]);
        }
      };
      int64_t k = group * size;
      for (; k + sums * W <= stop; k += sums * W) UNROLL for (int s = 0; s < sums; s++)
        add(k + s * W, s, W);
      for (; k < stop; k += W) add(k, 0, lanesLeft(k, stop));
      UNROLL for (int m = 0; m < M; m++) {
        for (int s = 1; s < sums; s++) part[m][0] = part[m][0] + part[m][s];
        total[m] = fma(part[m][0], Vec(scale[group]), total[m]);
      }
    }
    for (int m = 0; m < M; m++) y[m * N + n] = (b ? b[n] : 0) + sum(total[m]);
  }
}

/** y = x W^T + b for a few rows of x. */
template <int bits>
void multiplyFewRows(const Quantized& q, const float* x, const float* b, float* y, int64_t M,
                     int64_t N) {
  const auto f = M == 1   ? dots<bits, 1>
                 : M == 2 ? dots<bits, 2>
                 : M == 3 ? dots<bits, 3>
                          : dots<bits, 4>;
  parallelFor(N, 1 + SMALL / 4 / (M * q.K + 1),
              [&](int64_t begin, int64_t end) { f(q, x, b, y, N, begin, end); });
}

/** The same for any number, a panel of columns after the other. */
template <int bits>
void multiplyByPanels(const Quantized& q, const float* x, const float* b, float* y, int64_t M,
                      int64_t N) {
  const int64_t panels = (N + PANEL - 1) / PANEL, grain = 1 + SMALL / (M * q.K * PANEL + 1);
  parallelFor(panels, grain, [&](int64_t begin, int64_t end) {
    float *rows = scratch(0, PANEL * K_BLOCK), *panel = scratch(1, PANEL * K_BLOCK);
    for (int64_t n = begin * PANEL; n < end * PANEL && n < N; n += PANEL) {
      const int64_t columns = N - n < PANEL ? N - n : PANEL;
      for (int64_t k = 0; k == 0 || k < q.K; k += K_BLOCK) { // once where K is 0
        const int64_t depth = q.K - k < K_BLOCK ? q.K - k : K_BLOCK;
        for (int64_t r = 0; r < columns; r++)
          dequantize<bits>(q, n + r, k, depth, rows + r * depth);
        transposeInto(rows, depth, panel, PANEL, columns, depth);
        multiply({x + k, q.K, false}, panel, PANEL, y + n, N, M, columns, depth,
                 k > 0 ? Start::c : b ? Start::bias : Start::zero, b ? b + n : nullptr);
      }
    }
  });
}

} // namespace

void linearQuantized(const f32* x, const i32* w, const f32* scale, const f32* b, f32* y, int64_t M,
                     int64_t N, int64_t K, int64_t groups, int64_t bits, int64_t activation) {
  const Quantized q{w, scale, K, groups, bits};
  if (!checkQuantized("linearQuantized", K, groups, bits)) return;
  if (activation < 0 || activation > 3)
    return kernelError("linearQuantized: activation is %lld, expected 0 to 3",
                       (long long)activation);
  if (M * N == 0) return;
  const auto product = M <= 4 ? bits == 8 ? multiplyFewRows<8> : multiplyFewRows<4>
                       : bits == 8 ? multiplyByPanels<8> : multiplyByPanels<4>;
  product(q, x, b, y, M, N);
  constexpr decltype(&relu) functions[] = {nullptr, relu, gelu, geluTanh};
  if (activation > 0) functions[activation](y, y, M * N);
}

void embeddingQuantized(const i32* idx, const i32* w, const f32* scale, f32* y, int64_t rows,
                        int64_t V, int64_t C, int64_t groups, int64_t bits) {
  const Quantized q{w, scale, C, groups, bits};
  if (!checkQuantized("embeddingQuantized", C, groups, bits)) return;
  if (!checkIndices("embeddingQuantized", "idx", idx, rows, V)) return;
  const auto copy = bits == 8 ? dequantize<8> : dequantize<4>;
  parallelFor(rows, 1 + SMALL / 8 / (C + 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; r++) copy(q, idx[r], 0, C, y + r * C);
  });
}

} // namespace tinybard::SIMD
