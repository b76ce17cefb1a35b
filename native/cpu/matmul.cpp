// The matrix product, from tiles (tile.h). Tiles want their operands in the cache, the columns of b
// side by side. So where b is large, or transposed, a part of it is first packed: into panels of as
// many columns as a tile has, one behind the other, each [K, PANEL]. The part stays in the L3
// cache; each thread has its own rows of c, and takes them in blocks that stay in its L2 cache with
// a panel. (Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008, have
// these loops; there less of b is packed at a time, here it is shared by all threads.)

#include "kernels.h"
#include "tile.h"
#include "vecmath.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t K_BLOCK = 384;         // of k in a tile: 48 KB of a panel with 16 lanes
constexpr int64_t M_BLOCK = 8 * TILE_ROWS; // rows in a block: 168 KB of a
constexpr int64_t PACKED = 1 << 20;      // floats of b that are packed at once: 4 MB
constexpr int64_t SMALL_B = 1 << 15;     // floats of b that are not worth packing
constexpr int64_t FEW_ROWS_B = 1 << 18;  // the same where c has few rows
constexpr int64_t SMALL = 1 << 16;       // multiply-adds that are not worth a second thread
constexpr int64_t AHEAD = 1024;          // floats by which memory is asked for before its turn

constexpr int RELU = 1, GELU = 2, GELU_TANH = 3; // `activation` of linear, 0 being none

/** What happens to c when its sums are complete. */
struct Finish {
  float* h; // where the sums are kept, if anywhere, when c becomes the activation of them
  int activation;

  void operator()(float* c, int64_t at, int64_t step, int64_t rows, int64_t columns) const {
    if (activation == 0) return;
    for (int64_t r = 0; r < rows; r++) {
      for (int64_t j = 0; j < columns; j += Vec::width) {
        const int64_t place = at + r * step + j, lanes = lanesLeft(j, columns);
        const Vec x = Vec::load(c + place, lanes);
        if (h) x.store(h + place, lanes);
        const Vec y = activation == RELU   ? max(Vec(0.0f), x)
                      : activation == GELU ? gelu(x)
                                           : geluTanh(x);
        y.store(c + place, lanes);
      }
    }
  }
};

struct Product {
  Matrix a, b;
  float* c;
  int64_t M, N, K;
  Start start;
  const float* bias;
  Finish finish;
};

/** Panels first to last - 1 of b's rows k ... k + K - 1 and columns n ... n + N - 1. */
void pack(const Product& p, float* packed, int64_t k, int64_t K, int64_t n, int64_t N,
          int64_t first, int64_t last) {
  for (int64_t i = first; i < last; i++) {
    const int64_t left = N - i * PANEL, columns = left < PANEL ? left : PANEL;
    const float* from = p.b.from(k, n + i * PANEL).data;
    float* to = packed + i * K * PANEL;
    if (p.b.isTransposed) {
      transposeInto(from, p.b.step, to, PANEL, columns, K);
    } else {
      for (int64_t j = 0; j < K; j++)
        std::memcpy(to + j * PANEL, from + j * p.b.step, (size_t)columns * sizeof(float));
    }
  }
}

/** Rows m ... m + rows - 1 of a, from k on, as [K, rows]: what a tile takes at one k, together. */
void packRows(const Matrix& a, float* to, int64_t m, int64_t rows, int64_t k, int64_t K) {
  const Matrix from = a.from(m, k);
  if (!a.isTransposed) return transposeInto(from.data, a.step, to, rows, rows, K);
  for (int64_t j = 0; j < K; j++)
    for (int64_t r = 0; r < rows; r += Vec::width) {
      const int64_t lanes = lanesLeft(r, rows);
      Vec::load(from.data + j * a.step + r, lanes).store(to + j * rows + r, lanes);
    }
}

/** Rows m0 ... m1 - 1 of c, columns n ... n + N - 1: adds what k ... k + K - 1 gives. */
void multiplyPacked(const Product& p, const float* packed, int64_t k, int64_t K, int64_t n,
                    int64_t N, int64_t m0, int64_t m1) {
  const int64_t tiles = tilesIn(m1 - m0), perBlock = M_BLOCK / TILE_ROWS;
  // rows of a that lie a power of two apart would all fall into the same few sets of the L1 cache
  const bool packsA = p.a.isTransposed || p.a.step % 512 == 0;
  float* block = packsA ? scratch(1, M_BLOCK * K_BLOCK) : nullptr;
  const auto row = [=](int64_t t) { return m0 + cut(m1 - m0, tiles, t); };
  for (int64_t first = 0; first < tiles; first += perBlock) {
    const int64_t last = first + perBlock < tiles ? first + perBlock : tiles;
    for (int64_t kk = 0; kk < K; kk += K_BLOCK) {
      const int64_t depth = K - kk < K_BLOCK ? K - kk : K_BLOCK;
      const Start start = k + kk > 0 ? Start::c : p.start;
      const bool isLast = k + kk + depth == p.K;
      for (int64_t t = first; packsA && t < last; t++)
        packRows(p.a, block + (row(t) - row(first)) * depth, row(t), row(t + 1) - row(t), k + kk,
                 depth);
      for (int64_t i = 0; i * PANEL < N; i++) {
        const int64_t columns = N - i * PANEL < PANEL ? N - i * PANEL : PANEL;
        const int64_t lanes = (columns - 1) % Vec::width + 1, column = n + i * PANEL;
        const float* panel = packed + i * K * PANEL + kk * PANEL;
        const float* bias = p.bias ? p.bias + column : nullptr;
        for (int64_t t = first; t < last; t++) {
          const int64_t m = row(t), rows = row(t + 1) - m, at = m * p.N + column;
          const Matrix a = packsA ? Matrix{block + (m - row(first)) * depth, rows, true}
                                  : p.a.from(m, k + kk);
          tileOf((int)rows, columns, a.isTransposed)(a.data, a.step, panel, PANEL, p.c + at, p.N,
                                                     depth, lanes, start, bias);
          if (isLast) p.finish(p.c, at, p.N, rows, columns);
        }
      }
    }
  }
}

/** Columns begin to end - 1 of c = a b^T for M rows of a: dot products with the rows of b. */
template <int M>
void dots(const Product& p, int64_t begin, int64_t end) {
  constexpr int W = Vec::width, sums = M == 1 ? 4 : M == 2 ? 2 : 1; // chains of additions for each
  for (int64_t n = begin; n < end; n++) {
    const float* w = p.b.data + n * p.b.step;
    Vec total[M][sums];
    UNROLL for (int m = 0; m < M; m++) UNROLL for (int s = 0; s < sums; s++) total[m][s] = 0.0f;
    int64_t k = 0;
    for (; k + sums * W <= p.K; k += sums * W) {
      UNROLL for (int s = 0; s < sums; s++) {
        prefetch(w + k + s * W + AHEAD);
        const Vec part = Vec::load(w + k + s * W);
        UNROLL for (int m = 0; m < M; m++)
          total[m][s] = fma(Vec::load(p.a.data + m * p.a.step + k + s * W), part, total[m][s]);
      }
    }
    for (; k < p.K; k += W) {
      const int64_t lanes = lanesLeft(k, p.K);
      const Vec part = Vec::load(w + k, lanes);
      UNROLL for (int m = 0; m < M; m++)
        total[m][0] = fma(Vec::load(p.a.data + m * p.a.step + k, lanes), part, total[m][0]);
    }
    for (int m = 0; m < M; m++) {
      float& c = p.c[m * p.N + n];
      for (int s = 1; s < sums; s++) total[m][0] = total[m][0] + total[m][s];
      c = (p.start == Start::c ? c : p.bias ? p.bias[n] : 0) + sum(total[m][0]);
    }
  }
  for (int m = 0; m < M; m++) p.finish(p.c, m * p.N + begin, p.N, 1, end - begin);
}

/** c = a b^T for a few rows of a. The rows of b are read once, in order, as fast as they come. */
void multiplyByDots(const Product& p) {
  const auto f = p.M == 1 ? dots<1> : p.M == 2 ? dots<2> : p.M == 3 ? dots<3> : dots<4>;
  parallelFor(p.N, 1 + SMALL / 4 / (p.M * p.K + 1),
              [&](int64_t begin, int64_t end) { f(p, begin, end); });
}

/** f(m0, m1, n0, n1) for parts of c [M, N]: some rows each, or panels where rows are too few. */
template <class F>
void eachPart(int64_t M, int64_t N, int64_t K, const F& f) {
  if (M >= threadCount() * TILE_ROWS / 2) {
    const int64_t grain = 1 + SMALL / (N * K + 1);
    parallelFor(M, grain, [&](int64_t begin, int64_t end) { f(begin, end, (int64_t)0, N); });
  } else {
    const int64_t grain = (1 + SMALL / (M * K * PANEL + 1)) * PANEL;
    parallelFor(N, grain, [&](int64_t begin, int64_t end) { f((int64_t)0, M, begin, end); });
  }
}

/** c = a b with b where it lies. */
void multiplyInPlace(const Product& p) {
  eachPart(p.M, p.N, p.K, [&](int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    multiply(p.a.from(m0, 0), p.b.data + n0, p.b.step, p.c + m0 * p.N + n0, p.N, m1 - m0, n1 - n0,
             p.K, p.start, p.bias ? p.bias + n0 : nullptr);
    p.finish(p.c, m0 * p.N + n0, p.N, m1 - m0, n1 - n0);
  });
}

/** c where K is 0: what its sums start with. */
void startOnly(const Product& p) {
  for (int64_t at = 0; at < p.M * p.N; at++)
    if (p.start != Start::c) p.c[at] = p.bias ? p.bias[at % p.N] : 0;
  for (int64_t m = 0; m < p.M; m++) p.finish(p.c, m * p.N, p.N, 1, p.N);
}

void compute(const Product& p) {
  if (p.M * p.N == 0) return;
  if (p.K == 0) return startOnly(p);
  if (p.b.isTransposed && !p.a.isTransposed && p.M <= 4) return multiplyByDots(p);
  if (!p.b.isTransposed && p.N * p.K <= (p.M <= 128 ? FEW_ROWS_B : SMALL_B))
    return multiplyInPlace(p);
  const int64_t kPart = p.K < 2 * K_BLOCK ? p.K : 4 * K_BLOCK;
  const int64_t nPart = PACKED / (kPart + 1) / PANEL * PANEL + PANEL;
  for (int64_t n = 0; n < p.N; n += nPart) {
    const int64_t N = p.N - n < nPart ? p.N - n : nPart, panels = (N + PANEL - 1) / PANEL;
    for (int64_t k = 0; k < p.K; k += kPart) {
      const int64_t K = p.K - k < kPart ? p.K - k : kPart;
      float* packed = scratch(0, panels * PANEL * K);
      parallelFor(panels, 1 + 8192 / (K * PANEL + 1), [&](int64_t begin, int64_t end) {
        pack(p, packed, k, K, n, N, begin, end);
      });
      eachPart(p.M, N, K, [&](int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
        multiplyPacked(p, packed + n0 * K, k, K, n + n0, n1 - n0, m0, m1);
      });
    }
  }
}

} // namespace

void matmul(const f32* a, const f32* b, f32* c, int64_t batch, int64_t M, int64_t N, int64_t K,
            int64_t aStep, int64_t bStep, bool transA, bool transB, bool accumulate) {
  const int64_t grain = 1 + SMALL / (M * N * K + 1);
  parallelFor(batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      compute({{a + i * aStep, transA ? M : K, transA}, {b + i * bStep, transB ? K : N, transB},
               c + i * M * N, M, N, K, accumulate ? Start::c : Start::zero, nullptr, {nullptr, 0}});
    }
  });
}

void linear(const f32* x, const f32* w, const f32* b, f32* h, f32* y, int64_t M, int64_t N,
            int64_t K, int64_t activation) {
  if (activation < 0 || activation > 3)
    return kernelError("linear: activation is %lld, expected 0 to 3", (long long)activation);
  compute({{x, K, false}, {w, K, true}, y, M, N, K, b ? Start::bias : Start::zero, b,
           {h, (int)activation}});
}

void linearBackward(const f32* x, const f32* w, const f32* h, const f32* dy, f32* dx, f32* dw,
                    f32* db, int64_t M, int64_t N, int64_t K, int64_t activation) {
  if (activation < 0 || activation > 3)
    return kernelError("linearBackward: activation is %lld, expected 0 to 3",
                       (long long)activation);
  constexpr decltype(&reluBackward) slopes[] = {nullptr, reluBackward, geluBackward,
                                                geluTanhBackward};
  if (dx) matmul(dy, w, dx, 1, M, K, N, 0, 0, false, false, false);
  // f' takes a pass of its own: read tile by tile as the product is stored, h would take longer
  if (dx && h && activation > 0) slopes[activation](h, dx, dx, M * K);
  if (dw) matmul(dy, x, dw, 1, N, K, M, 0, 0, true, false, false);
  if (db) sum(dy, db, 1, M, N);
}

} // namespace tinybard::SIMD
