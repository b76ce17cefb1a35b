// Weights of a few bits. A warp has some columns of y, and so rows of W, whose words it reads as
// they lie, against some rows of x at a time. With one row, as in generation, the time is that of
// reading the words; with many, W is read and unpacked once for each eight of them.

#include "kernels.h"
#include "matmul/tiled_gemm.cuh"

namespace tinybard::cuda {
namespace {

constexpr int GROUP = 32; // columns that have a scale in common, unless the row has one
constexpr int WARPS = 4;  // of a block
constexpr int AT_ONCE = 8; // numbers that a lane takes of a row: two words, or one

/** The matrix W of the contract, [., K]. */
template <int bits>
struct Quantized {
  static constexpr int each = 32 / bits; // numbers in a word
  const i32* w;
  const f32* scale;
  int64_t words, groups; // of a row

  __device__ float scaleAt(int64_t row, int64_t k) const {
    return scale[row * groups + (groups == 1 ? 0 : k / GROUP)];
  }
  /** Number i of a word. */
  __device__ static float number(i32 word, int i) {
    return (float)((i32)((uint32_t)word << (32 - bits * (i + 1))) >> (32 - bits));
  }
};

/** y = f(x W^T + b); a block has N columns for each of its warps, of M rows. */
template <int bits, int M, int N, class F>
__global__ void __launch_bounds__(WARPS* WARP)
    product(TiledGemm<F, F> task, Quantized<bits> q, unsigned blocks) {
  constexpr int each = Quantized<bits>::each, perStep = AT_ONCE / each; // words
  const int64_t row = (int64_t)(blockIdx.x / blocks) * M;
  const int64_t column = ((int64_t)(blockIdx.x % blocks) * WARPS + warp()) * N;
  float sums[M][N] = {};
  for (int64_t k = lane() * AT_ONCE; k < task.K; k += WARP * AT_ONCE) {
    const int count = task.K - k < AT_ONCE ? (int)(task.K - k) : AT_ONCE;
    float x[M][AT_ONCE];
#pragma unroll
    for (int m = 0; m < M; m++) // rows behind the last: the first one again
      loadFloats(x[m], task.a + (row + m < task.M ? row + m : row) * task.lda + k,
                 task.isInputAligned && count == AT_ONCE, count);
#pragma unroll
    for (int n = 0; n < N; n++) {
      if (column + n >= task.N) break;
      const i32* words = q.w + (column + n) * q.words + k / each;
      const float scale = q.scaleAt(column + n, k);
      float w[AT_ONCE];
#pragma unroll
      for (int j = 0; j < perStep; j++) {
        const i32 word = j * each < count ? words[j] : 0;
#pragma unroll
        for (int i = 0; i < each; i++) w[j * each + i] = Quantized<bits>::number(word, i);
      }
#pragma unroll
      for (int m = 0; m < M; m++) {
        float part = 0.0f;
#pragma unroll
        for (int i = 0; i < AT_ONCE; i++) part += x[m][i] * w[i];
        sums[m][n] += part * scale;
      }
    }
  }
  float y[1] = {};
#pragma unroll
  for (int m = 0; m < M; m++)
#pragma unroll
    for (int n = 0; n < N; n++) {
      const float sum = warpSum(sums[m][n]);
      if (lane() == m * N + n) y[0] = sum;
    }
  if (lane() < M * N) applyEpilogue(task, 0, row + lane() / N, column + lane() % N, y);
}

/** y [rows, C]: row r is row idx[r] of W. */
template <int bits, class F>
__global__ void gather(const i32* idx, Quantized<bits> q, F* y, int64_t rows, int64_t V, int64_t C,
                       IndexError* indexError) {
  constexpr int each = Quantized<bits>::each;
  for (int64_t i = globalThreadIndex(); i < rows * C; i += globalThreadCount()) {
    const int64_t r = i / C, c = i % C;
    const int64_t v = checkIndex(idx[r], V, IndexSource::embeddingQuantized, r, indexError);
    const i32 word = q.w[v * q.words + c / each];
    y[i] = roundTo<F>(Quantized<bits>::number(word, c % each) * q.scaleAt(v, c));
  }
}

template <int bits>
Quantized<bits> matrix(const i32* w, const f32* scale, int64_t K, int64_t groups) {
  return {w, scale, ceilDiv(K * bits, 32), groups};
}

/** M rows and N columns at a time. */
template <int bits, int M, int N, class F>
void multiply(const TiledGemm<F, F>& task, const Quantized<bits>& q) {
  const int64_t blocks = ceilDiv(task.N, WARPS * N); // beside each other
  launch(product<bits, M, N, F>, Dim((unsigned)(blocks * ceilDiv(task.M, M))), Dim(WARPS * WARP), 0,
         task, q, (unsigned)blocks);
}

template <int bits, class F>
void multiply(const TiledGemm<F, F>& task, const i32* w, const f32* scale, int64_t groups) {
  const auto q = matrix<bits>(w, scale, task.K, groups);
  if (task.M == 1) multiply<bits, 1, 1>(task, q);
  else multiply<bits, 8, 4>(task, q);
}

} // namespace

template <class F>
void linearQuantized(const F* x, const i32* w, const f32* scale, const F* b, F* y, int64_t M,
                     int64_t N, int64_t K, int64_t groups, int64_t bits, int64_t activation) {
  if (!checkQuantized("linearQuantized", K, groups, bits)) return;
  if (activation < 0 || activation > 3)
    return kernelError("linearQuantized: activation is %lld, expected 0 to 3",
                       (long long)activation);
  if (M * N == 0) return;
  Gemm<F> p{x, nullptr, y, M, N, K, K, K, N};
  p.bias = b;
  p.activation = (Activation)activation;
  const TiledGemm<F, F> task(p);
  if (bits == 8) multiply<8>(task, w, scale, groups);
  else multiply<4>(task, w, scale, groups);
}
FOR_FLOATS(linearQuantized)

template <class F>
void embeddingQuantized(const i32* idx, const i32* w, const f32* scale, F* y, int64_t rows,
                        int64_t V, int64_t C, int64_t groups, int64_t bits) {
  if (!checkQuantized("embeddingQuantized", C, groups, bits)) return;
  if (rows > 0 && V == 0) return kernelError("embeddingQuantized: V is 0, expected at least 1");
  const Dim grid = gridStrideBlocks(rows * C);
  if (bits == 8)
    launch(gather<8, F>, grid, BLOCK_SIZE, 0, idx, matrix<8>(w, scale, C, groups), y, rows, V, C,
           deviceIndexError());
  else
    launch(gather<4, F>, grid, BLOCK_SIZE, 0, idx, matrix<4>(w, scale, C, groups), y, rows, V, C,
           deviceIndexError());
}
FOR_FLOATS(embeddingQuantized)

} // namespace tinybard::cuda
