// Dropout, and the drawing of batches: what is drawn is a function of (seed, site, step, index).

#include "random.cuh"

#include "kernels.h"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

/** y_i = x_i times the scale, or times 0. W is 8, the elements of one call of Philox, or 1. */
template <int W, class F>
__global__ void drop(const F* x, F* y, const i32* rngState, int64_t n, uint32_t site,
                     uint32_t threshold) {
  const DropoutRng dropoutRng(rngState, site, threshold);
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) {
    Vector<F, W> v = load<W>(x + i * W);
    float factor[W];
    dropoutRng.factors(i * W, factor);
    for (int k = 0; k < W; k++) v.at[k] = roundTo<F>(toFloat(v.at[k]) * factor[k]);
    store(y + i * W, v);
  }
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = roundTo<F>(toFloat(x[i]) * dropoutRng.factorAt(i));
}

template <int W, class F>
__global__ void keep(const F* x, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount()) store(y + i * W, load<W>(x + i * W));
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = x[i];
}

/** x, y [B, T]: pieces of the n tokens, and the same one token later; a block for each piece. */
__global__ void drawPieces(const i32* tokens, const i32* place, i32* x, i32* y, int64_t n,
                           int64_t T, uint32_t stream) {
  const unsigned b = blockIdx.x;
  const uint4 drawn = philox(b / 4, place[3], place[2], stream, place[0], place[1]);
  const uint32_t word = b % 4 < 2 ? (b % 2 == 0 ? drawn.x : drawn.y)
                                  : (b % 2 == 0 ? drawn.z : drawn.w);
  const i32* piece = tokens + (int64_t)((word * (uint64_t)(n - T)) >> 32);
  for (int64_t t = threadIdx.x; t < T; t += blockDim.x) {
    x[b * T + t] = piece[t];
    y[b * T + t] = piece[t + 1];
  }
}

} // namespace

template <class F>
void dropout(const F* x, F* y, const i32* rngState, int64_t n, int64_t site, double p) {
  const uint32_t threshold = DropoutRng::toThreshold(p), first = (uint32_t)site;
  const bool packed = canVectorize<F>(0, x, y);
  const Dim grid = gridStrideBlocks(packed ? ceilDiv(n, 8) : n);
  if (threshold == 0) launch(packed ? keep<8, F> : keep<1, F>, grid, BLOCK_SIZE, 0, x, y, n);
  else
    launch(packed ? drop<8, F> : drop<1, F>, grid, BLOCK_SIZE, 0, x, y, rngState, n, first, threshold);
}
FOR_FLOATS(dropout)

void sampleBatch(const i32* tokens, const i32* place, i32* x, i32* y, int64_t n, int64_t B, int64_t T,
               int64_t stream) {
  if (n <= T)
    return kernelError("sampleBatch: n is %lld, expected more than T, %lld",
                       (long long)n, (long long)T);
  launch(drawPieces, Dim((unsigned)B), BLOCK_SIZE, 0, tokens, place, x, y, n, T, (uint32_t)stream);
}

} // namespace tinybard::cuda
