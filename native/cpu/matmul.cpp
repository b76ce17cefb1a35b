// Matrix multiplication, in tiles (tile.h). A tile reads neighboring columns of b, which should be
// in the cache. So if b is large or transposed, a part of it is first packed into panels, one after
// the other: each holds the columns of a tile as a dense [K, PANEL]. The packed part stays in the
// L3 cache and is shared by all threads. Each thread has its own rows of c, and takes them in
// blocks that stay in its L2 cache together with a panel. In bf16, all of a and b is packed, as
// pairs (format.h). The loops are those of Goto and van de
// Geijn, "Anatomy of high-performance matrix multiplication" (2008), who pack less of b at a time.
//
// Each element of c is the sum over k in the same order however c is divided, so the number of
// threads does not change the bits. A long k is divided into blocks of K_BLOCK, whose sums are
// added to c, and a very long one into parts of LONG_K, whose sums are added in f64. So the
// rounding error does not grow with K.

#include "matmul.h"

#include "kernels.h"
#include "vecmath.h"

namespace tinybard::SIMD {
namespace {

constexpr int64_t M_BLOCK = 8 * TILE_ROWS;    // rows per block: 168 KB of a
constexpr int64_t PACKED = 1 << 20;           // elements of b that are packed at a time: 4 MB
constexpr int64_t SMALL_B = 1 << 15;          // elements of b that are not worth packing
constexpr int64_t SMALL_B_FEW_ROWS = 1 << 18; // the same if c has few rows
constexpr int64_t GRAIN = 1 << 16;            // multiply-adds that are not worth a second thread
constexpr int64_t PACK_GRAIN = 8192;          // elements that are not worth a second thread
constexpr int64_t PREFETCH_DISTANCE = 1024;   // elements

/** c = f(c) for rows x columns finished elements of c, from `offset` on; h gets the c before it. */
template <Vec (*f)(Vec)>
void activate(const Gemm& g, int64_t offset, int64_t rows, int64_t columns) {
  for (int64_t r = 0; r < rows; r++) {
    float* c = g.c + offset + r * g.N;
    float* h = g.h ? g.h + offset + r * g.N : nullptr;
    if (h) std::memcpy(h, c, (size_t)columns * sizeof(float));
    forEachVector(columns, [&](int64_t j, int64_t lanes) {
      f(Vec::load(c + j, lanes)).store(c + j, lanes);
    });
  }
}

/** Applies the activation to rows x columns finished elements of c, from `offset` on. */
void applyEpilogue(const Gemm& g, int64_t offset, int64_t rows, int64_t columns) {
  switch (g.activation) {
    case Activation::none: return;
    case Activation::relu: return activate<relu>(g, offset, rows, columns);
    case Activation::relu2: return activate<relu2>(g, offset, rows, columns);
    case Activation::gelu: return activate<gelu>(g, offset, rows, columns);
    case Activation::geluTanh: return activate<geluTanh>(g, offset, rows, columns);
  }
}

/** A part of b that is packed into panels: rows k to k + K - 1, columns n to n + N - 1. */
struct PackedB {
  float* data; // [panels, steps, PANEL]
  int64_t k;
  int64_t K;
  int64_t steps; // K, or the number of pairs
  int64_t n;
  int64_t N;
};

/** Fills panels begin to end - 1. */
void packPanels(const Gemm& g, const PackedB& packed, int64_t begin, int64_t end) {
  const Matrix& b = g.b;
  const bool isBf16 = g.format.isBf16();
  float* rows = isBf16 && b.isTransposed ? scratch(1, PANEL * packed.steps) : nullptr;
  for (int64_t i = begin; i < end; i++) {
    const int64_t left = packed.N - i * PANEL;
    const int64_t columns = left < PANEL ? left : PANEL;
    const float* from = b.from(packed.k, packed.n + i * PANEL).data;
    float* to = packed.data + i * packed.steps * PANEL;
    if (b.isTransposed) {
      g.format.packTransposed(from, b.ld, columns, packed.K, to, PANEL, rows);
    } else if (isBf16) {
      g.format.packRight({from, b.ld}, packed.K, columns, PANEL, to);
    } else {
      for (int64_t j = 0; j < packed.K; j++)
        std::memcpy(to + j * PANEL, from + j * b.ld, (size_t)columns * sizeof(float));
    }
  }
}

/**
 * Packs a [rows, K] as [K, rows], so that the elements a tile reads at one k are neighbors; in bf16
 * as Format does. Returns it as an operand.
 */
Matrix packRows(const Format& format, const Matrix& a, int64_t rows, int64_t K, float* to) {
  if (format.isBf16()) return format.packLeft(a, rows, K, to);
  if (a.isTransposed) {
    for (int64_t k = 0; k < K; k++) {
      for (int64_t r = 0; r < rows; r += Vec::width) {
        const int64_t lanes = lanesLeft(r, rows);
        Vec::load(a.data + k * a.ld + r, lanes).store(to + k * rows + r, lanes);
      }
    }
  } else {
    transposeInto(a.data, a.ld, to, rows, rows, K);
  }
  return {to, rows, true};
}

/** Adds a b to c for the packed part of b: columns n0 to n1 - 1 of it, rows m0 to m1 - 1 of c. */
void gemmPacked(const Gemm& g, const PackedB& packed, int64_t m0, int64_t m1, int64_t n0,
                int64_t n1) {
  const Format& format = g.format;
  const int64_t K = packed.K;
  const int64_t tiles = tileCount(m1 - m0);
  constexpr int64_t tilesPerBlock = M_BLOCK / TILE_ROWS;
  // If rows of a are a multiple of 2 KB apart, they compete for the same few sets of the L1 cache
  const bool packsA = format.isBf16() || g.a.isTransposed || g.a.ld % 512 == 0;
  float* memory = packsA ? scratch(1, M_BLOCK * K_BLOCK) : nullptr;
  Matrix packedA[tilesPerBlock]; // the rows of a of each tile
  const auto row = [=](int64_t t) { return m0 + partBegin(m1 - m0, tiles, t); };

  for (int64_t first = 0; first < tiles; first += tilesPerBlock) {
    const int64_t last = first + tilesPerBlock < tiles ? first + tilesPerBlock : tiles;
    for (int64_t kk = 0; kk < K; kk += K_BLOCK) {
      const int64_t depth = K - kk < K_BLOCK ? K - kk : K_BLOCK;
      const int64_t steps = format.steps(depth);
      const int64_t k = packed.k + kk;
      const Init init = k > 0 ? Init::add : g.init;
      const bool isLast = k + depth == g.K;
      for (int64_t t = first; t < last; t++) {
        const Matrix a = g.a.from(row(t), k);
        float* to = memory + (row(t) - row(first)) * steps;
        packedA[t - first] = packsA ? packRows(format, a, row(t + 1) - row(t), depth, to) : a;
      }
      for (int64_t i = n0; i < n1; i += PANEL) {
        const int64_t columns = n1 - i < PANEL ? n1 - i : PANEL;
        const int64_t lanes = (columns - 1) % Vec::width + 1;
        const int64_t column = packed.n + i;
        const float* panel = packed.data + i * packed.steps + format.steps(kk) * PANEL;
        const float* bias = g.bias ? g.bias + column : nullptr;
        for (int64_t t = first; t < last; t++) {
          const int64_t m = row(t);
          const int64_t rows = row(t + 1) - m;
          const int64_t offset = m * g.N + column;
          const Matrix& a = packedA[t - first];
          const TileFunction compute = format.getTile((int)rows, columns, a.isTransposed);
          compute(a.data, a.ld, panel, PANEL, g.c + offset, g.N, steps, lanes, init, bias);
          if (isLast) applyEpilogue(g, offset, rows, columns);
        }
      }
    }
  }
}

/**
 * dots[m] = the dot product of row m of a, of M rows lda apart, and w over k from begin to end - 1.
 */
template <int M>
inline void dotProducts(const float* a, int64_t lda, const float* w, int64_t begin, int64_t end,
                        float* dots) {
  constexpr int W = Vec::width;
  constexpr int SUMS = M == 1 ? 4 : M == 2 ? 2 : 1; // independent sums, to hide the fma's latency
  Vec total[M][SUMS];
  UNROLL for (int m = 0; m < M; m++) {
    UNROLL for (int s = 0; s < SUMS; s++) total[m][s] = 0.0f;
  }
  int64_t k = begin;
  for (; k + SUMS * W <= end; k += SUMS * W) {
    UNROLL for (int s = 0; s < SUMS; s++) {
      prefetch(w + k + s * W + PREFETCH_DISTANCE);
      const Vec wk = Vec::load(w + k + s * W);
      UNROLL for (int m = 0; m < M; m++)
        total[m][s] = fma(Vec::load(a + m * lda + k + s * W), wk, total[m][s]);
    }
  }
  for (; k < end; k += W) {
    const int64_t lanes = lanesLeft(k, end);
    const Vec wk = Vec::load(w + k, lanes);
    UNROLL for (int m = 0; m < M; m++)
      total[m][0] = fma(Vec::load(a + m * lda + k, lanes), wk, total[m][0]);
  }
  UNROLL for (int m = 0; m < M; m++) {
    for (int s = 1; s < SUMS; s++) total[m][0] = total[m][0] + total[m][s];
    dots[m] = reduceAdd(total[m][0]);
  }
}

/** Columns begin to end - 1 of c = a b^T for M rows of a: dot products with the rows of b. */
template <int M>
void gemvDots(const Gemm& g, int64_t begin, int64_t end) {
  for (int64_t n = begin; n < end; n++) {
    double total[M] = {};
    forEachBlock(0, g.K, GEMV_BLOCK, [&](int64_t first, int64_t last) {
      float dots[M];
      dotProducts<M>(g.a.data, g.a.ld, g.b.data + n * g.b.ld, first, last, dots);
      for (int m = 0; m < M; m++) total[m] += dots[m];
    });
    for (int m = 0; m < M; m++) {
      float& c = g.c[m * g.N + n];
      c = (g.init == Init::accumulate ? c : g.bias ? g.bias[n] : 0) + (float)total[m];
    }
  }
  for (int m = 0; m < M; m++) applyEpilogue(g, m * g.N + begin, 1, end - begin);
}

/**
 * c = a b^T for 1 to 4 rows of a. Limited by memory bandwidth: the rows of b are read once, in
 * order. Each thread has a range of columns.
 */
void gemv(const Gemm& g) {
  const auto run = g.M == 1   ? gemvDots<1>
                   : g.M == 2 ? gemvDots<2>
                   : g.M == 3 ? gemvDots<3>
                              : gemvDots<4>;
  parallelFor(g.N, 1 + GRAIN / 4 / (g.M * g.K + 1), [&](int64_t begin, int64_t end) {
    run(g, begin, end);
  });
}

/** Calls f(m0, m1, n0, n1) for parts of c [M, N]: ranges of rows, or of panels if rows are few. */
template <class F>
void forEachPart(int64_t M, int64_t N, int64_t K, const F& f) {
  if (M >= threadCount() * TILE_ROWS / 2) {
    const int64_t grain = 1 + GRAIN / (N * K + 1);
    parallelFor(M, grain, [&](int64_t begin, int64_t end) { f(begin, end, (int64_t)0, N); });
  } else {
    const int64_t grain = (1 + GRAIN / (M * K * PANEL + 1)) * PANEL;
    parallelFor(N, grain, [&](int64_t begin, int64_t end) { f((int64_t)0, M, begin, end); });
  }
}

/** c = a b in f32 for a small b, which is not packed. */
void gemmSmallB(const Gemm& g) {
  forEachPart(g.M, g.N, g.K, [&](int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
    const int64_t offset = m0 * g.N + n0;
    forEachBlock(0, g.K, K_BLOCK, [&](int64_t k0, int64_t k1) {
      multiplyTiles(Format(),
                    g.a.from(m0, k0),
                    g.b.data + k0 * g.b.ld + n0,
                    g.b.ld,
                    g.c + offset,
                    g.N,
                    m1 - m0,
                    n1 - n0,
                    k1 - k0,
                    k0 > 0 ? Init::add : g.init,
                    g.bias ? g.bias + n0 : nullptr);
    });
    applyEpilogue(g, offset, m1 - m0, n1 - n0);
  });
}

/** c for K = 0: the initial values and the epilogue. */
void gemmEmpty(const Gemm& g) {
  if (g.init != Init::accumulate) {
    for (int64_t i = 0; i < g.M * g.N; i++) g.c[i] = g.bias ? g.bias[i % g.N] : 0;
  }
  applyEpilogue(g, 0, g.M, g.N);
}

/** Calls f(begin, end) for ranges of the elements of c, on all threads. */
template <class F>
void forEachElement(const Gemm& g, const F& f) {
  parallelFor(g.M * g.N, ROW_GRAIN, f);
}

/** c for a very long k: the sums of its parts are computed in c and added in f64. */
void gemmLongK(const Gemm& g) {
  double* totals = reinterpret_cast<double*>(scratch(2, 2 * g.M * g.N));
  forEachElement(g, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
      totals[i] = g.init == Init::accumulate ? g.c[i] : g.bias ? g.bias[i % g.N] : 0;
  });
  forEachBlock(0, g.K, LONG_K, [&](int64_t k0, int64_t k1) {
    Gemm part;
    part.a = g.a.from(0, k0);
    part.b = g.b.from(k0, 0);
    part.c = g.c;
    part.M = g.M;
    part.N = g.N;
    part.K = k1 - k0;
    part.format = g.format;
    gemm(part);
    forEachElement(g, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) totals[i] += g.c[i];
    });
  });
  forEachElement(g, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) g.c[i] = (float)totals[i];
  });
  for (int64_t m = 0; m < g.M; m++) applyEpilogue(g, m * g.N, 1, g.N);
}

} // namespace

void gemm(const Gemm& g) {
  if (g.M * g.N == 0) return;
  if (g.K == 0) return gemmEmpty(g);
  const bool isBf16 = g.format.isBf16();
  if (!isBf16 && g.b.isTransposed && !g.a.isTransposed && g.M <= 4) return gemv(g);
  if (g.K > LONG_K) return gemmLongK(g);
  if (!isBf16 && !g.b.isTransposed && g.N * g.K <= (g.M <= 128 ? SMALL_B_FEW_ROWS : SMALL_B))
    return gemmSmallB(g);

  const int64_t kPart = g.K < 2 * K_BLOCK ? g.K : 4 * K_BLOCK;
  const int64_t nPart = PACKED / (kPart + 1) / PANEL * PANEL + PANEL;
  for (int64_t n = 0; n < g.N; n += nPart) {
    const int64_t N = g.N - n < nPart ? g.N - n : nPart;
    const int64_t panels = (N + PANEL - 1) / PANEL;
    for (int64_t k = 0; k < g.K; k += kPart) {
      const int64_t K = g.K - k < kPart ? g.K - k : kPart;
      const int64_t steps = g.format.steps(K);
      const PackedB packed = {scratch(0, panels * PANEL * steps), k, K, steps, n, N};
      parallelFor(panels, 1 + PACK_GRAIN / (K * PANEL + 1), [&](int64_t begin, int64_t end) {
        packPanels(g, packed, begin, end);
      });
      forEachPart(g.M, N, K, [&](int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
        gemmPacked(g, packed, m0, m1, n0, n1);
      });
    }
  }
}

/**
 * c_i = op(a_i) op(b_i), or c_i += if `accumulate`. c [batch, M, N]; op(a_i) [M, K], stored as
 * [K, M] if transA; op(b_i) [K, N], stored as [N, K] if transB. Matrix i of a begins at i aStep.
 * Many small products are divided among threads as a whole, a large one by its rows or columns.
 */
void matmul(const f32* a, const f32* b, f32* c, int64_t batch, int64_t M, int64_t N, int64_t K,
            int64_t aStep, int64_t bStep, bool transA, bool transB, bool accumulate) {
  const Format format = Format::forRows(M); // here: the setting is that of the calling thread
  const int64_t grain = 1 + GRAIN / (M * N * K + 1);
  parallelFor(batch, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++) {
      Gemm g;
      g.a = {a + i * aStep, transA ? M : K, transA};
      g.b = {b + i * bStep, transB ? K : N, transB};
      g.c = c + i * M * N;
      g.M = M;
      g.N = N;
      g.K = K;
      g.init = accumulate ? Init::accumulate : Init::zero;
      g.format = format;
      gemm(g);
    }
  });
}

} // namespace tinybard::SIMD
