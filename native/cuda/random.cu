// Dropout, and the sampling of training batches. Both depend on the RNG state and the element index
// alone, so that a replay or a backward pass reproduces them.

#include "random.cuh"

#include "kernels.h"
#include "vector.cuh"

namespace tinybard::cuda {
namespace {

/**
 * y_i = x_i scale, or 0 if element i is dropped. x, y [n]; rngState [4]. A thread has W elements at
 * a time: 8, those of one Philox call, or 1. Grid-stride loop.
 */
template <int W, class F>
__global__ void applyDropout(const F* x, F* y, const i32* rngState, int64_t n, uint32_t site,
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

/** y = x, for p = 0. x, y [n]. Grid-stride loop over vectors of W elements. */
template <int W, class F>
__global__ void copyElements(const F* x, F* y, int64_t n) {
  for (int64_t i = globalThreadIndex(); i < n / W; i += globalThreadCount())
    store(y + i * W, load<W>(x + i * W));
  const int64_t i = n / W * W + globalThreadIndex();
  if (i < n) y[i] = x[i];
}

/**
 * Copies B random sequences of T tokens to x, and the same shifted by one token to y: the inputs
 * and targets of a batch. tokens [n]; rngCounter [4] = seed (2 words), step, site; x, y [B, T].
 * Block b has sequence b; four sequences share a Philox call.
 */
__global__ void sampleSequences(const i32* tokens, const i32* rngCounter, i32* x, i32* y, int64_t n,
                                int64_t T, uint32_t stream) {
  const unsigned b = blockIdx.x;
  const uint4 words =
      philox(b / 4, rngCounter[3], rngCounter[2], stream, rngCounter[0], rngCounter[1]);
  const uint32_t word = b % 4 < 2 ? (b % 2 == 0 ? words.x : words.y)
                                  : (b % 2 == 0 ? words.z : words.w);
  const i32* sequence = tokens + (int64_t)((word * (uint64_t)(n - T)) >> 32);
  for (int64_t t = threadIdx.x; t < T; t += blockDim.x) {
    x[b * T + t] = sequence[t];
    y[b * T + t] = sequence[t + 1];
  }
}

} // namespace

template <class F>
void dropout(const F* x, F* y, const i32* rngState, int64_t n, int64_t site, double p) {
  const uint32_t threshold = DropoutRng::toThreshold(p);
  const bool vectorize = canVectorize<F>(0, x, y);
  const Dim grid = gridStrideBlocks(vectorize ? ceilDiv(n, 8) : n);
  if (threshold == 0) {
    const auto kernel = vectorize ? copyElements<8, F> : copyElements<1, F>;
    launch(kernel, grid, BLOCK_SIZE, 0, x, y, n);
  } else {
    const auto kernel = vectorize ? applyDropout<8, F> : applyDropout<1, F>;
    launch(kernel, grid, BLOCK_SIZE, 0, x, y, rngState, n, (uint32_t)site, threshold);
  }
}
FOR_FLOATS(dropout)

void sampleBatch(const i32* tokens, const i32* rngCounter, i32* x, i32* y, int64_t n, int64_t B,
                 int64_t T, int64_t stream) {
  if (n <= T)
    return kernelError("sampleBatch: n is %lld, expected more than T, %lld", (long long)n,
                       (long long)T);
  launch(sampleSequences, Dim((unsigned)B), BLOCK_SIZE, 0, tokens, rngCounter, x, y, n, T,
         (uint32_t)stream);
}

} // namespace tinybard::cuda
