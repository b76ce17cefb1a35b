// Matmul and embedding with quantized weights of 8 or 4 bits. In the matmul a warp computes a few
// columns of y, that is, rows of W: it reads their packed words and some rows of x at a time. For
// one row of x, as in decoding, the kernel is bound by reading W; for many, W is read and unpacked
// once for every eight rows.

#include "kernels.h"
#include "matmul/tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int GROUP = 32;          // columns that share a scale, unless the row has only one
constexpr int WARPS_PER_BLOCK = 4;
constexpr int VALUES_PER_LANE = 8; // a lane's part of a row at a time: one or two words

/** A quantized matrix W [N, K]: w [N, words], scale [N, groups]. */
template <int bits>
struct Quantized {
  static constexpr int perWord = 32 / bits; // values in a word
  const i32* w;
  const f32* scale;
  int64_t words;  // per row
  int64_t groups; // per row

  __device__ float scaleAt(int64_t row, int64_t k) const {
    return scale[row * groups + (groups == 1 ? 0 : k / GROUP)];
  }

  /** Returns value i of a word: a signed integer of `bits` bits, the lowest bits first. */
  __device__ static float unpack(i32 word, int i) {
    return (float)((i32)((uint32_t)word << (32 - bits * (i + 1))) >> (32 - bits));
  }
};

/**
 * y = f(x W^T + b). x [M, K], W [N, K], y [M, N], as `problem` describes them. A block computes
 * ROWS rows and COLUMNS columns for each of its warps; `blocksPerRow` blocks cover N.
 */
template <int bits, int ROWS, int COLUMNS, class F>
__global__ void __launch_bounds__(WARPS_PER_BLOCK* WARP)
    gemmQuantized(TiledGemm<F, F> problem, Quantized<bits> q, unsigned blocksPerRow) {
  constexpr int perWord = Quantized<bits>::perWord;
  constexpr int wordsPerStep = VALUES_PER_LANE / perWord;
  const int64_t row = (int64_t)(blockIdx.x / blocksPerRow) * ROWS;
  const int64_t warpColumn = (int64_t)(blockIdx.x % blocksPerRow) * WARPS_PER_BLOCK + warp();
  const int64_t column = warpColumn * COLUMNS;
  float sums[ROWS][COLUMNS] = {};
  for (int64_t k = lane() * VALUES_PER_LANE; k < problem.K; k += WARP * VALUES_PER_LANE) {
    const int count = problem.K - k < VALUES_PER_LANE ? (int)(problem.K - k) : VALUES_PER_LANE;
    float x[ROWS][VALUES_PER_LANE];
#pragma unroll
    for (int m = 0; m < ROWS; m++) { // rows past M: the first one again, whose results are dropped
      const int64_t xRow = row + m < problem.M ? row + m : row;
      loadFloats(x[m], problem.a + xRow * problem.lda + k,
                 problem.isInputAligned && count == VALUES_PER_LANE, count);
    }
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
      if (column + n >= problem.N) break;
      const i32* words = q.w + (column + n) * q.words + k / perWord;
      const float scale = q.scaleAt(column + n, k);
      float w[VALUES_PER_LANE];
#pragma unroll
      for (int j = 0; j < wordsPerStep; j++) {
        const i32 word = j * perWord < count ? words[j] : 0;
#pragma unroll
        for (int i = 0; i < perWord; i++) w[j * perWord + i] = Quantized<bits>::unpack(word, i);
      }
#pragma unroll
      for (int m = 0; m < ROWS; m++) {
        float dot = 0.0f;
#pragma unroll
        for (int i = 0; i < VALUES_PER_LANE; i++) dot += x[m][i] * w[i];
        sums[m][n] += dot * scale;
      }
    }
  }
  float y[1] = {}; // lane m COLUMNS + n writes element (m, n)
#pragma unroll
  for (int m = 0; m < ROWS; m++) {
#pragma unroll
    for (int n = 0; n < COLUMNS; n++) {
      const float sum = warpSum(sums[m][n]);
      if (lane() == m * COLUMNS + n) y[0] = sum;
    }
  }
  if (lane() < ROWS * COLUMNS)
    applyEpilogue(problem, 0, row + lane() / COLUMNS, column + lane() % COLUMNS, y);
}

/** y[r] = W[idx[r]]. idx [rows], W [V, C], y [rows, C]. Grid-stride loop over elements of y. */
template <int bits, class F>
__global__ void gatherQuantized(const i32* idx, Quantized<bits> q, F* y, int64_t rows, int64_t V,
                                int64_t C, IndexError* indexError) {
  constexpr int perWord = Quantized<bits>::perWord;
  for (int64_t i = globalThreadIndex(); i < rows * C; i += globalThreadCount()) {
    const int64_t r = i / C;
    const int64_t c = i % C;
    const int64_t v = checkIndex(idx[r], V, IndexSource::embeddingQuantized, r, indexError);
    const i32 word = q.w[v * q.words + c / perWord];
    y[i] = roundTo<F>(Quantized<bits>::unpack(word, c % perWord) * q.scaleAt(v, c));
  }
}

template <int bits>
Quantized<bits> quantizedMatrix(const i32* w, const f32* scale, int64_t K, int64_t groups) {
  return {w, scale, ceilDiv(K * bits, 32), groups};
}

template <int bits, int ROWS, int COLUMNS, class F>
void launchGemm(const TiledGemm<F, F>& problem, const Quantized<bits>& q) {
  const int64_t blocksPerRow = ceilDiv(problem.N, WARPS_PER_BLOCK * COLUMNS);
  const Dim grid((unsigned)(blocksPerRow * ceilDiv(problem.M, ROWS)));
  launch(gemmQuantized<bits, ROWS, COLUMNS, F>, grid, Dim(WARPS_PER_BLOCK * WARP), 0, problem, q,
         (unsigned)blocksPerRow);
}

template <int bits, class F>
void launchGemm(const TiledGemm<F, F>& problem, const i32* w, const f32* scale, int64_t groups) {
  const auto q = quantizedMatrix<bits>(w, scale, problem.K, groups);
  if (problem.M == 1) launchGemm<bits, 1, 1>(problem, q);
  else launchGemm<bits, 8, 4>(problem, q);
}

} // namespace

template <class F>
void linearQuantized(const F* x, const i32* w, const f32* scale, const F* b, F* y, int64_t M,
                     int64_t N, int64_t K, int64_t groups, int64_t bits, int64_t activation) {
  if (!checkQuantized("linearQuantized", K, groups, bits)) return;
  if (!checkActivation("linearQuantized", activation)) return;
  if (M * N == 0) return;
  Gemm<F> problem = {};
  problem.a = x;
  problem.c = y;
  problem.M = M;
  problem.N = N;
  problem.K = K;
  problem.lda = K;
  problem.ldb = K;
  problem.ldc = N;
  problem.bias = b;
  problem.activation = (Activation)activation;
  const TiledGemm<F, F> tiled(problem);
  if (bits == 8) launchGemm<8>(tiled, w, scale, groups);
  else launchGemm<4>(tiled, w, scale, groups);
}
FOR_FLOATS(linearQuantized)

template <class F>
void embeddingQuantized(const i32* idx, const i32* w, const f32* scale, F* y, int64_t rows,
                        int64_t V, int64_t C, int64_t groups, int64_t bits) {
  if (!checkQuantized("embeddingQuantized", C, groups, bits)) return;
  if (rows > 0 && V == 0) return kernelError("embeddingQuantized: V is 0, expected at least 1");
  const Dim grid = gridStrideBlocks(rows * C);
  if (bits == 8) {
    const auto q = quantizedMatrix<8>(w, scale, C, groups);
    launch(gatherQuantized<8, F>, grid, BLOCK_SIZE, 0, idx, q, y, rows, V, C, deviceIndexError());
  } else {
    const auto q = quantizedMatrix<4>(w, scale, C, groups);
    launch(gatherQuantized<4, F>, grid, BLOCK_SIZE, 0, idx, q, y, rows, V, C, deviceIndexError());
  }
}
FOR_FLOATS(embeddingQuantized)

} // namespace tinybard::cuda
